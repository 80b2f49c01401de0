import type { Event, Pod } from '../../kube/types.ts';
import type { Subject } from '../model/finding.ts';
import { words } from '../model/message.ts';
import type { NodeReport } from '../model/node-report.ts';
import type { World } from '../model/world.ts';
import type { Failure } from '../stages/failure.ts';
import type { Scene } from '../view/scene.ts';

/** A pod on a node with these hostPorts. */
export function podOn(nodeName: string | undefined, name: string, ...hostPorts: number[]): Pod {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    spec: {
      ...(nodeName === undefined ? {} : { nodeName }),
      containers: [{ name: 'c', ports: hostPorts.map((hostPort) => ({ hostPort, containerPort: 8080 })) }],
    },
    status: { phase: 'Running', podIP: '10.1.0.2', podIPs: [{ ip: '10.1.0.2' }] },
  };
}

/** A world of two nodes, n1 and n2, without reports. */
export function smallWorld(pods: readonly Pod[], rest: Partial<World> = {}): World {
  return {
    observedAt: '2026-01-01T00:00:00Z',
    nodes: ['n1', 'n2'].map((name, i) => ({
      metadata: { name },
      status: { addresses: [{ type: 'InternalIP', address: `172.17.0.${i + 2}` }] },
    })),
    pods,
    services: [],
    events: [],
    policies: [],
    reports: new Map(),
    probes: [],
    ...rest,
  };
}

/** A world of two nodes, of which n1 has this report and by default a pod `a` with hostPort 80. */
export function worldOfNode(report: NodeReport, rest: Partial<World> = {}): World {
  return smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]), ...rest });
}

/** A warning about a pod of {@link podOn}, at this minute. */
export function warningOf(
  name: string,
  message: string | undefined,
  more: Partial<Event> = {},
  minute = 0,
): Event {
  return {
    metadata: { name: `${name}-${minute}` },
    involvedObject: { kind: 'Pod', namespace: 'default', name, uid: `uid-${name}` },
    type: 'Warning',
    reason: 'FailedCreatePodSandBox',
    lastTimestamp: `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`,
    message,
    ...more,
  } as Event;
}

/** A failure of which a test says all that matters to it: on which subjects it is found. */
export function failureOn(
  found: (scene: Scene) => Subject[],
  rest: Partial<Failure> & Pick<Failure, 'code' | 'stage'>,
): Failure {
  return {
    severity: 'broken',
    title: rest.code,
    explanation: 'It is so.',
    remedy: 'Fix it.',
    restart: 'no',
    sources: [],
    mutedBy: [],
    detect: (scene) =>
      found(scene).map((subject) => ({
        subject,
        message: words('{code}!', { code: rest.code }),
        evidence: [],
        data: null,
      })),
    heal: () => ({ by: 'hand', why: 'a test' }),
    page: { see: 'Nothing.', check: { run: [], look: 'Nothing.' }, fix: 'Fix it.' },
    ...rest,
  };
}
