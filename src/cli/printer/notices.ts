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

function notice(word: string, style: 'bad' | 'warning', message: string, stream: TextStream): string {
  const layout = layoutOf(stream);
  const [first = '', ...more] = message.split('\n');
  const head = paragraph(first, layout, `${layout.paint(style, word)} `);
  return head + more.map((line) => paragraph(line, layout)).join('');
}
