import { describe, expect, test } from 'bun:test';
import type { Pod } from '../kube/types.ts';
import type { HealStep, NodeAction } from '../path/model/action.ts';
import type { Finding } from '../path/model/finding.ts';
import type { NodeReport } from '../path/model/node-report.ts';
import { NODE_REPORT_VERSION } from '../path/model/node-report-version.ts';
import { Scene } from '../path/view/scene.ts';
import { readyAt, type SettlingOptions } from './settling.ts';

const OPTIONS: SettlingOptions = {
  youngMs: 2000,
  missingMs: 300,
  leftOverMs: 15_000,
  maxLeftOverMs: 120_000,
};

/** Now, in milliseconds since the epoch; the sandbox of the pod was made `age` before. */
const NOW = 1_000_000;
/** The same moment by the loop's clock, which has another beginning than that of the machine. */
const PASSED = 5000;
const UNSEEN = { unknown: 'not looked at' };

const ATTACH: NodeAction = {
  do: 'attach',
  sandbox: 's',
  config: '/etc/cni/net.d/a.conflist',
  plugin: 'portmap',
};
const DETACH: NodeAction = { do: 'detach', networkName: 'net', containerId: 'dead', ifName: 'eth0' };
const COLLECT: NodeAction = { do: 'collect', config: '/etc/cni/net.d/a.conflist' };
const INSTALL: NodeAction = { do: 'install-plugin', name: 'portmap', directory: '/opt/cni/bin' };

interface Case {
  name: string;
  action: NodeAction;
  stage?: Finding['stage'];
  /** How long ago the finding was first seen, and the sandbox made. Default 0, and an hour. */
  seenMs?: number;
  age?: number;
  podsFromApi?: boolean;
  pod?: { terminating?: boolean; phase?: string; hostNetwork?: boolean };
  /** From now; 0 or less is at once. */
  ready: number;
}

const CASES: Case[] = [
  { name: 'a plugin is installed at once', action: INSTALL, ready: 0 },
  { name: 'a mapping that is gone comes back at once', action: ATTACH, ready: 0 },
  { name: 'but a young sandbox is given its time', action: ATTACH, age: 500, ready: 1500 },
  {
    name: 'and one from before the clock was set back',
    action: ATTACH,
    seenMs: 500,
    age: -3_600_000,
    ready: 1500,
  },
  {
    name: 'a pod that is being taken down gets nothing any more',
    action: ATTACH,
    pod: { terminating: true },
    ready: Number.POSITIVE_INFINITY,
  },
  {
    name: 'a runtime does not say whether a pod is being taken down: a mapping must stay away',
    action: ATTACH,
    podsFromApi: false,
    ready: 300,
  },
  { name: 'as it does now', action: ATTACH, podsFromApi: false, seenMs: 400, ready: -100 },
  {
    name: 'a chain that was never run is no such doubt',
    action: ATTACH,
    stage: 'attached',
    podsFromApi: false,
    ready: 0,
  },
  { name: 'what is left over may be what is being made', action: DETACH, ready: 15_000 },
  { name: 'it is left over when it stays', action: DETACH, seenMs: 16_000, ready: -1000 },
  {
    name: 'while a pod is being made nothing is collected',
    action: COLLECT,
    seenMs: 16_000,
    pod: { phase: 'Pending' },
    ready: 15_000,
  },
  { name: 'even a new one', action: COLLECT, pod: { phase: 'Pending' }, ready: 15_000 },
  { name: 'but not for ever', action: COLLECT, seenMs: 120_000, pod: { phase: 'Pending' }, ready: -105_000 },
  {
    name: 'a pod on the network of the node runs no chain',
    action: COLLECT,
    seenMs: 16_000,
    pod: { phase: 'Pending', hostNetwork: true },
    ready: -1000,
  },
  {
    name: 'nor does one that is being deleted',
    action: COLLECT,
    seenMs: 16_000,
    pod: { phase: 'Pending', terminating: true },
    ready: -1000,
  },
];

describe('from when on a finding is acted on', () => {
  for (const entry of CASES) {
    const { name, action, seenMs = 0, podsFromApi = true, ready, stage = 'translated' } = entry;
    test(name, () => {
      const planned = { finding: findingAt(stage), steps: [stepOf(action)] };
      const context = { since: PASSED - seenMs, now: PASSED, timeOfDay: NOW, podsFromApi };
      expect(readyAt(planned, sceneOf(entry), context, OPTIONS) - PASSED).toBe(ready);
    });
  }

  test('the slowest of its steps decides', () => {
    const planned = { finding: findingAt('translated'), steps: [stepOf(INSTALL), stepOf(DETACH)] };
    const context = { since: PASSED, now: PASSED, timeOfDay: NOW, podsFromApi: true };
    const entry: Case = { name: '', action: DETACH, ready: 0 };
    expect(readyAt(planned, sceneOf(entry), context, OPTIONS)).toBe(PASSED + OPTIONS.leftOverMs);
  });
});

function stepOf(action: NodeAction): HealStep {
  return { on: 'node', node: 'n', why: '', action };
}

function findingAt(stage: Finding['stage']): Finding {
  return {
    code: 'c',
    stage,
    severity: 'broken',
    subject: { node: 'n' },
    message: '',
    args: {},
    evidence: [],
    explanation: '',
    remedy: '',
    restart: 'no',
    documentation: '',
  };
}

function sceneOf({
  age = 3_600_000,
  pod: { terminating, phase = 'Running', hostNetwork } = {},
}: Case): Scene {
  const at = new Date(NOW).toISOString();
  const pod: Pod = {
    metadata: { name: 'echo', namespace: 'default', uid: 'u', ...(terminating && { deletionTimestamp: at }) },
    spec: {
      nodeName: 'n',
      ...(hostNetwork && { hostNetwork }),
      containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 80 }] }],
    },
    status: { phase },
  };
  const report: NodeReport = {
    apiVersion: NODE_REPORT_VERSION,
    kind: 'NodeReport',
    node: 'n',
    takenAt: at,
    machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62 },
    network: {
      links: UNSEEN,
      addresses: UNSEEN,
      routes: UNSEEN,
      sysctls: UNSEEN,
      listeners: UNSEEN,
      flows: UNSEEN,
    },
    cni: { confDir: '/', files: UNSEEN, binDirs: [], plugins: UNSEEN, attachments: UNSEEN, skipped: [] },
    runtime: UNSEEN,
    sandboxes: {
      value: [
        {
          id: 's',
          name: 'echo',
          namespace: 'default',
          uid: 'u',
          attempt: 0,
          ready: true,
          createdAt: new Date(NOW - age).toISOString(),
          hostNetwork: false,
          netnsExists: true,
          ips: ['10.0.0.2'],
          portMappings: [],
        },
      ],
    },
    netfilter: { tools: {}, iptables: [], nft: UNSEEN },
  };
  return new Scene({
    observedAt: at,
    nodes: [],
    pods: [pod],
    services: [],
    events: [],
    policies: [],
    reports: new Map([['n', { value: report }]]),
    probes: [],
  });
}
