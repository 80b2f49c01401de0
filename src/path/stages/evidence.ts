import type { Pod } from '../../kube/types.ts';
import type { Rule } from '../../netfilter/index.ts';
import type { Evidence } from '../model/finding.ts';
import type { CachedAttachment } from '../model/node-report.ts';
import type { ConfigFile, NodeView } from '../view/node-view.ts';
import type { PathView, Scene } from '../view/scene.ts';

/** The most characters of a text that are shown, or searched. */
export const LONGEST = 2000;

/** Text as evidence, limited in length and without blank lines before it: Cilium's configuration begins with one. */
export function excerpt(text: string): string {
  const shown = text.trimStart();
  return shown.length <= LONGEST ? shown : `${shown.slice(0, LONGEST)} … (${text.length} characters)`;
}

/** The first of many lines as evidence, and how many there are. */
export function excerptOfLines(lines: readonly string[]): string {
  // None is shorter than its line break.
  const first = lines.slice(0, LONGEST).join('\n');
  return first.length > LONGEST || lines.length > LONGEST
    ? `${first.slice(0, LONGEST)} … (${lines.length} lines)`
    : first;
}

/** A configuration file and its content. */
export function fileEvidence({ path, content }: ConfigFile): Evidence {
  return { kind: 'file', where: path, saw: excerpt(content) };
}

/** A cached attachment and the list that ran for it. */
export function attachmentEvidence({ file, modified, config }: CachedAttachment): Evidence {
  return { kind: 'result', where: `${file} (${modified})`, saw: excerpt(config) };
}

/** How many rules of one owner are shown; it may have left thousands. */
const MAX_RULES = 20;

/** Rules of a node, as the tools print them. */
export function ruleEvidence(
  node: NodeView,
  rules: readonly string[],
  where = `rules of ${node.name}`,
): Evidence[] {
  const evidence = rules.slice(0, MAX_RULES).map((saw): Evidence => ({ kind: 'rule', where, saw }));
  const more = rules.length - MAX_RULES;
  return more <= 0 ? evidence : [...evidence, { kind: 'rule', where, saw: `… ${more} more rules` }];
}

/** One rule by its place among the rules; `note` says what of it matters. */
export function ruleAtEvidence({ location, text }: Pick<Rule, 'location' | 'text'>, note?: string): Evidence {
  const { backend, table, chain } = location;
  const where = `${backend} ${table} ${chain}`;
  return { kind: 'rule', where: note === undefined ? where : `${where} (${note})`, saw: text };
}

/** The content of the plugin directories, so that a reader sees what is missing. */
export function pluginDirectoryEvidence(node: NodeView): Evidence[] {
  const report = node.seen;
  if (report === undefined || 'unknown' in report.cni.plugins) return [];
  const plugins = report.cni.plugins.value;
  return report.cni.binDirs.map((directory) => ({
    kind: 'file',
    where: directory,
    saw:
      excerpt(plugins.flatMap((file) => (file.directory === directory ? [file.name] : [])).join(' ')) ||
      '(empty)',
  }));
}

/** The newest event about a pod whose message matches; a failed sandbox goes before events that follow from it. */
export function eventEvidence(scene: Scene, pod: Pod, pattern: RegExp): Evidence[] {
  // Only the beginning of an endless message, because patterns take time.
  const matching = scene.eventsOf(pod).filter(({ message }) => pattern.test(excerpt(message ?? '')));
  const event = matching.findLast(({ reason }) => reason === 'FailedCreatePodSandBox') ?? matching.at(-1);
  if (event === undefined) return [];
  const { namespace, name } = pod.metadata ?? {};
  return [
    {
      kind: 'event',
      where: `pod ${namespace}/${name}: ${event.reason ?? ''}`,
      saw: excerpt(event.message ?? ''),
    },
  ];
}

/** The first such event of any pod on a node. */
export function nodeEventEvidence(scene: Scene, node: NodeView, pattern: RegExp): Evidence[] {
  // A pod may have thousands of ports.
  for (const pod of new Set(scene.pathsOn(node).map((path) => path.pod))) {
    const found = eventEvidence(scene, pod, pattern);
    if (found.length > 0) return found;
  }
  return [];
}

/** Whether a mapping works from another machine: then no configuration is at fault. */
export function answersFromElsewhere({ probes }: PathView): boolean {
  return ['outside', 'other-node'].some(
    (vantage) => probes.get(vantage as 'outside' | 'other-node')?.outcome === 'answered',
  );
}
