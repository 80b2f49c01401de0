import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type Exec, output, realExec } from '../../sys/exec.ts';
import { FakeNat } from './iptables.fake.ts';
import { IptablesNat, type NatTable } from './iptables.ts';

// One table of documents against the fake and both real variants: what one applies or refuses, all do.
const namespace = `hpt-nat-${process.pid}`;

function inNamespace(variant: 'nft' | 'legacy'): Exec {
  return {
    run: ([program, ...args], options) =>
      realExec.run(
        [
          ...['ip', 'netns', 'exec', namespace],
          program!.replace(
            /^(ip6?tables)(-restore)?$/,
            (_, name, suffix = '') => `${name}-${variant}${suffix}`,
          ),
          ...args,
        ],
        options,
      ),
  };
}

const tables: Record<string, () => NatTable> = {
  fake: () => new FakeNat(),
  nft: () => new IptablesNat(inNamespace('nft'), 'ipv4'),
  legacy: () => new IptablesNat(inNamespace('legacy'), 'ipv4'),
};

beforeAll(async () => {
  await output(realExec, ['ip', 'netns', 'add', namespace]);
});
afterAll(async () => {
  await output(realExec, ['ip', 'netns', 'delete', namespace]);
});

describe.each(Object.keys(tables).map((name) => [name]))('%s', (name) => {
  test('applies a document whole or not at all', async () => {
    const table = tables[name]!();
    const rule = '-A TEST-A -p tcp -m tcp --dport 80 -j TEST-B';
    const steps: { document: string[]; failed?: number | 'at the end'; after: string[] | undefined }[] = [
      { document: ['-N TEST-A', '-N TEST-B', rule], after: [rule] },
      { document: ['-F TEST-A', '-N TEST-B'], failed: 1, after: [rule] },
      { document: ['-C TEST-A -p tcp -m tcp --dport 80 -j TEST-B'], after: [rule] },
      { document: ['-C TEST-A -p tcp -m tcp --dport 81 -j TEST-B', '-F TEST-A'], failed: 0, after: [rule] },
      { document: ['-D TEST-A -p tcp -m tcp --dport 81 -j TEST-B'], failed: 0, after: [rule] },
      { document: ['-A TEST-NONE -j ACCEPT'], failed: 0, after: [rule] },
      // nft finds that out when it commits.
      { document: ['-A TEST-A -j TEST-NONE'], failed: 'at the end', after: [rule] },
      { document: ['-I TEST-A -j RETURN'], after: ['-A TEST-A -j RETURN', rule] },
      { document: ['-D TEST-A -j RETURN'], after: [rule] },
      { document: [':TEST-A - [0:0]', '-A TEST-A -j ACCEPT'], after: ['-A TEST-A -j ACCEPT'] },
      { document: ['-F TEST-A', '-X TEST-A', '-X TEST-B'], after: undefined },
    ];
    expect(await table.listChain('TEST-A')).toBeUndefined();
    for (const { document, failed, after } of steps) {
      const outcome = await table.restore(document);
      expect({ document, applied: outcome.applied }).toEqual({ document, applied: failed === undefined });
      if (!outcome.applied && failed !== 'at the end') {
        expect({ document, failed: outcome.failed }).toEqual({ document, failed });
      }
      expect(await table.listChain('TEST-A')).toEqual(after);
    }
    expect(await table.listChain('PREROUTING')).toEqual([]);
  });
});
