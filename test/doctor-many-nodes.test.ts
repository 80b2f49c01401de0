/**
 * What the doctor prints of a cluster with very many nodes: one cause once, names folded, no line wider than the terminal. The texts are in
 * test/fixtures/many-nodes; UPDATE_GOLDEN=1 writes them again.
 */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Choice, checkChosenNodes, chosen as chosenIn } from '../src/cli/choice.ts';
import { podChoiceOf } from '../src/cli/pod-choice.ts';
import { renderDiagnosis } from '../src/cli/printer/diagnosis.ts';
import { diagnosisOutput } from '../src/cli/printer/diagnosis-output.ts';
import { layoutOf, WIDE } from '../src/cli/printer/layout.ts';
import { summaryOf } from '../src/cli/printer/summary.ts';
import { columns } from '../src/cli/printer/wrap.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import type { Diagnosis, Evidence } from '../src/path/model/finding.ts';
import { words } from '../src/path/model/message.ts';
import type { World } from '../src/path/model/world.ts';
import type { Failure } from '../src/path/stages/failure.ts';
import { failureOn, podOn, smallWorld } from '../src/path/testing/small-world.ts';
import { podName } from '../src/path/view/pod-name.ts';

const FIXTURES = join(import.meta.dir, 'fixtures/many-nodes');
const UPDATE = process.env.UPDATE_GOLDEN === '1';

/** An ID that is another for each pod, as a sandbox's. */
const idOf = (i: number) => (0x5ab1e0000000 + i * 7919).toString(16);

/** A cluster in which every node runs two pods of a DaemonSet, most nodes have no plugin, some pods predate the chain, and a few reports are missing. */
function clusterOf(count: number, name: (i: number) => string): { world: World; diagnosis: Diagnosis } {
  const nodes = Array.from({ length: count }, (_, i) => name(i + 1));
  const world: World = smallWorld(
    nodes.flatMap((node, i) => [
      podOn(node, `ingress-${idOf(i).slice(-5)}`, 80, 443),
      podOn(node, `registry-${idOf(i + count).slice(-5)}`, 5000),
    ]),
    {
      nodes: nodes.map((node, i) => ({
        metadata: { name: node },
        status: { addresses: [{ type: 'InternalIP', address: `10.0.${i >> 8}.${i & 255}` }] },
      })),
      reports: new Map(
        nodes.slice(-12).map((node) => [node, { unknown: `no answer of ${node} within 20 s` }]),
      ),
    },
  );
  const broken = nodes.slice(0, Math.floor(count * 0.8));
  const isBroken = new Set(broken);
  const missing = failureOn(() => [], {
    code: 'plugin-missing',
    stage: 'installed',
    explanation:
      'The chain names a plugin that is not in any of the directories that the runtime searches, so every new pod waits.',
    remedy: 'Install the plugin. The kubelet retries by itself.',
  });
  // It is asked for each part of the cluster.
  missing.detect = (scene) =>
    [...scene.nodes.keys()]
      .filter((node) => isBroken.has(node))
      .map((node) => ({
        subject: { node },
        message: words('plugin portmap, which {file} chains, is not in /opt/cni/bin of {node}', {
          file: '10-flannel.conflist',
          node,
        }),
        evidence: [
          evidence('file', '/opt/cni/bin', node === nodes[7] ? 'bridge flannel' : 'bridge flannel loopback'),
        ],
        data: null,
      }));
  const early: Failure = failureOn(() => [], {
    code: 'pod-predates-chain',
    stage: 'attached',
    restart: 'avoided',
    remedy: 'Attach portmap to the running sandbox, or recreate the pod.',
  });
  early.detect = ({ paths }) =>
    paths
      .filter(({ subject }) => subject.port?.hostPort === 5000 && !isBroken.has(subject.node!))
      .map(({ subject }) => ({
        subject,
        message: words('{pod} was created before the chain on {node}, so {port} has no mapping', {
          pod: podName(subject.pod!),
          node: subject.node!,
          port: 'TCP 5000',
        }),
        evidence: [
          evidence(
            'result',
            `/var/lib/cni/results/cbr0-${subject.pod!.name}-eth0 (2026-01-01T00:00:00Z)`,
            `{"pod":"${subject.pod!.uid}"}`,
          ),
        ],
        data: null,
      }));
  return { world, diagnosis: diagnose(world, [early, missing]).diagnosis };
}

function evidence(kind: Evidence['kind'], where: string, saw: string): Evidence {
  return { kind, where, saw };
}

const WORKERS = clusterOf(200, (i) => `worker-${i}`);
const CLUSTERS = {
  '200': WORKERS.diagnosis,
  '1000': clusterOf(
    1000,
    (i) => `ip-10-${(i * 7) % 4}-${i % 97}-${(i * 31) % 251}-${i}.eu-west-1.compute.internal`,
  ).diagnosis,
} as const;

describe.each(Object.entries(CLUSTERS))('%s nodes', (count, diagnosis) => {
  test('are printed in these words', () => {
    const path = join(FIXTURES, `${count}.txt`);
    const text = renderDiagnosis(diagnosis, 'hostport', '', layoutOf({ isTTY: true }, { NO_COLOR: '1' }));
    if (UPDATE) {
      mkdirSync(FIXTURES, { recursive: true });
      writeFileSync(path, text);
    }
    expect(text).toBe(readFileSync(path, 'utf8'));
  });

  test.each([60, 72, 80, 100, 132, 200])('no line is wider than a terminal of %d columns', (width) => {
    const text = renderDiagnosis(
      diagnosis,
      'hostport',
      ' --context prod',
      layoutOf({ isTTY: true, columns: width }, { NO_COLOR: '1' }),
    );
    expect(text.split('\n').filter((line) => columns(line) > width)).toEqual([]);
  });

  test('are one screen or two, whatever their number, and two causes', () => {
    const text = renderDiagnosis(diagnosis, 'hostport', '', layoutOf({ isTTY: true }, { NO_COLOR: '1' }));
    expect(text.split('\n').length).toBeLessThan(80);
    expect(text.match(/^✗ .*/gm)).toEqual([
      expect.stringMatching(/^✗ plugin-missing {2}\[installed\] \d+ nodes$/),
      expect.stringMatching(/^✗ pod-predates-chain {2}\[attached\] \d+ pods on \d+ nodes$/),
    ]);
    expect(text).toMatch(/; 2 causes on \d+ nodes\n$/);
  });

  test('-o wide names each node and each pod', () => {
    const text = renderDiagnosis(diagnosis, 'hostport', '', WIDE);
    const rows = text.split('\n').map((line) => line.split(/ +/));
    const shown = new Set(rows.map(([node, pod]) => `${node} ${pod}`));
    expect(diagnosis.paths.filter(({ node, pod }) => !shown.has(`${node} ${podName(pod)}`))).toEqual([]);
    expect(text.match(/^ {2}(?:nodes|pods) .* more$/m)).toBeNull();
  });

  test('the summary counts what the documents have', () => {
    const { mappings, codes, stages } = summaryOf(diagnosis);
    const n = Number(count);
    expect(mappings.total).toBe(3 * n);
    expect(mappings.good + mappings.risk + mappings.broken + mappings.unknown).toBe(3 * n);
    expect(Object.values(stages.installed).reduce((sum, some) => sum + some)).toBe(3 * n);
    expect(codes.map(({ code, nodes, pods, mappings: hurt }) => [code, nodes, pods, hurt])).toEqual([
      ['plugin-missing', 0.8 * n, 1.6 * n, 2.4 * n],
      ['pod-predates-chain', 0.2 * n, 0.2 * n, 0.2 * n],
    ]);
  });
});

describe('a choice', () => {
  const diagnosis = CLUSTERS['200'];
  const none: Choice = { codes: [], nodes: [] };
  const chosen = (of: Diagnosis, choice: Choice) => chosenIn(of, choice, WORKERS.world);

  test('of nothing is all', () => expect(chosen(diagnosis, none)).toEqual(diagnosis));

  test('of nodes', () => {
    const { paths, findings, unknowns } = chosen(diagnosis, { ...none, nodes: ['worker-1', 'worker-200'] });
    expect([...new Set(paths.map(({ node }) => node))]).toEqual(['worker-1', 'worker-200']);
    expect(findings.map(({ code, subject }) => [code, subject.node])).toEqual([
      ['plugin-missing', 'worker-1'],
      ['pod-predates-chain', 'worker-200'],
    ]);
    expect(unknowns.map(({ node }) => node)).toEqual(['worker-1', 'worker-200']);
  });

  test('of codes: what has them, and what is unknown at their stages', () => {
    const { paths, findings } = chosen(diagnosis, { ...none, codes: ['plugin-missing'] });
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['plugin-missing']));
    expect(
      paths.every(
        ({ stages: { installed } }) => installed.verdict === 'unknown' || installed.codes.length > 0,
      ),
    ).toBe(true);
    expect(paths).toHaveLength(600);
  });

  test('of pods: their mappings, the findings about them and about their nodes, and what is unknown of these', () => {
    const { pods: all } = WORKERS.world;
    const ofNode = (node: string) => all.filter(({ spec }) => spec?.nodeName === node);
    const names = ['worker-1', 'worker-170', 'worker-200'].map((node) => {
      const { name = '', namespace = '' } = ofNode(node)[1]!.metadata!;
      return { name, namespace };
    });
    const choice = { ...none, pods: podChoiceOf({ pod: names })! };
    const { paths, findings, unknowns } = chosen(diagnosis, choice);
    // Of these, another cause hurts more pods.
    const [first, second, third] = names.map(({ name }) => name);
    expect(paths.map(({ pod, node }) => `${node} ${pod.name}`)).toEqual([
      `worker-170 ${second}`,
      `worker-200 ${third}`,
      `worker-1 ${first}`,
    ]);
    expect(findings.map(({ code, subject }) => [code, subject.node, subject.pod?.name])).toEqual([
      ['pod-predates-chain', 'worker-170', second],
      ['pod-predates-chain', 'worker-200', third],
      ['plugin-missing', 'worker-1', undefined],
    ]);
    expect(unknowns.map(({ node }) => node)).toEqual(['worker-1', 'worker-170', 'worker-200']);
  });

  test('of a node that is not there is an error that names others', () => {
    expect(() => checkChosenNodes(['w'], ['a', 'b'])).toThrow(
      'cannot examine the node: node "w" not found in the cluster; the nodes are a, b',
    );
    expect(() => checkChosenNodes(['w'], [])).toThrow('not found in the cluster; there are no nodes');
    expect(() => checkChosenNodes(['a'], ['a', 'b'])).not.toThrow();
  });
});

describe('formats', () => {
  const diagnosis = CLUSTERS['200'];
  const options = {
    ...{ summary: false, isRepeated: false, title: 'Cluster "x" of the lab', ifEmpty: 'Nothing.' },
    ...{ program: 'hostport', flags: '', layout: layoutOf({ isTTY: true }, { NO_COLOR: '1' }) },
  };
  const print = (more: object) =>
    [...diagnosisOutput(diagnosis, { output: 'table', ...options, ...more })].join('');

  test('texts begin with what was examined, documents do not', () => {
    for (const output of ['table', 'wide']) {
      expect(print({ output })).toStartWith('Cluster "x" of the lab\n\n');
      expect(print({ output, summary: true })).toStartWith('Cluster "x" of the lab\n\nSTAGE ');
    }
    expect(JSON.parse(print({ output: 'json' }))).toEqual(JSON.parse(JSON.stringify(diagnosis)));
    expect(Bun.YAML.parse(print({ output: 'yaml', summary: true }))).toEqual(
      JSON.parse(JSON.stringify(summaryOf(diagnosis))),
    );
  });

  test('ndjson is one document a line: the summary, then each mapping, finding and unknown', () => {
    const lines = print({ output: 'ndjson' })
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toEqual(JSON.parse(JSON.stringify(summaryOf(diagnosis))));
    const all = (kind: string, field: string) =>
      lines.filter((line) => line.kind === kind).map((line) => line[field]);
    expect(all('Path', 'path')).toEqual(JSON.parse(JSON.stringify(diagnosis.paths)));
    expect(all('Finding', 'finding')).toEqual(JSON.parse(JSON.stringify(diagnosis.findings)));
    expect(all('Unknown', 'unknown')).toEqual(JSON.parse(JSON.stringify(diagnosis.unknowns)));
    expect(lines).toHaveLength(
      1 + diagnosis.paths.length + diagnosis.findings.length + diagnosis.unknowns.length,
    );
    expect(print({ output: 'ndjson', summary: true }).trimEnd().split('\n')).toHaveLength(1);
  });

  test('an empty choice says so', () => {
    const nothing = { ...diagnosis, paths: [], findings: [], unknowns: [] };
    expect([...diagnosisOutput(nothing, { output: 'table', ...options })].join('')).toBe(
      'Cluster "x" of the lab\n\nNothing.\n',
    );
  });
});
