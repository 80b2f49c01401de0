import { describe, expect, test } from 'bun:test';
import type { FlowRecord } from '../../path/model/flow-trace.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { NodeRequest } from '../serve/request.ts';
import { type TraceDoor, type TraceOrder, traceFlow } from './trace-flow.ts';

const record: FlowRecord = {
  ...{ events: { value: [] }, isTruncated: false, hooks: {}, drops: { value: [] } },
  ...{ hasLegacyRules: false, silentNeighbours: [] },
};
const order: TraceOrder = {
  ...{ node: 'a', address: '192.0.2.1', port: 8080, protocol: 'TCP', from: { at: 'outside' } },
};

interface Asked {
  place: string;
  request: NodeRequest;
}

/** A door that notes what it is asked for; `send` says what comes of each probe. */
function doorOf(
  send: (sourcePort: number) => Pick<ProbeResult, 'outcome' | 'detail' | 'problem'>,
  isOneKernel = true,
) {
  const asked: Asked[] = [];
  const door: TraceDoor = {
    isOneKernel,
    send: async ([batch]) => {
      const [probe] = batch!.orders;
      asked.push({ place: 'sender', request: { do: 'flows', sourcePorts: [] } });
      return [{ value: [{ ...probe!, milliseconds: 1, ...send(probe!.sourcePort!) }] }];
    },
    ask: async (place, request) => {
      asked.push({ place: place === 'outside' ? place : place.node, request });
      if (request.do === 'trace-sender') return 4711;
      if (request.do === 'trace-start') return 'trace 1';
      if (request.do === 'trace-stop') return record;
      throw new Error(`unexpected ${request.do}`);
    },
  };
  const verbs = () => asked.map(({ place, request }) => `${place} ${request.do}`);
  return { door, asked, verbs };
}

const answered = () => ({ outcome: 'answered' as const, detail: 'connected' });

describe('a traced flow', () => {
  test('is recorded while the probe is sent, from the port that is traced', async () => {
    let sentFrom: number | undefined;
    const { door, asked, verbs } = doorOf((port) => {
      sentFrom = port;
      return answered();
    });
    const { flow, story } = await traceFlow(door, { ...order, containerPort: 80 });
    expect(story.outcome).toBe('answered');
    expect(verbs()).toEqual(['outside trace-sender', 'a trace-start', 'sender flows', 'a trace-stop']);
    expect(asked[1]!.request).toEqual({ do: 'trace-start', flow });
    expect(flow).toMatchObject({ family: 'ipv4', port: 8080, containerPort: 80, sourcePort: sentFrom });
  });

  test('ends when its probe cannot be sent', async () => {
    const { door, verbs } = doorOf(() => {
      throw new Error('the sender is gone');
    });
    await expect(traceFlow(door, order)).rejects.toThrow('the sender is gone');
    expect(verbs().at(-1)).toBe('a trace-stop');
  });

  test('is tried again from another port when one is taken', async () => {
    const ports: number[] = [];
    const { door } = doorOf((port) => {
      ports.push(port);
      const taken = { outcome: 'unknown', detail: 'in use', problem: 'source-port-taken' } as const;
      return ports.length === 1 ? taken : answered();
    });
    expect((await traceFlow(door, order)).story.outcome).toBe('answered');
    expect(ports).toHaveLength(2);
  });

  test('is not tried again when it may not be sent from a port', async () => {
    let sent = 0;
    const detail = 'cannot send from port 61000: EACCES';
    const { door } = doorOf(() => {
      sent++;
      return { outcome: 'unknown', detail };
    });
    expect((await traceFlow(door, order)).probe).toEqual({ outcome: 'unknown', detail });
    expect(sent).toBe(1);
  });

  test.each([
    { from: { at: 'outside' } as const, isAsked: false },
    { from: { at: 'node', node: 'b' } as const, isAsked: false },
    { from: { at: 'node', node: 'a' } as const, isAsked: true },
  ])('the sender of another kernel is not asked for its number: $from', async ({ from, isAsked }) => {
    const { door, verbs } = doorOf(answered, false);
    await traceFlow(door, { ...order, from });
    expect(verbs().some((verb) => verb.includes('trace-sender'))).toBe(isAsked);
  });
});
