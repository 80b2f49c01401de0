/** A command as a line for a POSIX shell: words that a shell would change or split are in single quotes. */
export function shellLine(argv: readonly string[]): string {
  return argv.map((word) => (PLAIN.test(word) ? word : quoted(word))).join(' ');
}

/** A word in single quotes, in which a POSIX shell changes nothing. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Characters that mean nothing to a POSIX shell. A `~` expands only at the start of a word, and `!` alone is iptables' negation. */
const PLAIN = /^(?:[\w@%+:,./=-]+|!)$/;
