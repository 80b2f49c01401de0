import { CommanderError } from 'commander';
import { messageOf, UserError } from '../util/errors.ts';
import { dockerCommand, kindCommand, sudo } from './stand-ins.ts';
import { command, requireRoot, type Verb } from './verb.ts';
import { answersVerb } from './verbs/answers.ts';
import { breakVerbs } from './verbs/break.ts';
import { clusterVerbs } from './verbs/cluster.ts';
import { cniVerb } from './verbs/cni.ts';
import { doctorVerb } from './verbs/doctor.ts';
import { healVerb } from './verbs/heal.ts';
import { nodeVerbs } from './verbs/node.ts';
import { nodeApplyVerb } from './verbs/node-apply.ts';
import { nodeProbeVerb } from './verbs/node-probe.ts';
import { nodeReportVerb } from './verbs/node-report.ts';
import { tourVerb } from './verbs/tour.ts';
import { versionVerb } from './verbs/version.ts';
import { VERSION } from './version.ts';

/** The name under which kubectl finds its plugin. */
const KUBECTL_PLUGIN = 'kubectl-hostport';

/** What any user may run: commands that report less without root, and commands that read nothing of the lab. */
function isRootless(verb: Verb): boolean {
  if (verb.name() === 'doctor') {
    return ['explain', 'from', 'kubeconfig', 'reports'].some(
      (option) => verb.getOptionValue(option) !== undefined,
    );
  }
  return ['version', 'node-report', 'faults'].includes(verb.name());
}

/**
 * Parses and runs one command line. Returns the exit status (docs/exit-status.md): 0 done, 1 failed or problems found, 2 wrong input, and
 * nothing was started; commands that run another program (`exec`, `run`, `shell`) return that program's.
 */
export async function commandLine(name: string, argv: string[]): Promise<number> {
  if (name === 'sudo') return sudo(argv);
  const program = name === 'docker' ? dockerCommand() : name === 'kind' ? kindCommand() : hostport(name);
  let running: Verb | undefined;
  program.hook('preAction', async (_, action) => {
    running = action as Verb;
    if (name === KUBECTL_PLUGIN) {
      const { meanClusterOfContext } = await import('./kubectl-plugin.ts');
      meanClusterOfContext(running);
    }
    if (!isRootless(running)) requireRoot(running.path);
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its own message; help that was asked for is no failure.
      return error.exitCode === 0 ? 0 : 2;
    }
    // An error with a status of its own (wrong input, an interruption) keeps it.
    const isPlain = !(error instanceof UserError) || error.exitCode === 1;
    if (running === undefined || running.failureStatus === 1 || !isPlain) throw error;
    throw new UserError(messageOf(error), { cause: error, exitCode: running.failureStatus });
  }
  return Number(process.exitCode ?? 0);
}

/** The whole command line of `hostport`, also under the name by which kubectl calls it. */
export function hostport(name = 'hostport'): Verb {
  const program = command(name === KUBECTL_PLUGIN ? 'kubectl hostport' : name)
    .description(
      'find and fix broken hostPorts on any CNI\n\nBrings a portmap CNI plugin of its own, and lab clusters on this machine to see every failure in.',
    )
    .version(VERSION)
    .addHelpText('after', '\nExample:\n  hostport create cluster\n  hostport run -- kubectl get nodes');
  const verbs = [
    ...clusterVerbs(),
    ...nodeVerbs(),
    doctorVerb(),
    healVerb(),
    ...breakVerbs(),
    answersVerb(),
    tourVerb(),
    cniVerb(),
    nodeReportVerb(),
    versionVerb(VERSION),
  ];
  for (const verb of verbs) program.addCommand(verb);
  // What the command line runs on nodes; its input is JSON on standard input.
  for (const verb of [nodeProbeVerb(), nodeApplyVerb()]) program.addCommand(verb, { hidden: true });
  return program;
}
