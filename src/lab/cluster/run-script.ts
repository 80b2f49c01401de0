/**
 * The `run` script of a runit service: becomes the command, its output appended to a file. Words are quoted for the shell
 * here and nowhere else.
 */
export function runScript(argv: readonly string[], log: string): string {
  return `#!/bin/sh\nexec ${argv.map(quoted).join(' ')} >>${quoted(log)} 2>&1\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
