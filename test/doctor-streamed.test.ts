/**
 * The diagnosis of a cluster whose reports are read one after the other and let go of is, byte for byte, that of one which is all in memory: for the
 * benches' cluster, and for random ones, from a directory and from an archive.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { FAULTS, writeLargeCluster } from '../bench/large-cluster.ts';
import { diagnosisOutput } from '../src/cli/printer/diagnosis-output.ts';
import { layoutOf } from '../src/cli/printer/layout.ts';
import { bundleWorld, saveBundle } from '../src/collect/bundle.ts';
import { diagnose, diagnosisOf } from '../src/path/diagnose/diagnose.ts';
import type { Diagnosis } from '../src/path/model/finding.ts';
import type { NodeReport } from '../src/path/model/node-report.ts';
import type { Observed } from '../src/path/model/observed.ts';
import type { World } from '../src/path/model/world.ts';

setDefaultTimeout(120_000);

const scratch = mkdtempSync(join(tmpdir(), 'hostport-streamed-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const size = { nodes: 24, podsPerNode: 6, brokenEvery: 3 };
writeLargeCluster(join(scratch, 'bench'), size, { probed: true });
const bench = inMemory(await bundleWorld(join(scratch, 'bench')));

/** A world of which nothing is read later. */
function inMemory(world: World): World {
  return { ...world, reports: new Map(world.reports) };
}

/** What is printed of a diagnosis, in several formats. */
function printed(diagnosis: Diagnosis): string[] {
  return (['json', 'ndjson', 'table', 'wide'] as const).map((output) =>
    [
      ...diagnosisOutput(diagnosis, {
        ...{ output, summary: false, isRepeated: false, title: 'It', ifEmpty: undefined },
        ...{ program: 'hostport', flags: '', layout: layoutOf({}) },
      }),
    ].join(''),
  );
}

/** Diagnoses a world that is saved and read again, in each form of a bundle. */
async function* streamed(world: World, name: string): AsyncGenerator<Diagnosis> {
  for (const path of [name, `${name}.tar.gz`].map((file) => join(scratch, file))) {
    await saveBundle(world, path);
    yield diagnosisOf(await bundleWorld(path));
    rmSync(path, { recursive: true });
  }
}

test("the benches' cluster", async () => {
  const { diagnosis } = diagnose(bench);
  expect(diagnosis.paths).toHaveLength(size.nodes * size.podsPerNode);
  expect([...new Set(diagnosis.findings.map(({ code }) => code))]).toEqual(
    expect.arrayContaining([...FAULTS]),
  );
  expect(diagnosisOf(bench)).toEqual(diagnosis);
  const whole = printed(diagnosis);
  for await (const each of streamed(bench, 'same')) expect(printed(each)).toEqual(whole);
});

/** Something that may be the matter with a node's report. */
const CHANGES: Readonly<Record<string, (report: NodeReport, other: NodeReport) => Observed<NodeReport>>> = {
  none: (report) => ({ value: report }),
  missing: () => ({ unknown: 'no answer within 20 s' }),
  'of another node': (_, other) => ({ value: other }),
  'of last month': (report) => ({ value: { ...report, takenAt: '2025-12-01T00:00:00Z' } }),
  'without sandboxes': (report) => ({ value: { ...report, sandboxes: { unknown: 'EPERM' } } }),
  'without rules': (report) => ({ value: { ...report, netfilter: { ...report.netfilter, iptables: [] } } }),
  'with other rules': (report, other) => ({ value: { ...report, netfilter: other.netfilter } }),
  'with a policy of dropping': (report) => ({ value: { ...report, netfilter: dropping(report) } }),
  'with a gateway alone': (report) => ({
    value: {
      ...report,
      network: {
        ...report.network,
        routes: {
          value: [
            {
              ...{ family: 'ipv4' as const, destination: '0.0.0.0/0', table: 'main', type: 'unicast' },
              ...{ device: 'eth0', gateway: '10.255.255.254' },
            },
          ],
        },
      },
    },
  }),
  'without attachments': (report) => ({
    value: { ...report, cni: { ...report.cni, attachments: { value: [] } } },
  }),
};

function dropping({ netfilter }: NodeReport): NodeReport['netfilter'] {
  const text = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [3:180]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n';
  const [nat] = netfilter.iptables;
  if (nat === undefined || !('value' in nat.text)) return netfilter;
  return { ...netfilter, iptables: [{ ...nat, text: { value: nat.text.value + text } }] };
}

const changesOfNodes = fc.array(fc.constantFrom(...Object.keys(CHANGES)), {
  minLength: size.nodes,
  maxLength: size.nodes,
});
/** Places of pods that have no node, that have ended, or whose probes failed. */
const somePods = fc.uniqueArray(fc.nat(size.nodes * size.podsPerNode - 1), { maxLength: 20 });

function changed(changes: string[], lost: number[], ended: number[], silent: number[]): World {
  const reports = [...bench.reports].map(([node, report], i): [string, Observed<NodeReport>] => {
    const other = [...bench.reports.values()][(i + 1) % size.nodes]!;
    if (!('value' in report) || !('value' in other)) return [node, report];
    return [node, CHANGES[changes[i]!]!(report.value, other.value)];
  });
  const uids = new Set(silent.map((place) => bench.pods[place]!.metadata!.uid));
  return {
    ...bench,
    // In the order of no node.
    pods: bench.pods
      .map((pod, i) => ({
        ...pod,
        spec: { ...pod.spec!, ...(lost.includes(i) && { nodeName: undefined }) },
        status: { ...pod.status, ...(ended.includes(i) && { phase: 'Succeeded' }) },
      }))
      .toSorted(
        (a, b) => (a.status.podIP ?? '').localeCompare(b.status.podIP ?? '') * (ended.length % 2 ? 1 : -1),
      )
      .map((pod) => JSON.parse(JSON.stringify(pod)) as typeof pod),
    probes: bench.probes.map((probe) =>
      uids.has(probe.podUid) ? { ...probe, outcome: 'timeout', detail: 'timeout' } : probe,
    ),
    reports: new Map(reports),
  };
}

describe('random clusters', () => {
  const seeds = [1, 2, 3];
  test.each(seeds)('of seed %d', async (seed) => {
    let cases = 0;
    const verdicts = new Set<string>();
    await fc.assert(
      fc.asyncProperty(changesOfNodes, somePods, somePods, somePods, async (...of) => {
        const world = changed(...of);
        const { diagnosis } = diagnose(world);
        const whole = printed(diagnosis);
        expect(printed(diagnosisOf(world))).toEqual(whole);
        for await (const each of streamed(world, `random-${seed}-${cases}`))
          expect(printed(each)).toEqual(whole);
        for (const { stages } of diagnosis.paths)
          for (const { verdict } of Object.values(stages)) verdicts.add(verdict);
        cases++;
      }),
      { seed, numRuns: 2 },
    );
    expect(cases).toBe(2);
    // They are not all alike.
    expect([...verdicts].sort()).toEqual(expect.arrayContaining(['broken', 'muted', 'ok', 'unknown']));
  });
});
