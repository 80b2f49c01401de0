import type { Diagnosis, Finding } from '../../path/model/finding.ts';
import { stages } from '../../path/model/stages.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { NoSuitableTarget } from '../inject/book.ts';
import type { FaultTarget } from '../inject/fault.ts';
import type { QuizLab } from './quiz.ts';

/** A lab in memory: a pod with a hostPort on each of some nodes, where what is injected is found at once. */
export class FakeQuizLab implements QuizLab {
  readonly healCommand = 'hostport heal';
  /** What is broken now. */
  broken: { failure: Failure; target: FaultTarget } | undefined;
  /** What the doctor finds besides. */
  others: Finding[] = [];
  /** Nodes that cannot be observed: nothing is found there, and everything is unknown. */
  unobserved: string[] = [];
  /** Nodes whose hostPorts answer to nobody, as of UDP: whether they do is unknown. */
  silent: string[] = [];
  /** Nodes whose pod was deleted. */
  deleted: string[] = [];
  /** Codes that suit no target. */
  unsuitable: string[] = [];
  undone = 0;
  /** What is not as it was once it is undone. */
  unsettled: string[] = [];
  /** How an undo fails, if it does. */
  undoError: Error | undefined;
  readonly #nodes: readonly string[];

  constructor(nodes: readonly string[] = ['n1', 'n2', 'n3']) {
    this.#nodes = nodes;
  }

  async survey(signal: AbortSignal): Promise<{ diagnosis: Diagnosis; targets: () => FaultTarget[] }> {
    return { diagnosis: await this.look(signal), targets: () => this.#nodes.map(targetOn) };
  }

  async look(signal: AbortSignal): Promise<Diagnosis> {
    signal.throwIfAborted();
    const { broken, unobserved, deleted } = this;
    const findings = [
      ...(broken === undefined ? [] : [findingOf(broken.failure, broken.target.node)]),
      ...this.others,
    ].filter(({ subject: { node = '' } }) => ![...unobserved, ...deleted].includes(node));
    const there = this.#nodes.filter((node) => !deleted.includes(node));
    const paths = there.map((node): Diagnosis['paths'][number] => {
      const own = findings.find(({ subject }) => subject.node === node);
      const verdicts = stages.map((stage) => {
        const codes = own?.stage === stage ? [own.code] : [];
        const isUnknown = unobserved.includes(node) || (stage === 'answered' && this.silent.includes(node));
        const verdict = isUnknown ? 'unknown' : codes.length > 0 ? 'broken' : 'ok';
        return [stage, { verdict, codes }];
      });
      const { pod, port } = targetOn(node);
      return {
        node,
        pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
        port,
        stages: Object.fromEntries(verdicts) as Diagnosis['paths'][number]['stages'],
      };
    });
    return {
      apiVersion: 'hostport/v1',
      kind: 'Diagnosis',
      observedAt: '2026-01-01T00:00:00Z',
      paths,
      findings,
      unknowns: unobserved.map((node) => ({ kind: 'node', node, what: 'node report', why: 'no answer' })),
    };
  }

  async inject(failure: Failure, targets: readonly FaultTarget[]): Promise<FaultTarget> {
    const [target] = targets;
    if (this.unsuitable.includes(failure.code) || target === undefined)
      throw new NoSuitableTarget(`cannot inject ${failure.code}: it does not suit`);
    this.broken = { failure, target };
    return target;
  }

  /** What a player does by hand. */
  repair(): void {
    this.broken = undefined;
  }

  async undo(): Promise<void> {
    this.undone++;
    if (this.undoError !== undefined) throw this.undoError;
    this.broken = undefined;
  }

  async settle(signal: AbortSignal): Promise<string[]> {
    signal.throwIfAborted();
    if (this.broken !== undefined) throw new Error('nothing is undone yet');
    return this.unsettled;
  }
}

function targetOn(node: string): FaultTarget {
  return {
    node,
    pod: { namespace: 'default', name: `echo-${node}`, uid: `uid-${node}`, address: '10.0.0.2' },
    port: { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
    sandbox: `sandbox-${node}`,
    nodeAddress: '172.17.0.3',
  };
}

/** A finding of a failure on a whole node. */
export function findingOf(
  { code, stage, severity, explanation, remedy, restart }: Failure,
  node: string,
): Finding {
  return {
    ...{ code, stage, severity, explanation, remedy, restart },
    subject: { node },
    message: `it is so on ${node}`,
    args: {},
    evidence: [
      { kind: 'file', where: '/etc/x', saw: Array.from({ length: 20 }, (_, i) => `line ${i}`).join('\n') },
    ],
    documentation: `docs/failures/${code}.md`,
  };
}
