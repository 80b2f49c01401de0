/** A command as a line for a POSIX shell: words that a shell would change or split are in single quotes. */
export function shellLine(argv: readonly string[]): string {
  return argv.map((word) => (PLAIN.test(word) ? word : quoted(word))).join(' ');
}

/** A word in single quotes, in which a POSIX shell changes nothing. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A command as a line to be pasted from a terminal: as {@link shellLine}, but what would do something to the terminal is an escape in `$'…'`,
 * which bash, zsh, ksh and busybox understand.
 */
export function pastable(argv: readonly string[]): string {
  return argv.map((word) => (UNPRINTABLE.test(word) ? escaped(word) : shellLine([word]))).join(' ');
}

/** Control characters, and those that turn the direction of writing. */
const UNPRINTABLE = /[\p{C}\u2028\u2029]/u;

function escaped(word: string): string {
  const shown = [...word].map((character) => {
    if (character === "'" || character === '\\') return `\\${character}`;
    if (!UNPRINTABLE.test(character)) return character;
    return [...Buffer.from(character, 'utf8')]
      .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
      .join('');
  });
  return `$'${shown.join('')}'`;
}

/** Characters that mean nothing to a POSIX shell. A `~` expands only at the start of a word, and `!` alone is iptables' negation. */
const PLAIN = /^(?:[\w@%+:,./=-]+|!)$/;
