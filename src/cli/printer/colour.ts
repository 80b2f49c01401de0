/** What a colour stands for. Whatever is coloured says the same without: by a mark, a word or its place. */
export type Style = 'good' | 'bad' | 'warning' | 'unknown' | 'faint' | 'strong' | 'command';

/** Puts a text in the colour of a style, or leaves it as it is. The text is one line, and safe for a terminal. */
export type Paint = (style: Style, text: string) => string;

/** Without colours. */
export const plain: Paint = (_, text) => text;

/** Parameters of SGR (ECMA-48, 8.3.117): the sixteen colours that every terminal has, which its user has chosen for its background. */
const CODES: Readonly<Record<Style, number>> = {
  good: 32,
  bad: 31,
  warning: 33,
  unknown: 35,
  faint: 2,
  strong: 1,
  command: 36,
};

const coloured: Paint = (style, text) =>
  text.trim() === '' ? text : `\u001b[${CODES[style]}m${text}\u001b[0m`;

/** What decides about colours: the stream, and the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Whether a stream gets colours: as FORCE_COLOR says (force-color.org; `0` and `false` are no, as in Node.js), else not with NO_COLOR
 * (no-color.org), else on a terminal that is not dumb. An empty variable counts as none.
 */
export function hasColours({ isTTY }: { isTTY?: boolean }, env: Environment): boolean {
  const forced = env.FORCE_COLOR ?? '';
  if (forced !== '') return forced !== '0' && forced !== 'false';
  if ((env.NO_COLOR ?? '') !== '') return false;
  return isTTY === true && env.TERM !== 'dumb';
}

/** How texts for a stream are painted. */
export function paintOf(stream: { isTTY?: boolean }, env: Environment): Paint {
  return hasColours(stream, env) ? coloured : plain;
}
