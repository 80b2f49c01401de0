/** `hostport` of npm: runs the program of the platform's package. It is plain Node, in which it is started. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { type Machine, platformPackage } from './platform-package.ts';

const { resolve } = createRequire(import.meta.url);

function fail(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(2);
}

function programPath(machine: Machine): string {
  try {
    return resolve(`${platformPackage(machine)}/bin/hostport`);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') fail((cause as Error).message);
    const name = platformPackage(machine);
    fail(
      `cannot run hostport: its package ${name} is not installed; install it without leaving out optional packages (npm install --include=optional)`,
    );
  }
}

const child = spawn(
  programPath({ platform: process.platform, arch: process.arch, exists: existsSync }),
  process.argv.slice(2),
  {
    stdio: 'inherit',
    argv0: 'hostport',
  },
);
// A terminal's reach both; what is sent to this process alone is passed on.
for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => {});
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
child.on('error', (cause) => fail(`cannot run hostport: ${cause.message}`));
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal!]));
