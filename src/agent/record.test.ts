import { beforeEach, describe, expect, test } from 'bun:test';
import type { Finding } from '../path/model/finding.ts';
import type { Scene } from '../path/view/scene.ts';
import type { Teller } from './loop.ts';
import { AgentMetrics } from './metrics.ts';
import { AgentRecord } from './record.ts';
import { type AgentState, parseState } from './state.ts';

const about = { version: '1.2.3', mode: 'heal', node: 'worker' } as const;
const finding = (severity: string) => ({ code: 'plugin-missing', severity, stage: 'installed' }) as Finding;

let now: number;
/** By how much the clock of the machine was set. */
let setBy: number;
let published: AgentState[];
let metrics: AgentMetrics;
let record: AgentRecord;
beforeEach(() => {
  now = Date.parse('2026-01-01T00:00:00Z');
  setBy = 0;
  published = [];
  metrics = new AgentMetrics(about);
  record = new AgentRecord({
    about,
    metrics,
    resyncMs: 30_000,
    clock: { now: () => now + setBy, monotonic: () => now },
    publish: (state) => published.push(state),
  });
});

test('each look and each failure is published, as what reads it understands', () => {
  record.looked({ findings: [finding('broken'), finding('risk'), finding('note')], paths: [] }, 10);
  record.failed(new Error('no runtime'));
  record.looked({ findings: [], paths: [] }, 10);
  const lookedAt = '2026-01-01T00:00:00.000Z';
  expect(published).toEqual([
    about,
    { ...about, lookedAt, checkedAt: lookedAt, broken: 1, risks: 1, codes: { 'plugin-missing': 2 } },
    {
      ...about,
      lookedAt,
      checkedAt: lookedAt,
      broken: 1,
      risks: 1,
      codes: { 'plugin-missing': 2 },
      failure: 'no runtime',
    },
    { ...about, lookedAt, checkedAt: lookedAt, broken: 0, risks: 0 },
  ]);
  for (const state of published) expect(parseState(JSON.stringify(state))).toEqual(state);
});

test('a glance is a check and no look', () => {
  record.looked({ findings: [], paths: [] }, 10);
  now += 100_000;
  record.unchanged();
  const [lookedAt, checkedAt] = ['2026-01-01T00:00:00.000Z', '2026-01-01T00:01:40.000Z'];
  expect(published.at(-1)).toEqual({ ...about, lookedAt, checkedAt, broken: 0, risks: 0 });
  expect(parseState(JSON.stringify(published.at(-1)))).toEqual(published.at(-1)!);
  const times = metrics.text().text.match(/^hostport_last_\w+_timestamp_seconds .*/gm);
  expect(times).toEqual([
    `hostport_last_look_timestamp_seconds ${Date.parse(lookedAt) / 1000}`,
    `hostport_last_check_timestamp_seconds ${Date.parse(checkedAt) / 1000}`,
  ]);
  now += 100_000;
  expect(record.ready).toEqual({ holds: true });
});

test('codes are counted, most of them first', () => {
  const [missing, other] = [finding('broken'), { ...finding('broken'), code: 'mapping-missing' }];
  record.looked({ findings: [missing, other, other, finding('note')], paths: [] }, 10);
  expect(Object.entries(published.at(-1)!.codes!)).toEqual([
    ['mapping-missing', 2],
    ['plugin-missing', 1],
  ]);
});

test.each([
  ['', 'nothing'],
  ['{}', 'nothing of it'],
  ['{"version":"1","mode":"destroy","node":"a"}', 'another mode'],
  ['{"version":"1","mode":"heal","node":"a","lookedAt":"soon"}', 'a time that is no time'],
  ['[1]', 'no object'],
])('%p is not the state of an agent: %s', (text) => {
  expect(() => parseState(text)).toThrow();
});

describe('it is ready', () => {
  test('once it has looked, and no longer when looks fail', () => {
    expect(record.ready).toEqual({ holds: false, why: 'it has not looked yet' });
    record.looked({ findings: [], paths: [] }, 10);
    expect(record.ready).toEqual({ holds: true });
    record.failed(new Error('no runtime'));
    expect(record.ready).toEqual({ holds: false, why: 'the last look failed: no runtime' });
    record.looked({ findings: [], paths: [] }, 10);
    expect(record.ready).toEqual({ holds: true });
  });

  test('only while looks come', () => {
    record.looked({ findings: [], paths: [] }, 10);
    now += 120_000;
    expect(record.ready.holds).toBe(true);
    now += 1000;
    expect(record.ready).toEqual({ holds: false, why: 'the last check is 121 s old' });
  });

  test('whatever the clock is set to, and no longer than looks come', () => {
    record.looked({ findings: [], paths: [] }, 10);
    for (const hours of [5, -5]) {
      setBy = hours * 3_600_000;
      expect(record.ready.holds).toBe(true);
      expect(record.alive.holds).toBe(true);
    }
    now += 1_000_000;
    expect(record.ready).toEqual({ holds: false, why: 'the last check is 1000 s old' });
    expect(record.alive).toEqual({ holds: false, why: 'it has done nothing for 1000 s' });
  });
});

describe('it is alive', () => {
  test('while it waits for the API, however long', () => {
    now += 3_600_000;
    expect(record.alive).toEqual({ holds: true });
  });

  test('while looks come, also such that fail', () => {
    record.looked({ findings: [], paths: [] }, 10);
    now += 900_000;
    record.failed(new Error('no runtime'));
    now += 900_000;
    expect(record.alive).toEqual({ holds: true });
    now += 1000;
    expect(record.alive).toEqual({ holds: false, why: 'it has done nothing for 901 s' });
  });
});

test('what is done is counted, and reported as before', () => {
  const reported: string[] = [];
  const teller = new Proxy({} as Teller, { get: (_, name) => () => reported.push(String(name)) });
  // A proxy's members are not its own, which a copy would lose.
  const names = ['appeared', 'healed', 'gone', 'failed', 'left', 'contested', 'blind'] as const;
  const plain = Object.fromEntries(names.map((name) => [name, teller[name]])) as unknown as Teller;
  const counting = record.counting(plain);
  const scene = {} as Scene;
  const broken = finding('broken');
  counting.appeared(broken, scene);
  counting.healed(broken, scene);
  counting.gone(broken);
  counting.failed(broken, 'why', 1, scene);
  counting.left(broken, 'why', scene);
  counting.contested(broken, 5, 1, scene);
  counting.blind(new Error('no runtime'));
  expect(reported).toEqual([...names]);
  const counted = metrics.text().text.match(/^hostport_(?:actions|looks)_total\{.*/gm);
  expect(counted).toEqual([
    'hostport_looks_total{result="failed"} 1',
    'hostport_looks_total{result="succeeded"} 0',
    'hostport_actions_total{code="plugin-missing",result="contested"} 1',
    'hostport_actions_total{code="plugin-missing",result="failed"} 1',
    'hostport_actions_total{code="plugin-missing",result="healed"} 1',
    'hostport_actions_total{code="plugin-missing",result="manual"} 1',
  ]);
  expect(record.ready).toMatchObject({ holds: false });
});
