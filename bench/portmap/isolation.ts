import { output, realExec } from '../../src/sys/exec.ts';

const INSIDE = 'HOSTPORT_BENCH_INSIDE';

/**
 * Runs this script again in a network and a mount namespace of its own, with these variables more; its exit status. The measured
 * plugins meet no lock, record or namespace of the machine, and nothing of theirs is left, however the measuring ends. As root.
 */
export function runIsolated(script: string, env: Record<string, string>): number {
  const { exitCode } = Bun.spawnSync(
    ['unshare', '--mount', '--net', process.execPath, script, ...process.argv.slice(2)],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env, [INSIDE]: '1' } },
  );
  return exitCode ?? 1;
}

/** Whether this process is the one that {@link runIsolated} started. */
export function isIsolated(): boolean {
  return process.env[INSIDE] !== undefined;
}

/** Gives the mount namespace of this process, which is its own, an empty /run. */
export async function emptyRun(): Promise<void> {
  await output(realExec, ['mount', '-t', 'tmpfs', 'tmpfs', '/run']);
}
