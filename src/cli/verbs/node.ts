import { basename, dirname } from 'node:path';
import { Option } from 'commander';
import { stringify } from 'yaml';
import { enterLab, labEnvironment } from '../../lab/cluster/inside.ts';
import { matchingKubectl } from '../../lab/cluster/kubectl.ts';
import {
  type CopyPath,
  copy,
  copyArchiveIn,
  nodeForeground,
  parseCopyPath,
} from '../../lab/cluster/node-exec.ts';
import { listNodes } from '../../lab/cluster/node-status.ts';
import { type ClusterRecord, requireRecord } from '../../lab/cluster/record.ts';
import { distributionOf } from '../../sys/distribution.ts';
import { realExec } from '../../sys/exec.ts';
import { foreground } from '../../sys/foreground.ts';
import { andMore } from '../../util/and-more.ts';
import { InputError } from '../../util/errors.ts';
import { safeText } from '../../util/safe-text.ts';
import { interruptible } from '../interruptible.ts';
import { absolutePath, collect, environmentEntry, oneOf, userNumbers } from '../option-values.ts';
import { layoutOf } from '../printer/layout.ts';
import { table } from '../printer/table.ts';
import { paragraph } from '../printer/wrap.ts';
import { command, examples, exitWith } from '../verb.ts';

/** Commands about nodes, with docker's grammar, and the ones that run inside the lab's network. */
export function nodeVerbs() {
  return [execVerb(), cp(), ps(), run(), shell()];
}

/** `docker exec` for nodes. */
export function execVerb() {
  const verb = command('exec')
    .description('run a command in a node')
    .argument('<node>', 'name of the node')
    .argument('<command...>', 'the command and its arguments, after --')
    .option('-i, --interactive', 'pass standard input to it', false)
    .option('-t, --tty', 'run it on a terminal', false)
    .option('-e, --env <entry>', 'set NAME=VALUE (repeatable)', collect(environmentEntry), [])
    .option('-w, --workdir <dir>', 'directory to start in', absolutePath)
    .option('-u, --user <user>', 'user to run as: UID[:GID]', userNumbers)
    .passThroughOptions()
    .action(async (node: string, words: string[], options) => {
      if (options.tty && !process.stdin.isTTY) {
        throw new InputError('cannot run exec with -t: standard input is not a terminal; leave -t out');
      }
      const stdin = options.interactive || options.tty ? 'inherit' : 'ignore';
      exitWith(await nodeForeground(realExec, node, afterDashes(words), { ...options, stdin }));
    });
  return examples(
    verb,
    'hostport exec kind-worker -- ls /opt/cni/bin /etc/cni/net.d',
    'hostport exec -it kind-worker -- bash',
  );
}

/** `docker cp` for nodes. */
export function cp() {
  const verb = command('cp')
    .description('copy files between this machine and a node')
    .argument('<src>', 'PATH or NODE:PATH; "-" reads a tar archive from standard input')
    .argument('<dst>', 'NODE:PATH or PATH; "-" writes a tar archive to standard output')
    .action(async (from: string, to: string) => {
      if (from === '-' || to === '-') exitWith(await copyStream(parseCopyPath(from), parseCopyPath(to)));
      else {
        const work = (signal: AbortSignal) => copy(realExec, parseCopyPath(from), parseCopyPath(to), signal);
        const leftOut = await interruptible(work);
        if (leftOut.length > 0) process.stderr.write(`${safeText(leftOutNote(leftOut))}\n`);
      }
    });
  return examples(
    verb,
    'hostport cp kind-worker:/etc/cni/net.d - | tar -t',
    'hostport cp /tmp/cni/000-cilium-portmap.conflist kind-worker3:/etc/cni/net.d/000-cilium-portmap.conflist',
  );
}

/** How many paths a note names. */
const NAMED = 3;

function leftOutNote(paths: readonly string[]): string {
  return `left out, since a copy on this machine would be a device or FIFO of its kernel: ${andMore(paths, NAMED)}`;
}

/** docker's `-`: the node's own tar creates or unpacks the archive. Returns the exit status. */
async function copyStream(from: CopyPath, to: CopyPath): Promise<number> {
  const { node, path } = from.path === '-' ? to : from;
  if (node === undefined)
    throw new InputError('cannot copy: "-" needs a node on the other side; give NODE:PATH - or - NODE:PATH');
  if (path === '') throw new InputError('cannot copy: neither path may be empty');
  if (from.path === '-') {
    await interruptible((signal) => copyArchiveIn(realExec, () => Bun.stdin.bytes(), { node, path }, signal));
    return 0;
  }
  if (process.stdout.isTTY) {
    throw new InputError(
      'cannot write a tar archive to a terminal; redirect it: "… | tar -t" or "… > file.tar"',
    );
  }
  const command = ['tar', '-C', dirname(path), '-cf', '-', '--', basename(path) || '.'];
  return nodeForeground(realExec, node, command, { stdin: 'ignore' });
}

/** `docker ps` for nodes. */
export function ps() {
  const verb = command('ps')
    .description('list the nodes of all clusters on this machine')
    .option('-o, --output <format>', 'json or yaml instead of a table', oneOf('json', 'yaml'))
    .addOption(new Option('-q, --quiet', 'names only').default(false).conflicts('output'))
    .option('-a, --all', 'for compatibility: nodes that do not run are always listed', false)
    .action(async (options) => {
      const nodes = await listNodes(realExec);
      if (options.quiet) process.stdout.write(nodes.map(({ name }) => `${name}\n`).join(''));
      else if (options.output === 'json') process.stdout.write(`${JSON.stringify(nodes, null, 2)}\n`);
      else if (options.output === 'yaml') process.stdout.write(stringify(nodes));
      else {
        const rows = nodes.map((node) => [node.name, node.cluster, node.role, node.status, node.address]);
        process.stdout.write(
          table(['NAME', 'CLUSTER', 'ROLE', 'STATUS', 'ADDRESS'], rows, layoutOf(process.stdout)),
        );
      }
    });
  return examples(verb, 'hostport ps', 'hostport ps -o json');
}

function run() {
  const verb = command('run')
    .description(
      "run a command on the nodes' network, outside the nodes\n\nKUBECONFIG is set for the command.",
    )
    .argument('<command...>', 'the command and its arguments, after --')
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .passThroughOptions()
    .action(async (words: string[], options) => {
      const record = await requireRecord(options.name);
      exitWith(await inLab(record, afterDashes(words)));
    });
  return examples(
    verb,
    'hostport run -- curl -sS http://172.17.0.3',
    'hostport run -- kubectl get pods -o wide',
  );
}

function shell() {
  const verb = command('shell')
    .description(
      "open a shell on the nodes' network, outside the nodes\n\nIn it, kubectl, kind and docker exec|cp|ps act on this lab.",
    )
    .option('--name <cluster>', 'name of the cluster', 'kind')
    .action(async (options) => {
      const record = await requireRecord(options.name);
      // Commands from a pipe are a script's: its output gets no banner.
      if (process.stdin.isTTY && process.stderr.isTTY) process.stderr.write(banner(record));
      exitWith(await inLab(record, [process.env.SHELL || '/bin/sh'], promptMark(record)));
    });
  return examples(verb, 'hostport shell', "echo 'curl -sS 172.17.0.3' | hostport shell");
}

async function inLab(
  record: ClusterRecord,
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const dist = distributionOf();
  await enterLab(record, realExec);
  const own = await matchingKubectl(record);
  return foreground(argv, { env: { ...labEnvironment(record, dist, { own }), ...env } });
}

function banner({ name, nodes }: ClusterRecord): string {
  const places = nodes.map((node) => `  ${node.address}  ${node.name}\n`).join('');
  const layout = layoutOf(process.stderr);
  return [
    paragraph(`This shell runs on the network of cluster "${name}", outside its nodes:`, layout, '', ''),
    places,
    paragraph(
      'kubectl, kind and docker exec|cp|ps act on this cluster. "exit" ends the shell.',
      layout,
      '',
      '',
    ),
  ].join('');
}

/** What Debian's prompt shows before the user's name, in parentheses, so that the shell says where it runs. */
function promptMark({ name }: ClusterRecord): Record<string, string> {
  return { debian_chroot: `lab ${name}` };
}

/** The command without the `--` before it, which options that are passed through leave in place. */
function afterDashes(words: string[]): string[] {
  return words[0] === '--' ? words.slice(1) : words;
}
