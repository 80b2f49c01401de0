/** What the native plugin says of netlink's bytes, in C, is what the TypeScript says of them; no bytes make it read beyond them. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { portJump } from '../src/netfilter/nft/kernel-rules.ts';
import { seededBelow } from '../src/netfilter/trace/testing/random-rules.ts';
import { attribute, netlinkMessage } from '../src/sys/netlink.ts';
import { messageReader } from '../src/sys/netlink-messages.ts';
import { COMPILE_MS, compileNative } from './compile-native.ts';

/** As native-netlink.c has them. */
const wanted = { ports: [80, 65_535], chain: 'WANTED' };
const RANDOM = 20_000;

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'hostport-netlink-'));
  await compileNative(['test/native-netlink.c', 'native/netlink.c'], join(work, 'judge'));
}, COMPILE_MS);
afterAll(() => rm(work, { recursive: true }));

/** What the C says of each. */
async function judged(all: readonly Buffer[]): Promise<{ isOther: boolean; state: string | undefined }[]> {
  const input = all.flatMap((bytes) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length);
    return [size, bytes];
  });
  const child = Bun.spawn([join(work, 'judge')], { stdin: Buffer.concat(input), stdout: 'pipe' });
  const said = await new Response(child.stdout).text();
  expect([await child.exited, said.length]).toEqual([0, 2 * all.length]);
  const states: Record<string, string> = { m: 'more', c: 'complete', b: 'broken' };
  return all.map((_, i) => ({ isOther: said[2 * i] === 'o', state: states[said[2 * i + 1]!] }));
}

/** What the TypeScript says. */
function expected(bytes: Buffer): { isOther: boolean; state: string | undefined } {
  const jump = portJump(bytes.toString('latin1'));
  const isOther =
    jump !== undefined &&
    jump.chain !== wanted.chain &&
    !jump.ports.some((port) => wanted.ports.includes(port));
  return { isOther, state: messageReader()(bytes, bytes.length, []) };
}

const text = (type: number, value: string) => attribute(type, Buffer.from(`${value}\0`, 'latin1'));
const nested = (type: number, ...inside: Buffer[]) => attribute(type, Buffer.concat(inside));

interface Fields {
  chain?: string;
  ports?: number[];
  count?: number;
  kind?: number;
  range?: number;
  inverted?: number;
}

/** A rule as the kernel has it: `-m multiport --dports PORTS -j CHAIN`. */
function ruleOf({
  chain = 'OTHER',
  ports = [443],
  count = ports.length,
  kind = 1,
  range = 0,
  inverted = 0,
}: Fields) {
  const info = Buffer.alloc(48);
  info[0] = kind;
  info[1] = count;
  for (const [i, port] of ports.entries()) info.writeUInt16LE(port, 2 + 2 * i);
  info[32] = range;
  info[47] = inverted;
  const match = nested(2, text(1, 'multiport'), attribute(2, Buffer.from([0, 0, 0, 1])), attribute(3, info));
  const jump = Buffer.from([0xff, 0xff, 0xff, 0xfd]);
  const verdict = nested(2, attribute(1, jump), text(2, chain));
  const immediate = nested(2, attribute(1, Buffer.alloc(4)), nested(2, verdict));
  return Buffer.concat([
    Buffer.from([2, 0, 0, 0]),
    ...[text(1, 'nat'), text(2, 'CNI-HOSTPORT-DNAT'), attribute(3, Buffer.from([0, 0, 0, 0, 0, 0, 1, 80]))],
    nested(4, nested(1, text(1, 'match'), match), nested(1, text(1, 'immediate'), immediate)),
  ]);
}

const fifteen = Array.from({ length: 15 }, (_, i) => 1000 + i);
test.each<[string, Fields, boolean]>([
  ['another port, another chain', {}, true],
  ['fifteen of them', { ports: fifteen }, true],
  ['a name of another length', { chain: 'OTHERS' }, true],
  ['a longer name that begins with the wanted one', { chain: 'WANTED-NOT' }, true],
  ['the port', { ports: [443, 80] }, false],
  ['the port, last of fifteen', { ports: [...fifteen.slice(1), 65_535] }, false],
  ['the chain', { chain: 'WANTED' }, false],
  ['no port', { ports: [], count: 0 }, false],
  ['too many', { ports: fifteen, count: 16 }, false],
  ['source ports', { kind: 0 }, false],
  ['a range', { ports: [1, 2], range: 1 }, false],
  ['all ports but it', { inverted: 1 }, false],
])('a jump of %s', async (_name, fields, isOther) => {
  const rule = ruleOf(fields);
  expect(expected(rule).isOther).toBe(isOther);
  expect((await judged([rule]))[0]!.isOther).toBe(isOther);
});

test('a rule that ends anywhere', async () => {
  const whole = ruleOf({ ports: fifteen });
  const parts = Array.from({ length: whole.length + 1 }, (_, size) => whole.subarray(0, size));
  expect(await judged(parts)).toEqual(parts.map(expected));
});

test('rules of random bytes', async () => {
  const below = seededBelow(7);
  const happens = (percent: number) => below(100) < percent;
  const changed = Array.from({ length: RANDOM }, () => {
    const fields = { chain: happens(20) ? 'WANTED' : 'OTHER', ports: [below(90), 443, below(65_536)] };
    const rule = ruleOf(fields);
    for (let times = below(4); times > 0; times--) {
      const at = below(rule.length);
      // Parts that are there twice, or nowhere, are what a search may get wrong.
      if (happens(30)) rule.copy(rule, at, below(rule.length), below(rule.length));
      else rule[at] = happens(50) ? below(256) : rule[at]! ^ (1 << below(8));
    }
    return happens(10) ? rule.subarray(0, below(rule.length)) : rule;
  });
  const said = await judged(changed);
  expect(said).toEqual(changed.map(expected));
  // Both answers are there often.
  const others = said.filter(({ isOther }) => isOther).length;
  expect([others > RANDOM / 10, others < (RANDOM * 9) / 10]).toEqual([true, true]);
});

test('answers of random bytes', async () => {
  const below = seededBelow(8);
  const happens = (percent: number) => below(100) < percent;
  const done = netlinkMessage(3, 0, Buffer.alloc(4));
  const answers = Array.from({ length: RANDOM }, () => {
    const messages = Array.from({ length: below(4) }, () =>
      netlinkMessage(2566, 2, Buffer.alloc(below(40), 1)),
    );
    const bytes = Buffer.concat(happens(50) ? [...messages, done, ...messages] : messages);
    // A length that is too long, too short or none, a type, a flag.
    if (bytes.length > 0 && happens(60)) bytes[below(Math.min(bytes.length, 48))] = below(256);
    return bytes.subarray(0, happens(20) ? below(bytes.length + 1) : bytes.length);
  });
  const said = await judged(answers);
  expect(said).toEqual(answers.map(expected));
  expect(new Set(said.map(({ state }) => state))).toEqual(new Set(['more', 'complete', 'broken']));
});
