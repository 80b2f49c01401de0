import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import type { World } from '../../path/model/world.ts';
import { catalogue } from '../../path/stages/index.ts';
import { NODE, type Otherwise, POD, worldOf } from '../../path/testing/worker.ts';
import type { Clock } from '../../sys/clock.ts';
import { aftermathOf, leftLines, notBackIn, notBackText } from './aftermath.ts';
import type { Injected } from './book.ts';

const NEVER = new AbortController().signal;
const echo = { namespace: 'default', name: POD.name };

function injected(code: string, ready: Injected['ready'] = [echo]): Injected {
  return {
    failure: catalogue.find((entry) => entry.code === code)!,
    target: {
      node: NODE.name,
      pod: { ...echo, uid: POD.uid, address: POD.address },
      port: { hostPort: 80, containerPort: 8080, protocol: 'TCP' },
      sandbox: 's',
      nodeAddress: NODE.address,
    },
    memo: null,
    ready,
  };
}

const withReady = (status: 'True' | 'False') => (pod: Pod) =>
  ({ ...pod, status: { ...pod.status, conditions: [{ type: 'Ready', status }] } }) as Pod;
const ready: Otherwise = { pod: withReady('True') };

/** A lab that looks like each of some worlds in turn, then like the last; and a clock that passes only by waiting. */
function labOf(...worlds: readonly World[]) {
  let now = 0;
  const looks: { at: number; probes: boolean }[] = [];
  const clock = {
    monotonic: () => now,
    sleep: async (ms: number) => {
      now += ms;
    },
  } as unknown as Clock;
  const look = async (nodes: ReadonlySet<string>, probes: boolean) => {
    expect([...nodes]).toEqual([NODE.name]);
    const world = worlds[Math.min(looks.length, worlds.length - 1)]!;
    looks.push({ at: now, probes });
    return diagnose(world);
  };
  return { clock, look, looks };
}

describe('what a pod is waited for', () => {
  const gone: Otherwise['sandboxes'] = (all) => all.map((one) => ({ ...one, ready: false }));
  const none: Otherwise['report'] = (report) => ({ ...report, sandboxes: { unknown: 'no answer' } });
  test.each<[string, Otherwise, string | undefined]>([
    ['ready, in its sandbox', ready, undefined],
    ['not ready', { pod: withReady('False') }, 'it is not ready (Running)'],
    ['ready by the API, and without a sandbox', { ...ready, sandboxes: gone }, 'it has no sandbox'],
    [
      'on a node that does not say',
      { ...ready, report: none },
      'the sandboxes of the node are unknown: no answer',
    ],
    [
      'being deleted',
      {
        pod: (pod) => {
          const seen = withReady('True')(pod);
          return { ...seen, metadata: { ...seen.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
        },
      },
      'it is being deleted',
    ],
    ['gone', { ...ready, world: (world) => ({ ...world, pods: [] }) }, undefined],
  ])('%s', (_, otherwise, why) => {
    expect(notBackIn(worldOf(otherwise), [injected('plugin-missing')])).toEqual(
      why === undefined ? [] : [{ node: NODE.name, pod: echo, why }],
    );
  });

  test('not one that was not ready before', () => {
    const world = worldOf({ pod: withReady('False') });
    expect(notBackIn(world, [injected('plugin-missing', [])])).toEqual([]);
  });
});

test('pods are awaited, and whoever waits hears of it once', async () => {
  const starting = worldOf({ pod: withReady('False') });
  const lab = labOf(starting, starting, worldOf(ready));
  let heard = 0;
  const waiting = () => void heard++;
  const after = await aftermathOf(lab.look, [injected('plugin-missing')], [], {
    signal: NEVER,
    clock: lab.clock,
    waiting,
  });
  expect(after).toEqual({ notBack: [], left: [] });
  expect(heard).toBe(1);
  expect(lab.looks.map(({ probes }) => probes)).toEqual([false, false, false, true]);
});

test('they are awaited for a minute, and it is said which are not back', async () => {
  const lab = labOf(worldOf({ pod: withReady('False') }));
  const { notBack } = await aftermathOf(lab.look, [injected('plugin-missing')], [], {
    signal: NEVER,
    clock: lab.clock,
  });
  expect(notBackText(notBack)).toBe('pod echo on worker: it is not ready (Running)');
  expect(lab.looks.at(-1)!.at).toBe(60_000);
});

test('nothing is waited for where nothing was undone, or where another failure may be why', async () => {
  const lab = labOf(worldOf({ pod: withReady('False') }));
  const options = { signal: NEVER, clock: lab.clock };
  expect(await aftermathOf(lab.look, [], [], options)).toEqual({ notBack: [], left: [] });
  expect(lab.looks).toEqual([]);
  const remaining = [injected('plugin-not-executable')];
  expect((await aftermathOf(lab.look, [injected('plugin-missing')], remaining, options)).notBack).toEqual([]);
});

describe('what is broken still', () => {
  // The pod was created by a chain without portmap, which is repaired.
  const unmapped = worldOf({ ...ready, own: [], nat: [], attachments: () => [] });

  test('is said, with how to fix it', async () => {
    const lab = labOf(unmapped);
    const { left } = await aftermathOf(lab.look, [injected('portmap-not-chained')], [], {
      signal: NEVER,
      clock: lab.clock,
    });
    const codes = diagnose(unmapped).diagnosis.findings.map(({ code }) => code);
    expect(codes).not.toEqual([]);
    expect(left.map(({ code }) => code)).toEqual(codes);
    expect(leftLines(left, 'hostport heal')[0]).toBe(
      `left to fix: ${codes[0]} on worker, of pod echo; "hostport heal" shows how`,
    );
  });

  test('but for what is injected still', async () => {
    const lab = labOf(unmapped);
    const remaining = diagnose(unmapped).diagnosis.findings.map(({ code }) => injected(code));
    const { left } = await aftermathOf(lab.look, [injected('portmap-not-chained')], remaining, {
      signal: NEVER,
      clock: lab.clock,
    });
    expect(left).toEqual([]);
  });

  test('not an application that does not listen yet', async () => {
    const deaf = worldOf({
      ...ready,
      listeners: [],
      probes: { direct: { outcome: 'refused' }, node: { outcome: 'refused' } },
    });
    expect(diagnose(deaf).diagnosis.findings.map(({ stage }) => stage)).toEqual(['answered']);
    const lab = labOf(deaf, deaf, deaf, worldOf(ready));
    expect(
      (await aftermathOf(lab.look, [injected('plugin-missing')], [], { signal: NEVER, clock: lab.clock }))
        .left,
    ).toEqual([]);
    const never = labOf(deaf);
    const { left } = await aftermathOf(never.look, [injected('plugin-missing')], [], {
      signal: NEVER,
      clock: never.clock,
    });
    expect(left).toHaveLength(1);
  });
});
