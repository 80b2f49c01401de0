import type { ComponentChildren } from 'preact';
import { safeText } from '../../util/safe-text.ts';
import { type Kind, SIGNS } from './signs.ts';

/** A verdict's sign in its shape and colour; its word is for whoever cannot see it. */
export function Mark({ kind, silent = false }: { kind: Kind; silent?: boolean }) {
  const { sign, word } = SIGNS[kind];
  return (
    <span class={`mark ${kind}`}>
      <span aria-hidden="true">{sign}</span>
      {silent ? null : <span class="unseen">{word}</span>}
    </span>
  );
}

/** A name from outside: safe, and its direction of writing is its own. */
export function Name({ text }: { text: string }) {
  return <bdi class="name">{safeText(text)}</bdi>;
}

/** A text from outside, line by line; one of a single line stays in its line. */
export function Lines({ text }: { text: string }) {
  if (!text.includes('\n')) return <Name text={text} />;
  return (
    <>
      {text.split('\n').map((line, i) => (
        <bdi key={i} class="line">
          {safeText(line)}
        </bdi>
      ))}
    </>
  );
}

/** A text of the documentation, in which code is between backticks. */
export function Prose({ text }: { text: string }) {
  const parts = text.split('`');
  return (
    <>
      {parts.map((part, i) =>
        i % 2 === 1 && i < parts.length - 1 ? (
          <code>{safeText(part)}</code>
        ) : (
          <Name text={i % 2 === 1 ? `\`${part}` : part} />
        ),
      )}
    </>
  );
}

/** A part of the page with its heading. */
export function Section({ id, title, children }: { id: string; title: string; children: ComponentChildren }) {
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
    </section>
  );
}
