import type { Finding } from '../../path/model/finding.ts';
import type { ArgValue } from '../../path/model/message.ts';

/** Findings that say the same of several nodes: one of them, in words that fit all, and the nodes. */
export interface AlikeFindings {
  finding: Finding;
  nodes: readonly string[];
}

/** What replaces the node's name in a text that is the same for all nodes. */
const EACH = 'each of them';

/**
 * Puts together the findings about nodes as a whole that differ in nothing but the node: same cause, same address family, same evidence,
 * same remedy. They stay in their order, each group where its first is. What is about a pod, and what only one node has, stays as it is.
 */
export function alikeFindings(findings: readonly Finding[]): AlikeFindings[] {
  const groups = Map.groupBy(findings, (finding) => {
    const { node, pod } = finding.subject;
    return node === undefined || pod !== undefined ? finding : JSON.stringify(withoutNode(finding, node));
  });
  return [...groups.values()].map((group) => {
    const [first] = group;
    const nodes = group.flatMap(({ subject }) => subject.node ?? []);
    return { finding: group.length === 1 ? first! : withoutNode(first!, nodes[0]!), nodes };
  });
}

function withoutNode(finding: Finding, node: string): Finding {
  // Of `worker` and `worker-2` or `worker.example`, the one must not be found in the other.
  const name = new RegExp(`(?<![\\w.-])${RegExp.escape(node)}(?![\\w-]|\\.\\w)`, 'g');
  const plain = (text: string) => text.replace(name, EACH);
  const plainValue = (value: ArgValue): ArgValue =>
    typeof value === 'string' ? plain(value) : typeof value === 'number' ? value : value.map(plain);
  const { subject, message, args, evidence, remedy, ...rest } = finding;
  return {
    ...rest,
    subject: subject.family === undefined ? {} : { family: subject.family },
    message: plain(message),
    args: Object.fromEntries(Object.entries(args).map(([name, value]) => [name, plainValue(value)])),
    remedy: plain(remedy),
    evidence: evidence.map(({ kind, where, saw }) => ({ kind, where: plain(where), saw: plain(saw) })),
  };
}
