import { layoutOf, type TextStream } from './layout.ts';
import { paragraph } from './wrap.ts';

/** An error as every command says it, for a stream: `error: …`, each line of it ended. */
export function errorText(message: string, stream: TextStream): string {
  return notice('error:', 'bad', message, stream);
}

/** A warning likewise: `warning: …`. */
export function warningText(message: string, stream: TextStream): string {
  return notice('warning:', 'warning', message, stream);
}

/** Writes warnings to a stream, each once, however often what warns is repeated. */
export function warnOnce(stream: TextStream & { write(text: string): unknown }): (message: string) => void {
  const warned = new Set<string>();
  return (message) => {
    if (!warned.has(message)) stream.write(warningText(message, stream));
    warned.add(message);
  };
}

function notice(word: string, style: 'bad' | 'warning', message: string, stream: TextStream): string {
  const layout = layoutOf(stream);
  const [first = '', ...more] = message.split('\n');
  const head = paragraph(first, layout, `${layout.paint(style, word)} `);
  return head + more.map((line) => paragraph(line, layout)).join('');
}
