import {
  type Evidence,
  type Finding,
  type HostPort,
  type PathVerdict,
  type Subject,
  severities,
} from '../model/finding.ts';
import { formatPort } from '../model/host-ports.ts';
import { stages } from '../model/stages.ts';
import { podName } from '../view/pod-name.ts';

/** One cause: what the findings that say the same of several nodes or pods have in common. */
export interface Cause {
  /** The first of them, in words that fit all where that is possible. */
  finding: Finding;
  /** All of them. */
  findings: readonly Finding[];
  /** Nodes that it is about, each once. */
  nodes: readonly string[];
  /** Pods that it is about, each once; none where it is about nodes as a whole. */
  pods: readonly string[];
  /** The mappings that it breaks, puts at risk or is noted of. */
  hurt: readonly PathVerdict[];
  /** How many pods these are of. */
  hurtPods: number;
  /** Whose message and evidence the finding has; undefined where they are those of all. */
  example: { message?: string; evidence?: string };
}

/** What replaces a name in a text that is the same for all. */
const EACH = 'each of them';
const ITS_NODE = 'its node';

/**
 * Puts together the findings of one cause: the same code, remedy and message but for the names of node and pod, addresses and IDs. Their evidence
 * is each one's own: a sandbox's result names the sandbox. Worst first, then what hurts most pods, then most of their mappings, then as they were.
 */
export function causesOf(findings: readonly Finding[], paths: readonly PathVerdict[]): Cause[] {
  const mappings = mappingsBehind(paths);
  const groups = Map.groupBy(findings, keyOf);
  const causes = [...groups.values()].map((group): Cause => {
    const hurt = [...new Set(group.flatMap((finding) => mappings(finding)))];
    const hurtPods = new Set(hurt.map(({ pod }) => pod.uid)).size;
    const nodes = [...new Set(group.flatMap(({ subject }) => subject.node ?? []))];
    const pods = [...new Set(group.flatMap(({ subject }) => (subject.pod ? podName(subject.pod) : [])))];
    return { ...together(group), findings: group, nodes, pods, hurt, hurtPods };
  });
  return causes.toSorted(
    (a, b) =>
      severities.indexOf(a.finding.severity) - severities.indexOf(b.finding.severity) ||
      b.hurtPods - a.hurtPods ||
      b.hurt.length - a.hurt.length,
  );
}

/** What two findings of one cause have in common. */
function keyOf({ code, stage, severity, subject, message, remedy, restart, command }: Finding): string {
  const plain = (text: string) => withoutValues(withoutSubject(text, subject));
  return JSON.stringify([
    ...[code, stage, severity, restart, command, subject.family, subject.pod !== undefined],
    ...[plain(message), plain(remedy)],
  ]);
}

/** One finding that speaks of all. Where they differ in more than names, it is the first one's own words. */
function together(group: readonly Finding[]): Pick<Cause, 'finding' | 'example'> {
  const [first] = group as [Finding, ...Finding[]];
  if (group.length === 1) return { finding: first, example: {} };
  const common = <T>(of: (finding: Finding) => T): T | undefined => {
    const mine = JSON.stringify(of(first));
    return group.every((finding) => JSON.stringify(of(finding)) === mine) ? of(first) : undefined;
  };
  const message = common(({ message, subject }) => withoutSubject(message, subject));
  const remedy = common(({ remedy, subject }) => withoutSubject(remedy, subject));
  const evidence = common(({ evidence, subject }) =>
    evidence.map((entry) => evidenceWithoutSubject(entry, subject)),
  );
  const { family } = first.subject;
  const who = describe(first.subject);
  return {
    finding: {
      ...first,
      subject: family === undefined ? {} : { family },
      message: message ?? first.message,
      remedy: remedy ?? first.remedy,
      evidence: evidence ?? first.evidence,
    },
    example: {
      ...(message === undefined && { message: who }),
      ...(evidence === undefined && { evidence: who }),
    },
  };
}

function describe({ node, pod }: Subject): string {
  return [pod && podName(pod), node].filter((part) => part !== undefined).join(' on ');
}

function evidenceWithoutSubject({ kind, where, saw }: Evidence, subject: Subject): Evidence {
  return { kind, where: withoutSubject(where, subject), saw: withoutSubject(saw, subject) };
}

/** A text without the names of the subject's node and pod: of many nodes, or many pods each on its node. */
export function withoutSubject(text: string, { node, pod }: Subject): string {
  const names: [name: string | undefined, word: string][] =
    pod === undefined
      ? [[node, EACH]]
      : [
          [`${pod.namespace}/${pod.name}`, EACH],
          [pod.name, EACH],
          [node, ITS_NODE],
        ];
  return names.reduce(
    (plain, [name, word]) => (name === undefined ? plain : withoutName(plain, name, word)),
    text,
  );
}

/** A reason as it is the same for several nodes: without the name of the node that it is about. */
export function withoutNode(reason: string, node: string | undefined): string {
  return node === undefined ? reason : withoutName(reason, node, 'its node');
}

/**
 * A text with a word in place of a name, wherever that stands whole: of `worker` and `worker-2` or `worker.example`, the one must not be found
 * in the other. Without a regular expression: a cluster has tens of thousands of names, and each would be one.
 */
function withoutName(text: string, name: string, word: string): string {
  let plain = '';
  let done = 0;
  if (name === '') return text;
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + name.length)) {
    const end = at + name.length;
    const isWhole =
      !IN_NAME.test(text[at - 1] ?? ' ') &&
      !/[\w-]/.test(text[end] ?? ' ') &&
      !(text[end] === '.' && /\w/.test(text[end + 1] ?? ' '));
    if (!isWhole) continue;
    plain += text.slice(done, at) + word;
    done = end;
  }
  return plain + text.slice(done);
}

const IN_NAME = /[\w.-]/;

/** What differs from node to node without being another cause: addresses, IDs, and devices that are named by one. */
function withoutValues(text: string): string {
  return text
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?:\/\d+)?(?::\d+)?\b/g, '…')
    .replace(/(?<![\w:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:\/\d+)?(?![\w:])/gi, '…')
    .replace(/\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi, '…')
    .replace(/\b(?:lxc|cali|veth|eni|tap)[0-9a-f_]{4,}\b/gi, '…')
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b/gi, '…');
}

/** For a finding, the mappings that it is behind. One of a mapping looks at that alone: a pod may have thousands. */
export function mappingsBehind(paths: readonly PathVerdict[]): (finding: Finding) => readonly PathVerdict[] {
  const byNode = Map.groupBy(paths, ({ node }) => node);
  const byPod = Map.groupBy(paths, ({ pod }) => pod.uid);
  const byPort = Map.groupBy(paths, ({ pod, port }) => portKey(pod, port));
  const near = ({ node, pod, port }: Subject) => {
    if (pod === undefined) return node === undefined ? paths : byNode.get(node);
    return port === undefined ? byPod.get(pod.uid) : byPort.get(portKey(pod, port));
  };
  return ({ code, subject }) => {
    const { family } = subject;
    return (near(subject) ?? []).filter(
      (path) =>
        (family === undefined || path.family === undefined || path.family === family) &&
        stages.some((stage) => path.stages[stage].codes.includes(code)),
    );
  };
}

function portKey({ uid }: PathVerdict['pod'], port: HostPort): string {
  return `${uid} ${formatPort(port)}`;
}
