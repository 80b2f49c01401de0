import { type Exec, ExecError } from '../sys/exec.ts';

/** Where system tools are when the runtime passes no useful PATH (kubelet and containerd services often do not). */
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * {@link Exec} by Bun.spawn. A plugin is a process per call and node:child_process costs it milliseconds to load.
 * Supports what plugins use: standard input as text, a deadline.
 */
export const bunExec: Exec = {
  async run(argv, options = {}) {
    const [program, ...args] = argv;
    const path = `${process.env.PATH ?? ''}:${SYSTEM_PATH}`;
    const file = Bun.which(program ?? '', { PATH: path });
    if (file === null) {
      throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, `not found in ${path}`);
    }
    const timeoutMs = options.timeoutMs ?? 30_000;
    const child = Bun.spawn([file, ...args], {
      cwd: options.cwd,
      env: { ...(options.env ?? process.env), PATH: path },
      stdin: options.stdin === undefined ? 'ignore' : new Blob([options.stdin as string]),
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const result = { code, stdout, stderr };
    if (child.signalCode === 'SIGKILL') {
      throw new ExecError(argv, result, `killed, at the latest by its deadline of ${timeoutMs} ms`);
    }
    return result;
  },
};
