import { isConditionTrue } from '../../kube/conditions.ts';
import type { Pod } from '../../kube/types.ts';
import type { Diagnosed } from '../../path/diagnose/diagnose.ts';
import type { Finding } from '../../path/model/finding.ts';
import type { World } from '../../path/model/world.ts';
import { podName } from '../../path/view/pod-name.ts';
import { type Clock, realClock } from '../../sys/clock.ts';
import { DeadlineError, waitFor } from '../../sys/wait.ts';
import { andMore } from '../../util/and-more.ts';
import type { Injected } from './book.ts';

/** How long pods may take to be ready again, in milliseconds: their kubelet tries again and again, with pauses. */
const BACK_MS = 60_000;
/** How long an application may take to listen once its pod is ready, in milliseconds. */
const LISTENING_MS = 5000;
const LOOK_MS = 250;

/** How many pods a text names. */
const SHOWN = 10;

/** A pod that was ready before a failure was injected, and is not now. */
export interface NotBack {
  node: string;
  pod: { namespace: string; name: string };
  /** What was last seen of it. */
  why: string;
}

/** How the nodes are once failures on them are undone. */
export interface Aftermath {
  notBack: NotBack[];
  /** What is broken on these nodes still, and is to be fixed. */
  left: Finding[];
}

/** How the lab is looked at: what is known of some nodes and their pods, with or without probes. */
export type Look = (nodes: ReadonlySet<string>, probes: boolean) => Promise<Diagnosed>;

/**
 * Waits until the pods that were ready before the failures were injected are ready again, for a minute at most, and looks at what is broken still.
 * Where another failure is still injected on a node, its pods are not awaited: that may be what they wait for. `waiting` is called once, if there is
 * something to wait for.
 */
export async function aftermathOf(
  look: Look,
  undone: readonly Injected[],
  remaining: readonly Injected[],
  { signal, clock = realClock, waiting }: { signal: AbortSignal; clock?: Clock; waiting?: () => void },
): Promise<Aftermath> {
  if (undone.length === 0) return { notBack: [], left: [] };
  const nodes = new Set(undone.map(({ target }) => target.node));
  const stillBroken = new Set(remaining.map(({ target }) => target.node));
  const awaited = undone.filter(({ target }) => !stillBroken.has(target.node));
  let notBack: NotBack[] = [];
  let looks = 0;
  await untilOrDeadline(BACK_MS, 'pods to be ready again', async () => {
    notBack = notBackIn((await look(nodes, false)).scene.world, awaited);
    if (notBack.length > 0 && looks++ === 0) waiting?.();
    return notBack.length === 0;
  });
  let left: Finding[] = [];
  await untilOrDeadline(LISTENING_MS, 'applications to listen', async () => {
    left = leftIn((await look(nodes, true)).diagnosis.findings, nodes, remaining);
    return notBack.length > 0 || !left.some(({ stage }) => stage === 'answered');
  });
  return { notBack, left };

  async function untilOrDeadline(timeoutMs: number, what: string, condition: () => Promise<boolean>) {
    try {
      await waitFor(what, condition, { timeoutMs, intervalMs: LOOK_MS, signal, clock });
    } catch (cause) {
      // What was last seen says what is missing.
      if (!(cause instanceof DeadlineError)) throw cause;
    }
  }
}

/** Which pods that were ready before are not now. One that is gone was removed by somebody, and is not awaited. */
export function notBackIn(world: World, undone: readonly Injected[]): NotBack[] {
  const expected = new Map(
    undone.flatMap(({ ready, target: { node } }) =>
      ready.map((pod) => [`${node} ${pod.namespace}/${pod.name}`, { node, pod }] as const),
    ),
  );
  return [...expected.values()].flatMap(({ node, pod }) => {
    const now = world.pods.find(
      ({ metadata, spec }) =>
        metadata?.namespace === pod.namespace && metadata.name === pod.name && spec?.nodeName === node,
    );
    const why = now === undefined ? undefined : whyNotBack(now, node, world);
    return why === undefined ? [] : [{ node, pod, why }];
  });
}

/** Why a pod does not run as it should; undefined when it does. The API may say that it is ready when its sandbox is gone already. */
function whyNotBack({ metadata, status }: Pod, node: string, { reports }: World): string | undefined {
  if (metadata?.deletionTimestamp !== undefined) return 'it is being deleted';
  if (!isConditionTrue(status, 'Ready')) {
    const reason = status?.containerStatuses?.map(({ state }) => state?.waiting?.reason).find(Boolean);
    return `it is not ready (${reason ?? status?.phase ?? 'no status yet'})`;
  }
  const report = reports.get(node) ?? { unknown: 'no report' };
  const sandboxes = 'value' in report ? report.value.sandboxes : report;
  if ('unknown' in sandboxes) return `the sandboxes of the node are unknown: ${sandboxes.unknown}`;
  const isThere = sandboxes.value.some(
    ({ namespace, name, ready }) => ready && namespace === metadata?.namespace && name === metadata.name,
  );
  return isThere ? undefined : 'it has no sandbox';
}

/** What is broken on some nodes, but for the failures that are injected there still. */
function leftIn(
  findings: readonly Finding[],
  nodes: ReadonlySet<string>,
  remaining: readonly Injected[],
): Finding[] {
  return findings.filter(
    ({ code, severity, subject: { node } }) =>
      severity === 'broken' &&
      node !== undefined &&
      nodes.has(node) &&
      !remaining.some(({ failure, target }) => failure.code === code && target.node === node),
  );
}

/** What the pods that are not back wait for, in a line. */
export function notBackText(notBack: readonly NotBack[]): string {
  return andMore(
    notBack.map(({ node, pod, why }) => `pod ${podName(pod)} on ${node}: ${why}`),
    SHOWN,
  );
}

/** What is left to fix, a line for each failure and node; with a command that shows how, where one is given. */
export function leftLines(left: readonly Finding[], command?: string): string[] {
  const byPlace = Map.groupBy(left, ({ code, subject: { node } }) => `${code} on ${node}`);
  return [...byPlace].map(([place, findings]) => {
    const pods = findings.flatMap(({ subject: { pod } }) => (pod === undefined ? [] : [podName(pod)]));
    const of = pods.length === 0 ? '' : `, of pod ${andMore([...new Set(pods)], SHOWN)}`;
    const how = command === undefined ? '' : `; "${command}" shows how`;
    return `left to fix: ${place}${of}${how}`;
  });
}
