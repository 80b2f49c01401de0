import { type Command, CommanderError } from 'commander';
import { UserError } from '../util/errors.ts';
import { explained } from '../util/system-error.ts';
import { VERSION } from '../util/version.ts';
import { command, requireRoot, type Verb } from './verb.ts';

/** The name under which kubectl finds its plugin. */
const KUBECTL_PLUGIN = 'kubectl-hostport';

/**
 * What any user may run: commands that report less without root, commands that read nothing of the lab, and those about a cluster that may not
 * be one of the lab, which see to it themselves (`targetOf`).
 */
function isRootless(verb: Verb): boolean {
  if (verb.name() === 'doctor') return verb.getOptionValue('local') === undefined;
  if (verb.name() === 'heal') return verb.getOptionValue('watch') === undefined;
  return (
    [
      ...['version', 'node-report', 'faults', 'completion', 'complete'],
      ...['answers', 'trace', 'break', 'unbreak', 'ui', 'quiz'],
    ].includes(verb.name()) ||
    verb.path.endsWith(' fetch kubernetes') ||
    / agent (?:install|status|uninstall)$/.test(verb.path)
  );
}

/**
 * Parses and runs one command line. Returns the exit status (docs/exit-status.md): 0 done, 1 failed or problems found, 2 wrong input, and
 * nothing was started; commands that run another program (`exec`, `run`, `shell`) return that program's.
 * @param written rejects when something printed was lost; asked after a command that did not fail.
 */
export async function commandLine(
  name: string,
  argv: string[],
  written: () => Promise<void> = async () => {},
): Promise<number> {
  if (name === 'sudo') return (await import('./stand-ins.ts')).sudo(argv);
  const program = await programNamed(name, argv);
  let running: Verb | undefined;
  program.hook('preAction', (_, action) => {
    running = action as Verb;
    if (!isRootless(running)) requireRoot(running.path);
  });
  try {
    checkHelp(program, argv);
    await program.parseAsync(argv, { from: 'user' });
    await written();
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its own message; help that was asked for is no failure.
      if (error.exitCode !== 0) return 2;
      await written();
      return 0;
    }
    // An error with a status of its own (wrong input, an interruption) keeps it.
    const isPlain = !(error instanceof UserError) || error.exitCode === 1;
    if (running === undefined || running.failureStatus === 1 || !isPlain) throw error;
    throw new UserError(explained(error), { cause: error, exitCode: running.failureStatus });
  }
  return Number(process.exitCode ?? 0);
}

/** Refuses `help` of a command that is not there: commander prints its list of commands, and no error. */
function checkHelp(program: Verb, argv: readonly string[]): void {
  let verb: Command = program;
  for (const [i, word] of argv.entries()) {
    const inner = verb.commands.find((known) => known.name() === word);
    if (inner !== undefined) {
      verb = inner;
      continue;
    }
    const wanted = argv[i + 1];
    if (word !== 'help' || wanted === undefined || verb.commands.length === 0) return;
    if (!wanted.startsWith('-') && !verb.commands.some((known) => known.name() === wanted))
      verb.error(`error: unknown command '${wanted}'`);
    return;
  }
}

async function programNamed(name: string, argv: readonly string[]): Promise<Verb> {
  if (name !== 'docker' && name !== 'kind') return hostport(name, argv[0]);
  const { dockerCommand, kindCommand } = await import('./stand-ins.ts');
  return name === 'docker' ? dockerCommand() : kindCommand();
}

/** Commands that share a module: their names, and how they are loaded. */
interface VerbGroup {
  names: readonly string[];
  load: () => Promise<Verb[]>;
  /** What the command line runs on nodes; its input is JSON on standard input. */
  hidden?: true;
}

/** All commands, in the order of `--help`. A command runs on a node many times a minute: only its own module is loaded then. */
const VERBS: readonly VerbGroup[] = [
  {
    names: ['create', 'delete', 'get', 'export', 'load', 'build'],
    load: async () => (await import('./verbs/cluster.ts')).clusterVerbs(),
  },
  { names: ['fetch'], load: async () => [(await import('./verbs/fetch.ts')).fetchVerb()] },
  {
    names: ['exec', 'cp', 'ps', 'run', 'shell'],
    load: async () => (await import('./verbs/node.ts')).nodeVerbs(),
  },
  { names: ['doctor'], load: async () => [(await import('./verbs/doctor.ts')).doctorVerb()] },
  { names: ['ui'], load: async () => [(await import('./verbs/ui.ts')).uiVerb()] },
  { names: ['agent'], load: async () => [(await import('./verbs/agent.ts')).agentVerb()] },
  { names: ['heal'], load: async () => [(await import('./verbs/heal.ts')).healVerb()] },
  {
    names: ['faults', 'break', 'unbreak'],
    load: async () => (await import('./verbs/break.ts')).breakVerbs(),
  },
  { names: ['answers'], load: async () => [(await import('./verbs/answers.ts')).answersVerb()] },
  { names: ['trace'], load: async () => [(await import('./verbs/trace.ts')).traceVerb()] },
  { names: ['quiz'], load: async () => [(await import('./verbs/quiz.ts')).quizVerb()] },
  { names: ['tour'], load: async () => [(await import('./verbs/tour.ts')).tourVerb()] },
  { names: ['cni'], load: async () => [(await import('./verbs/cni.ts')).cniVerb()] },
  {
    names: ['node-report'],
    load: async () => [(await import('./verbs/node-report.ts')).nodeReportVerb()],
  },
  { names: ['version'], load: async () => [(await import('./verbs/version.ts')).versionVerb(VERSION)] },
  {
    names: ['completion'],
    load: async () => [(await import('./verbs/completion.ts')).completionVerb()],
  },
  {
    names: ['complete'],
    load: async () => [(await import('./verbs/completion.ts')).completeVerb(hostport)],
    hidden: true,
  },
  {
    names: ['node-probe'],
    load: async () => [(await import('./verbs/node-probe.ts')).nodeProbeVerb()],
    hidden: true,
  },
  {
    names: ['node-serve'],
    load: async () => [(await import('./verbs/node-serve.ts')).nodeServeVerb()],
    hidden: true,
  },
  {
    names: ['node-wait'],
    load: async () => [(await import('./verbs/node-wait.ts')).nodeWaitVerb()],
    hidden: true,
  },
];

function groupsFor(first: string | undefined): readonly VerbGroup[] {
  if (first === '--version') return [];
  const meant = VERBS.filter(({ names }) => first !== undefined && names.includes(first));
  return meant.length > 0 ? meant : VERBS;
}

/**
 * The command line of `hostport`, also under the name by which kubectl calls it: with the commands of one group if `first`, the first word
 * of the command line, is a command's name; with none for `--version`; otherwise with all, for help, suggestions and tests.
 */
export async function hostport(name = 'hostport', first?: string): Promise<Verb> {
  const program = command(name === KUBECTL_PLUGIN ? 'kubectl hostport' : name)
    .description(
      'find and fix broken hostPorts on any CNI\n\nBrings a portmap CNI plugin of its own, and lab clusters on this machine to see failures in.',
    )
    .version(VERSION)
    .addHelpText('after', '\nExample:\n  hostport create cluster\n  hostport run -- kubectl get nodes');
  for (const { load, names, hidden = false } of groupsFor(first)) {
    for (const verb of await load()) {
      if (!names.includes(verb.name())) throw new Error(`${verb.name()} is not among ${names.join(', ')}`);
      program.addCommand(verb, { hidden });
    }
  }
  return program;
}
