interface Options {
  stdin?: Buffer;
  env?: Record<string, string | undefined>;
}

/** Bytes in one of the units that busybox counts in. */
let unit: number | undefined;

/**
 * Runs a command; the most memory that one of its processes had, in bytes, and how it failed if it did. It is started by a small program, because
 * the kernel counts for a process also what its parent had in memory when it was started.
 */
export function peakOf(argv: readonly string[], options: Options = {}): { bytes: number; failure?: string } {
  unit ??= unitOf();
  const { exitCode, stdout, stderr } = timed(argv, options);
  const count = countIn(stderr);
  if (exitCode !== 0 || count === undefined) {
    return { bytes: 0, failure: `exit status ${exitCode}: ${stdout}${stderr}` };
  }
  return { bytes: count * unit };
}

/** Some versions of busybox take kilobytes for pages: a process that says what it has itself shows which. */
function unitOf(): number {
  const { stdout, stderr } = timed(['busybox', 'grep', 'VmHWM', '/proc/self/status'], {});
  const kilobytes = Number(/(\d+) kB/.exec(stdout)?.[1]);
  const count = countIn(stderr);
  if (!(kilobytes > 0) || count === undefined) {
    throw new Error(`cannot measure memory: busybox time says ${JSON.stringify(stderr)}`);
  }
  return count > 2 * kilobytes ? 256 : 1024;
}

function timed(argv: readonly string[], { stdin, env = process.env }: Options) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['busybox', 'time', '-f', '%M', ...argv], {
    ...{ stdin, env, stderr: 'pipe' },
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

function countIn(stderr: string): number | undefined {
  const count = /(\d+)\n$/.exec(stderr)?.[1];
  return count === undefined ? undefined : Number(count);
}
