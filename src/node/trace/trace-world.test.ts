import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { flowRecordSchema, type TracedFlow } from '../../path/model/flow-trace.ts';
import { SILENT, unreadRules, worldOf } from '../../path/testing/worker.ts';
import type { NodeRequest } from '../serve/request.ts';
import type { TraceDoor } from './trace-flow.ts';
import { traceWorld } from './trace-world.ts';

const DROP = '-A PREROUTING -p tcp -m tcp --dport 8080 -j DROP';
const MESSAGE = `the request was dropped by a rule of ip mangle PREROUTING (hook prerouting): ${DROP}`;

/** A node whose kernel says what was recorded of a drop in mangle, whatever is sent. */
function doorOf(start: () => void = () => {}) {
  const path = join(import.meta.dir, '../../../test/fixtures/traces/mangle-drop.json');
  const { record } = JSON.parse(readFileSync(path, 'utf8'));
  const flows: TracedFlow[] = [];
  const asked: string[] = [];
  const door: TraceDoor = {
    isOneKernel: true,
    send: async (batches) =>
      batches.map(({ orders }) => ({
        value: orders.map((order) => ({
          ...order,
          outcome: 'timeout',
          detail: 'no answer',
          milliseconds: 1,
        })),
      })),
    ask: async (place, request: NodeRequest) => {
      asked.push(`${place === 'outside' ? place : place.node} ${request.do}`);
      if (request.do === 'trace-sender') return 1;
      if (request.do !== 'trace-start') return flowRecordSchema.parse(seenAs(record, flows.at(-1)!));
      start();
      flows.push(request.flow);
      return 'trace';
    },
  };
  return { door, flows, asked };
}

/** A record with the ports of another flow. */
function seenAs(record: object, { sourcePort, port }: TracedFlow): unknown {
  return JSON.parse(
    JSON.stringify(record)
      .replaceAll('"sourcePort":61000', `"sourcePort":${sourcePort}`)
      .replaceAll('"destinationPort":8080', `"destinationPort":${port}`),
  );
}

const silent = worldOf({ probes: { outside: { ...SILENT, tracked: true } } });

describe('the kernel is asked where reading does not say what is wrong', () => {
  test('and quoted as evidence', async () => {
    const { door, flows, asked } = doorOf();
    const world = await traceWorld(silent, door);
    expect(asked).toEqual(['outside trace-sender', 'worker trace-start', 'worker trace-stop']);
    expect(flows[0]).toMatchObject({ protocol: 'TCP', port: 80, containerPort: 8080 });
    const { findings } = diagnose(world).diagnosis;
    expect(findings.map(({ code }) => code)).toEqual(['not-answering']);
    expect(findings[0]!.evidence.filter(({ where }) => where.startsWith('the kernel of worker'))).toEqual([
      expect.objectContaining({ kind: 'probe', saw: MESSAGE }),
    ]);
    expect(world.probes.find(({ vantage }) => vantage === 'outside')!.trace).toEqual({
      ...{ outcome: 'died', message: MESSAGE, reason: 'NETFILTER_DROP', code: 'packet-dropped' },
    });
  });

  test('and quoted where a stage is unknown', async () => {
    const { door } = doorOf();
    const { diagnosis } = diagnose(
      await traceWorld(worldOf({ report: unreadRules, probes: { outside: {} } }), door),
    );
    const unknown = Object.values(diagnosis.paths[0]!.stages).filter(({ verdict }) => verdict === 'unknown');
    expect(unknown.length).toBeGreaterThan(0);
    expect(unknown.map(({ reason }) => reason?.endsWith(`; the kernel of worker: ${MESSAGE}`))).toContain(
      true,
    );
  });

  test('and not where every probe is answered', async () => {
    const { door, asked } = doorOf();
    const world = worldOf({ probes: { outside: {} } });
    expect((await traceWorld(world, door)).probes).toEqual(world.probes);
    expect(asked).toEqual([]);
  });

  test('one that cannot be asked says why, and the diagnosis stands', async () => {
    const { door } = doorOf(() => {
      throw new Error('another trace is under way');
    });
    const world = await traceWorld(silent, door);
    expect(world.probes.find(({ vantage }) => vantage === 'outside')!.trace).toEqual({
      ...{ outcome: 'inconclusive', message: 'cannot be asked: another trace is under way' },
    });
    expect(diagnose(world).diagnosis.findings.map(({ code }) => code)).toEqual(['not-answering']);
  });
});
