import { Option } from 'commander';
import type { ApiClientOptions } from '../kube/client.ts';
import { type KubectlTarget, kubectlTarget } from '../kube/kubeconfig.ts';
import type { KubectlFlags } from '../kube/kubectl-flags.ts';
import { clusterOfAuthority } from '../lab/cluster/own-context.ts';
import { type ClusterRecord, listClusters, requireRecord } from '../lab/cluster/record.ts';
import { calledAs } from '../sys/called-as.ts';
import { InputError, UserError } from '../util/errors.ts';
import { shellLine } from '../util/shell-line.ts';
import { collect, requestTimeout } from './option-values.ts';
import { requireRoot, type Verb } from './verb.ts';

/**
 * The cluster that a command is about. One rule for all commands:
 * - `--name` is a cluster of the lab;
 * - `--kubeconfig`, `--context` or another of kubectl's flags is the cluster that kubectl would ask with them, reached as any other;
 * - with neither it is the cluster of kubectl's current context; a lab's own context means that lab.
 */
export type Target = { title: string; flags: string } & (
  | {
      kind: 'lab';
      record: ClusterRecord;
      /** How kubectl reaches it; undefined where it was named as a cluster of the lab. */
      access: ApiClientOptions | undefined;
    }
  | {
      kind: 'cluster';
      access: ApiClientOptions;
      /** The cluster of the lab that it is. Undefined without root, and where it is asked as somebody else or by another way. */
      lab: ClusterRecord | undefined;
    }
);
// `title` is how people see it named; `flags` is what a suggested command needs to be about the same, with a space before it, or nothing.

interface TargetOptions extends KubectlFlags {
  name?: string;
}

const GROUP = 'Which cluster (default: that of the current context):';

const nameOption = () => new Option('--name <cluster>', 'cluster of the lab');
const contextOptions = () => [
  new Option('--kubeconfig <file>', 'kubeconfig (default: $KUBECONFIG, or ~/.kube/config)'),
  new Option('--context <name>', 'context of the kubeconfig'),
];
/** kubectl's other flags of this kind, but for those that would show a secret to everybody on the machine. */
const connectionOptions = () => [
  new Option('--cluster <name>', 'cluster of the kubeconfig'),
  new Option('--user <name>', 'user of the kubeconfig'),
  new Option('-s, --server <url>', 'address of the API server'),
  new Option('--tls-server-name <name>', "name in the API server's certificate"),
  new Option('--certificate-authority <file>', "authority of the API server's certificate"),
  new Option('--insecure-skip-tls-verify', "do not verify the API server's certificate"),
  new Option('--as <user>', 'user to impersonate'),
  new Option('--as-uid <uid>', 'UID to impersonate'),
  new Option('--as-group <group>', 'group to impersonate (repeatable)').argParser(collect(String)),
  new Option('--request-timeout <duration>', 'longest time of one request; 0 is none')
    .argParser(requestTimeout)
    .default(undefined, '30s'),
];

const connectionAttributes = connectionOptions().map((option) => option.attributeName());

/** The attributes of the options that say which cluster is meant: whoever examines something else conflicts with them. */
export const targetAttributes = [nameOption(), ...contextOptions(), ...connectionOptions()].map((option) =>
  option.attributeName(),
);

/** Adds the options that say which cluster is meant; `all` of kubectl's where the command can reach any cluster. */
export function addTargetOptions(verb: Verb, which: 'contexts' | 'all'): void {
  const kubectls = [...contextOptions(), ...(which === 'all' ? connectionOptions() : [])];
  const name = nameOption().conflicts(kubectls.map((option) => option.attributeName()));
  for (const option of [name, ...kubectls]) verb.addOption(option.helpGroup(GROUP));
}

/** What finding a target needs to know; tests have their own. */
export interface TargetDoors {
  kubectl(flags: KubectlFlags): Promise<KubectlTarget>;
  /** The cluster of the lab of that name; rejects when there is none. */
  lab(name: string): Promise<ClusterRecord>;
  /** The cluster of the lab with that certificate authority. */
  labOf(ca: string): Promise<ClusterRecord | undefined>;
  /** Names of the clusters of the lab. */
  labs(): Promise<string[]>;
  uid: number | undefined;
}

const realDoors = (): TargetDoors => ({
  kubectl: kubectlTarget,
  lab: requireRecord,
  labOf: clusterOfAuthority,
  labs: listClusters,
  uid: process.getuid?.(),
});

/**
 * The cluster that a command line is about.
 * @throws InputError when there is none, with what to give.
 */
export async function targetOf(verb: Verb, doors = realDoors()): Promise<Target> {
  const options: TargetOptions = verb.opts();
  const flags = flagsOf(verb);
  if (options.name !== undefined) {
    requireRoot(verb.path, doors.uid);
    const record = await doors.lab(options.name);
    return { kind: 'lab', record, access: undefined, title: titleOfLab(record), flags };
  }
  const { access } = await doors.kubectl(options).catch(async (cause) => {
    if (!(cause instanceof UserError)) throw cause;
    throw new InputError(
      `${cause.message}; choose another with --kubeconfig or --context, or ${await labsToChoose(doors)}`,
      { cause },
    );
  });
  // Nobody else may look at the lab; to them it is a cluster as any other. So it is when asked as somebody else, or by another way.
  const isOwnWay = connectionAttributes.every((attribute) => verb.getOptionValue(attribute) === undefined);
  const mayBeLab = access.ca !== undefined && doors.uid === 0 && isOwnWay;
  const lab = mayBeLab ? await doors.labOf(access.ca!) : undefined;
  const named = lab === undefined ? `Cluster ${access.server}` : titleOfLab(lab);
  const title = access.origin === undefined ? named : `${named}, ${access.origin}`;
  if (lab === undefined || flags !== '') return { kind: 'cluster', access, lab, title, flags };
  // Whoever calls it by kubectl thinks of contexts.
  return { kind: 'lab', record: lab, access, title: verb.path.startsWith('kubectl ') ? title : named, flags };
}

/** What a user can do who has no context: name a lab that there is, or create one. Only root sees which there are. */
async function labsToChoose({ uid, labs }: TargetDoors): Promise<string> {
  const names = uid === 0 ? await labs() : undefined;
  if (names === undefined) return 'a cluster of the lab with --name';
  return names.length === 0
    ? `create a cluster of the lab with "${calledAs()} create cluster"`
    : `a cluster of the lab with --name${names.length === 1 ? '' : ':'} ${names.join(', ')}`;
}

/**
 * The cluster of the lab that a command line is about, for a command that works in the lab only.
 * @throws InputError when it is about another cluster; `instead` says what to do there.
 */
export async function labTargetOf(
  verb: Verb,
  instead: string,
  doors = realDoors(),
): Promise<{ record: ClusterRecord; title: string; flags: string }> {
  requireRoot(verb.path, doors.uid);
  const target = await targetOf(verb, doors);
  const record = target.kind === 'lab' ? target.record : target.lab;
  if (record !== undefined) return { record, title: target.title, flags: target.flags };
  const { server, origin = 'no context' } = target.access!;
  throw new InputError(
    `cannot run ${verb.name()}: ${server} (${origin}) is not a cluster of the lab; ${instead}`,
  );
}

function titleOfLab({ name }: ClusterRecord): string {
  return `Cluster "${name}" of the lab`;
}

/** The options of a target that were typed, as a shell takes them, with a space before. */
function flagsOf(verb: Verb): string {
  const words = verb.options.flatMap((option) => {
    const attribute = option.attributeName();
    if (!targetAttributes.includes(attribute)) return [];
    const value: unknown = verb.getOptionValue(attribute);
    if (value === undefined) return [];
    if (attribute === 'requestTimeout') return [option.long!, `${Number(value)}ms`];
    return [value].flat().flatMap((one) => (one === true ? [option.long!] : [option.long!, String(one)]));
  });
  return words.length === 0 ? '' : ` ${shellLine(words)}`;
}
