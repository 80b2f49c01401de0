import { describe, expect, test } from 'bun:test';
import type { Finding, Subject } from '../path/model/finding.ts';
import { Scene } from '../path/view/scene.ts';
import type { Teller } from './loop.ts';
import { teller } from './teller.ts';

const POD = { namespace: 'web', name: 'echo', uid: '1' };
const PORT = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const AT = Date.UTC(2026, 0, 1);

/** Two pods with a mapping on `n`, one of them with two; one on another node; one that asks for none. */
const scene = new Scene({
  observedAt: new Date(AT).toISOString(),
  nodes: [],
  pods: [
    pod('echo', '1', 'n', [80, 81]),
    pod('other', '2', 'n', [82]),
    pod('elsewhere', '3', 'm', [80]),
    pod('plain', '4', 'n', []),
  ],
  services: [],
  events: [],
  policies: [],
  reports: new Map(),
  probes: [],
});

function pod(name: string, uid: string, nodeName: string, hostPorts: number[]) {
  return {
    metadata: { name, namespace: 'web', uid },
    spec: {
      nodeName,
      containers: [{ name: 'c', ports: hostPorts.map((hostPort) => ({ hostPort, containerPort: 8080 })) }],
    },
  };
}

function finding(subject: Subject, more: Partial<Finding> = {}): Finding {
  return {
    code: 'mapping-missing',
    stage: 'translated',
    severity: 'broken',
    subject,
    message: 'it leads nowhere',
    args: {},
    evidence: [],
    explanation: '',
    remedy: '',
    restart: 'avoided',
    documentation: '',
    ...more,
  };
}

const OF_POD = finding({ node: 'n', pod: POD, port: PORT });
const OF_NODE = finding({ node: 'n' });

interface Case {
  name: string;
  tell(to: Teller): void;
  log: string;
  /** `type reason namespace/name/uid: message`. */
  events: string[];
}

const CASES: Case[] = [
  {
    name: 'broken',
    tell: (to) => to.appeared(OF_POD, scene),
    log: 'mapping-missing web/echo TCP 80: broken: it leads nowhere',
    events: ['Warning HostPortBroken web/echo/1: mapping-missing: it leads nowhere'],
  },
  {
    name: "a node's failure concerns every pod there that has a mapping, once",
    tell: (to) => to.appeared(OF_NODE, scene),
    log: 'mapping-missing n: broken: it leads nowhere',
    events: [
      'Warning HostPortBroken web/echo/1: mapping-missing: it leads nowhere',
      'Warning HostPortBroken web/other/2: mapping-missing: it leads nowhere',
    ],
  },
  {
    name: 'a risk is logged and gets no Event',
    tell: (to) => to.appeared(finding({ node: 'n' }, { severity: 'risk' }), scene),
    log: 'mapping-missing n: risk: it leads nowhere',
    events: [],
  },
  {
    name: 'healed',
    tell: (to) => to.healed(OF_POD, scene),
    log: 'mapping-missing web/echo TCP 80: healed',
    events: ['Normal HostPortHealed web/echo/1: mapping-missing: healed, the pod was not restarted'],
  },
  {
    name: 'healed by recreating the pod',
    tell: (to) => to.healed({ ...OF_POD, restart: 'needed' }, scene),
    log: 'mapping-missing web/echo TCP 80: healed',
    events: ['Normal HostPortHealed web/echo/1: mapping-missing: healed, the pod is recreated'],
  },
  { name: 'gone', tell: (to) => to.gone(OF_POD), log: 'mapping-missing web/echo TCP 80: gone', events: [] },
  {
    name: 'not healed',
    tell: (to) => to.failed(OF_POD, 'no space', AT, scene),
    log: 'mapping-missing web/echo TCP 80: not healed: no space; next try at 2026-01-01T00:00:00.000Z, then less and less often',
    events: ['Warning HostPortNotHealed web/echo/1: mapping-missing: no space'],
  },
  {
    name: 'needs a manual step',
    tell: (to) => to.left(OF_POD, 'it is theirs', scene),
    log: 'mapping-missing web/echo TCP 80: needs a manual step: it is theirs',
    events: ['Warning HostPortNotHealed web/echo/1: mapping-missing: needs a manual step: it is theirs'],
  },
  {
    name: 'contested',
    tell: (to) => to.contested(OF_POD, 5, AT, scene),
    log: 'mapping-missing web/echo TCP 80: fixed 5 times within the last minute and undone each time: something else on the node changes it; left alone until 2026-01-01T00:00:00.000Z',
    events: [
      'Warning HostPortContested web/echo/1: mapping-missing: fixed 5 times within the last minute and undone each time: something else on the node changes it',
    ],
  },
  {
    name: 'blind',
    tell: (to) => to.blind(new Error('no answer')),
    log: 'cannot observe the node: no answer',
    events: [],
  },
];

describe('what is reported', () => {
  for (const { name, tell, log, events } of CASES) {
    test(name, () => {
      const lines: string[] = [];
      const written: string[] = [];
      tell(
        teller((line) => lines.push(line), {
          event: ({ kind, namespace, name: of, uid }, type, reason, message) => {
            expect(kind).toBe('Pod');
            written.push(`${type} ${reason} ${namespace}/${of}/${uid}: ${message}`);
          },
        }),
      );
      expect(lines).toEqual([log]);
      expect(written).toEqual(events);
    });
  }

  test('every kind of news', () => {
    const tried = new Set<string>();
    const spy = new Proxy({} as Teller, { get: (_, key) => () => tried.add(String(key)) });
    for (const { tell } of CASES) tell(spy);
    expect([...tried].sort()).toEqual(Object.keys(teller(() => {})).sort());
  });

  test('without an API, by the log alone', () => {
    const lines: string[] = [];
    teller((line) => lines.push(line)).appeared(OF_POD, scene);
    expect(lines).toHaveLength(1);
  });
});
