import { describe, expect, test } from 'bun:test';
import type { ProbeBatch } from '../../node/probe/plan.ts';
import type { ProbeDoor } from '../../node/probe/probing.ts';
import type { ProbeResult } from '../../path/model/probe.ts';
import type { World } from '../../path/model/world.ts';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import type { Traffic, TrafficShown } from '../../ui/protocol.ts';
import { labTraffic } from './lab-traffic.ts';

const WORLD: World = {
  ...{
    observedAt: '2030-01-01T00:00:00Z',
    services: [],
    events: [],
    policies: [],
    reports: new Map(),
    probes: [],
  },
  nodes: [
    { metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '172.17.0.3' }] } },
  ],
  pods: [
    {
      metadata: { name: 'web', namespace: 'shop', uid: 'u1' },
      spec: {
        nodeName: 'n1',
        containers: [
          {
            name: 'c',
            ports: [
              { containerPort: 8080, hostPort: 80 },
              { containerPort: 53, hostPort: 53, protocol: 'UDP' },
              { containerPort: 81, hostPort: 81, hostIP: '127.0.0.1' },
            ],
          },
        ],
      },
      status: { phase: 'Running', podIP: '10.0.0.2' },
    },
  ],
};

/** Shows so many rounds of traffic. */
async function rounds(
  number: number,
  answer: (round: number, batches: readonly ProbeBatch[]) => ReturnType<ProbeDoor['send']>,
  world: () => World | undefined = () => WORLD,
  end?: Error,
) {
  const shown: Traffic[][] = [];
  const leftOut: number[] = [];
  const sent: (readonly ProbeBatch[])[] = [];
  const over = new AbortController();
  let pauses = 0;
  const clock: Clock = {
    now: leapingNow(),
    monotonic: () => 0,
    async sleep() {
      if (++pauses < number) return;
      if (end !== undefined) throw end;
      over.abort();
    },
  };
  const door: ProbeDoor = {
    async send(batches) {
      sent.push(batches);
      return answer(sent.length, batches);
    },
    flows: async () => [],
    reversePathDrops: async () => undefined,
  };
  const show = (traffic: TrafficShown) => {
    shown.push(traffic.ports);
    leftOut.push(traffic.leftOut);
  };
  await labTraffic(door, world, show, clock, over.signal);
  return { shown, sent, leftOut };
}

const result = (outcome: ProbeResult['outcome']) => async (_: number, batches: readonly ProbeBatch[]) =>
  batches.map(({ orders }) => ({
    value: orders.map((order) => ({ ...order, outcome, detail: outcome, milliseconds: 2 })),
  }));

describe('the traffic of a lab', () => {
  test('is one probe a round to each TCP port that can be reached from outside', async () => {
    const { shown, sent } = await rounds(3, result('answered'));
    expect(sent.every(([batch, ...others]) => batch!.stand.at === 'outside' && others.length === 0)).toBe(
      true,
    );
    expect(sent[0]![0]!.orders.map(({ target }) => target)).toEqual([{ address: '172.17.0.3', port: 80 }]);
    expect(shown.map(([row]) => row?.strip)).toEqual(['a', 'aa', 'aaa']);
    expect(shown[2]).toEqual([
      {
        ...{ node: 'n1', pod: 'shop/web', port: 'TCP 80', address: '172.17.0.3:80' },
        ...{ strip: 'aaa', detail: 'answered', milliseconds: 2 },
      },
    ]);
  });

  test('shows what is refused, silent or cannot be sent, with the reason, and continues', async () => {
    const { shown } = await rounds(4, async (round, batches) => {
      if (round === 1) return result('refused')(round, batches);
      if (round === 2) return result('timeout')(round, batches);
      if (round === 3) return [{ unknown: 'the namespace is gone' }];
      throw new Error('the lab is gone');
    });
    expect(shown.map(([row]) => [row?.strip, row?.detail])).toEqual([
      ['r', 'refused'],
      ['rt', 'timeout'],
      ['rt?', 'the namespace is gone'],
      ['rt??', 'the lab is gone'],
    ]);
  });

  test('keeps a minute of outcomes', async () => {
    const { shown } = await rounds(100, result('answered'));
    expect(shown.at(-1)![0]!.strip).toBe('a'.repeat(60));
  });

  test('sends nothing before the lab was seen, and forgets what is gone', async () => {
    const seen = [undefined, WORLD, { ...WORLD, pods: [] }, WORLD];
    const { shown, sent } = await rounds(4, result('answered'), () => seen.shift());
    expect(sent).toHaveLength(2);
    expect(shown.map((rows) => rows.map(({ strip }) => strip))).toEqual([['a'], [], ['a']]);
  });

  test('goes to a bounded number of hostPorts, and says how many are left out', async () => {
    const [pod] = WORLD.pods;
    const pods = Array.from({ length: 203 }, (_, i) => ({
      metadata: { ...pod!.metadata, name: `web-${i}`, uid: `u${i}` },
      spec: {
        nodeName: 'n1',
        containers: [{ name: 'c', ports: [{ containerPort: 8080, hostPort: 1000 + i }] }],
      },
      status: { phase: 'Running' as const, podIP: '10.0.0.2' },
    }));
    const { shown, leftOut } = await rounds(1, result('answered'), () => ({ ...WORLD, pods }));
    expect([shown[0]!.length, leftOut[0]]).toEqual([200, 3]);
  });

  test('a clock that fails ends it with that error', async () => {
    const broken = new Error('no timer');
    await expect(rounds(2, result('answered'), () => WORLD, broken)).rejects.toBe(broken);
  });
});
