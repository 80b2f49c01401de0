import { quoted } from '../../util/shell-line.ts';

/** The `run` script of a runit service: becomes the command, its output appended to a file. */
export function runScript(argv: readonly string[], log: string): string {
  return `#!/bin/sh\nexec ${argv.map(quoted).join(' ')} >>${quoted(log)} 2>&1\n`;
}
