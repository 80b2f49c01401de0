import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { Lab, labMissing, leftovers } from './lab.ts';

const missing = labMissing();

describe.skipIf(missing !== undefined)(`hostport tour${missing ? ` (${missing})` : ''}`, () => {
  for (const [what, words, rules] of [
    ['our portmap', [], '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT'],
    ['our portmap on nftables', ['--backend', 'nftables'], 'nft list table inet hostport'],
    ['the reference portmap', ['--portmap', 'reference'], '-A CNI-HOSTPORT-DNAT -p tcp -m comment'],
  ] as const) {
    test(`meets every expectation of the how-to with ${what}, and leaves nothing behind`, async () => {
      const lab = new Lab('tour');
      const ran = await lab.hostport('tour', ...words);
      expect(ran.stdout).toContain(rules);
      expect(ran.stdout).toMatch(/^(\d+) of \1 expectations met$/m);
      expect(ran.stdout).not.toContain('✗');
      expect(ran.code).toBe(0);
      expect(leftovers('kind')).toEqual([]);
      await lab.delete();
    });
  }

  test('--keep leaves a cluster; its deletion takes away all that the tour had', async () => {
    const lab = new Lab('tour');
    await lab.must('tour', '--keep', '--backend', 'nftables');
    expect(await lab.must('get', 'nodes', '--name', 'kind')).toContain('kind-worker3\n');
    expect(existsSync('/run/hostport/tour/kind/cni')).toBe(true);
    await lab.must('delete', 'cluster', '--name', 'kind');
    expect(leftovers('kind')).toEqual([]);
    expect(readdirSync('/run/hostport').filter((name) => name.startsWith('tour'))).toEqual([]);
    await lab.delete();
  });

  test('refuses a backend that the reference does not have, before anything is made', async () => {
    const lab = new Lab('tour');
    const ran = await lab.hostport('tour', '--portmap', 'reference', '--backend', 'nftables');
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('has no nftables backend');
    expect(leftovers('kind')).toEqual([]);
    rmSync(lab.scratch, { recursive: true });
  });
});
