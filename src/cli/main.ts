import { basename } from 'node:path';
import { UserError } from '../util/errors.ts';
import { explained } from '../util/system-error.ts';
import { Output } from './output.ts';
import { errorText } from './printer/notices.ts';

/** A daemon's entry point: arguments without the program's name in, exit status out. */
type Main = (argv: string[]) => Promise<number>;

/** Daemons by the name the program is called under, loaded only when they are meant. */
const DAEMONS: Record<string, () => Promise<{ main: Main }>> = {
  kubelet: () => import('../lab/kubelet/main.ts'),
  'kube-apiserver': () => import('../lab/apiserver/main.ts'),
  'kube-controller-manager': () => import('../lab/controllers/main.ts'),
  'kube-scheduler': () => import('../lab/scheduler/main.ts'),
  'cilium-agent': () => import('../lab/cilium/main.ts'),
  'echo-server': () => import('../lab/echo/main.ts'),
  registry: () => import('../lab/images/registry.ts'),
  gateway: () => import('../lab/cluster/gateway.ts'),
};

/** Programs of the how-to that `hostport shell` replaces, and kubectl's plugin. */
const OTHER_NAMES = ['docker', 'kind', 'sudo', 'kubectl-hostport'];

function daemonNamed(name: string) {
  return Object.hasOwn(DAEMONS, name) ? DAEMONS[name] : undefined;
}

async function run(): Promise<number> {
  // A hard link keeps its own name here, whatever argv[0] says.
  const name = basename(process.execPath);
  const argv = process.argv.slice(2);
  const called = daemonNamed(name);
  if (called !== undefined) return (await called()).main(argv);
  const named = daemonNamed(argv[0] ?? '');
  if (named !== undefined) return (await named()).main(argv.slice(1));
  const { commandLine } = await import('./command-line.ts');
  return commandLine(OTHER_NAMES.includes(name) ? name : 'hostport', argv, () => output.check());
}

const output = new Output(process.stdout);
const errors = new Output(process.stderr);
try {
  process.exitCode = await run();
} catch (error) {
  process.stderr.write(errorText(explained(error), process.stderr));
  if (!(error instanceof UserError) && error instanceof Error && process.env.HOSTPORT_DEBUG !== undefined) {
    process.stderr.write(`${error.stack}\n`);
  }
  process.exitCode = error instanceof UserError ? error.exitCode : 1;
}
// Daemons and commands have finished their work when they return, and what is still open (keep-alive sockets) may be dropped. What was
// printed may not: a pipe takes 64 KiB at a time, and exit does not wait for its reader.
await Promise.all([output.end(), errors.end()]);
process.exit();
