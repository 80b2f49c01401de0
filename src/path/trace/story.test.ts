import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { flowRecordSchema, tracedFlowSchema } from '../model/flow-trace.ts';
import { catalogue } from '../stages/index.ts';
import { dropReasons } from './reasons.ts';
import { type Sender, storyOf } from './story.ts';
import { type CaseName, cases, type TraceCase } from './testing/cases.ts';

// What the real kernel said of a probe in each case; test/trace.netns.test.ts recorded it.
const DIRECTORY = join(import.meta.dir, '../../../test/fixtures/traces');

function recorded(name: CaseName) {
  const document = JSON.parse(readFileSync(join(DIRECTORY, `${name}.json`), 'utf8'));
  return {
    flow: tracedFlowSchema.parse(document.flow),
    sender: document.sender as Sender,
    probe: document.probe as { outcome: 'timeout'; detail: string },
    record: flowRecordSchema.parse(document.record),
  };
}
type Recorded = ReturnType<typeof recorded>;

function story({ flow, sender, probe, record }: Recorded) {
  return storyOf(flow, sender, probe, record);
}

describe('the story of each case', () => {
  test.each(Object.entries(cases) as [CaseName, TraceCase][])('%s', (name, { outcome, message, death }) => {
    const found = story(recorded(name));
    expect({ outcome: found.outcome, message: found.message }).toEqual({ outcome, message });
    if (death !== undefined) expect(found.death).toMatchObject(death);
  });

  test('every record is a case', () => {
    expect(readdirSync(DIRECTORY).sort()).toEqual(
      Object.keys(cases)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });
});

test('a refusal of the node by a port that rules have made of another is not that of a missing mapping', () => {
  const { record, ...rest } = recorded('no-mapping');
  if (!('value' in record.events)) throw new Error('it was recorded');
  const value = record.events.value.map((event) =>
    event.chain.startsWith('input-') && event.packet !== undefined
      ? { ...event, packet: { ...event.packet, destinationPort: 9 } }
      : event,
  );
  const { death } = story({ ...rest, record: { ...record, events: { value } } });
  expect(death).toMatchObject({
    message: 'the node itself refuses it: rules send it to 10.91.0.2:9, and no socket listens there',
    code: 'mapping-shadowed',
  });
});

test('each step of a healthy connection, there and back', () => {
  const { steps } = story(recorded('healthy'));
  const dnat =
    '-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -j DNAT --to-destination 10.92.0.2:80';
  expect(steps.filter(({ direction }) => direction === 'request')).toEqual([
    {
      ...{ direction: 'request', kind: 'arrived', input: 'eth0' },
      ...{ source: '10.91.0.1:61000', destination: '10.91.0.2:8080' },
    },
    { direction: 'request', kind: 'hook', hook: 'prerouting', input: 'eth0' },
    {
      ...{ direction: 'request', kind: 'rule', hook: 'prerouting', table: 'ip nat', chain: 'PREROUTING' },
      ...{ verdict: 'accept', rule: dnat },
    },
    {
      ...{ direction: 'request', kind: 'rewrite', hook: 'prerouting', field: 'destination' },
      ...{ from: '10.91.0.2:8080', to: '10.92.0.2:80' },
    },
    { direction: 'request', kind: 'hook', hook: 'forward', input: 'eth0', output: 'lxc1' },
    { direction: 'request', kind: 'hook', hook: 'postrouting', input: 'eth0', output: 'lxc1' },
    { direction: 'request', kind: 'left', output: 'lxc1' },
  ]);
  expect(steps.findLast(({ kind }) => kind === 'rewrite')).toMatchObject({
    ...{ direction: 'answer', field: 'source', from: '10.92.0.2:80', to: '10.91.0.2:8080' },
  });
});

describe('what is not known is not made up', () => {
  const without = (name: CaseName, change: (of: Recorded) => Partial<Recorded['record']>) => {
    const of = recorded(name);
    return story({ ...of, record: { ...of.record, ...change(of) } });
  };

  test('without tracefs: the place is known, the reason is not', () => {
    const found = without('rp-filter', () => ({ drops: { unknown: 'no tracefs here' } }));
    expect(found.outcome).toBe('died');
    expect(found.message).toBe(
      "the request was dropped in the routing after hook prerouting; the kernel's reason is not known",
    );
    expect(found.death).not.toHaveProperty('code');
    expect(found.notes).toEqual(["the kernel's reasons for drops are unknown: no tracefs here"]);
  });

  test('a drop by another thread is the reason only if no other fits', () => {
    const drop = (reason: string) => ({ reason, location: 'ip_rcv_finish_core', pid: 99 });
    const among = (...reasons: string[]) =>
      without('rp-filter', () => ({ drops: { value: reasons.map(drop) } })).death;
    expect(among('NO_SOCKET', 'IP_RPFILTER')).toMatchObject({
      reason: 'IP_RPFILTER',
      isReasonCertain: false,
    });
    expect(among('IP_INNOROUTES', 'IP_RPFILTER')).not.toHaveProperty('reason');
    expect(among('NO_SOCKET')).not.toHaveProperty('reason');
  });

  test('without nftables: the reason alone, where it is known to be of this packet', () => {
    const events = { unknown: 'nft is not on this node' };
    const own = without('no-forwarding', () => ({ events }));
    expect(own.death).toMatchObject({ reason: 'IP_INADDRERRORS', code: 'ip-forward-off' });
    const foreign = without('no-forwarding', () => ({ events, pid: 1, drops: { value: [] } }));
    expect(foreign.outcome).toBe('inconclusive');
    expect(foreign.notes).toEqual(['rules are not traced: nft is not on this node']);
  });

  test('a packet that no device of the node saw', () => {
    const unseen = { events: { value: [] }, drops: { value: [] } };
    expect(without('mangle-drop', () => unseen).death).toMatchObject({ code: 'off-node-blocked' });
    const blind = without('mangle-drop', () => ({ ...unseen, devicesUnknown: 'no such hook' }));
    expect(blind.outcome).toBe('inconclusive');
  });

  test('silence of a UDP application proves nothing', () => {
    const of = recorded('healthy-udp');
    if (!('value' in of.record.events)) throw new Error('no events');
    const answer = of.record.events.value.findIndex(
      ({ packet }) => packet?.sourcePort === of.flow.containerPort,
    );
    const events = { value: of.record.events.value.slice(0, answer) };
    const probe = { outcome: 'unknown', detail: 'silence' } as unknown as Recorded['probe'];
    expect(story({ ...of, probe, record: { ...of.record, events } }).outcome).toBe('inconclusive');
    // With TCP, silence is an end.
    const tcp = recorded('answer-drop');
    if (!('value' in tcp.record.events)) throw new Error('no events');
    const request = tcp.record.events.value.filter(({ packet }) => packet?.sourcePort !== 80).slice(0, 20);
    const cut = { ...tcp.record, events: { value: request }, drops: { value: [] } };
    expect(story({ ...tcp, record: cut }).outcome).toBe('died');
  });
});

test('every reason that names a failure names one of the catalogue', () => {
  const codes = catalogue.map(({ code }) => code);
  const named = [
    ...Object.values(dropReasons).map(({ code }) => code),
    ...Object.values(cases as Record<string, TraceCase>).map(({ death }) => death?.code),
    ...['off-node-blocked', 'not-answering', 'mapping-missing', 'packet-dropped', 'reply-misrouted'],
  ];
  expect(named.filter((code) => code !== undefined && !codes.includes(code))).toEqual([]);
});
