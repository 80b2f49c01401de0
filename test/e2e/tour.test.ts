import { describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { pathWithKubectl } from './kubectls.ts';
import { Lab, labMissing, leftovers, PROGRAM } from './lab.ts';

const missing = labMissing();

/** A lab whose commands find kubectl itself. */
function tourLab(): Lab {
  const lab = new Lab('tour');
  lab.env.PATH = pathWithKubectl(lab);
  return lab;
}

describe.skipIf(missing !== undefined)(`hostport tour${missing ? ` (${missing})` : ''}`, () => {
  for (const [what, words, rules] of [
    ['our portmap', [], '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT'],
    ['the reference portmap', ['--portmap', 'reference'], '-A CNI-HOSTPORT-DNAT -p tcp -m comment'],
  ] as const) {
    test(`meets every expectation of the how-to with ${what}, and leaves nothing behind`, async () => {
      const lab = tourLab();
      const ran = await lab.hostport('tour', ...words);
      expect(ran.stdout, ran.stderr).toContain(rules);
      expect(ran.stdout, ran.stderr).toMatch(/^(\d+) of \1 expectations met$/m);
      expect(ran.stdout).not.toContain('✗');
      expect(ran.code).toBe(0);
      expect(leftovers('kind')).toEqual([]);
      await lab.delete();
    });
  }

  test('meets them on a machine whose /opt/cni/bin has other plugins than portmap', async () => {
    const lab = tourLab();
    const ran = await lab.command(['unshare', '-m', 'sh', '-c', withOtherPlugins('tour')]);
    expect(ran.stdout, ran.stderr).toMatch(/^(\d+) of \1 expectations met$/m);
    expect(ran.code).toBe(0);
    expect(leftovers('kind')).toEqual([]);
    await lab.delete();
  });

  test('ends at the step that fails, says which, and removes what it made', async () => {
    const lab = new Lab('tour');
    // A sudo of this machine that may not do it.
    chmodSync(lab.file('sudo', '#!/bin/sh\necho "sudo: not today" >&2\nexit 1\n'), 0o755);
    const ran = await lab.command([PROGRAM, 'tour'], { env: { PATH: `${lab.scratch}:${process.env.PATH}` } });
    const copy = 'sudo cp /opt/cni/bin/portmap /tmp/empty/bin/';
    expect(ran.stdout).toContain(
      `$ ${copy}\n  sudo: not today\n ✗ ${copy}: succeeds\n   seen: exit status 1\n`,
    );
    expect(ran.stdout).toEndWith(
      ` expectations met, then one not met: the tour ends there
  step: Put the plugin there, and do nothing else
  not met: ${copy}: succeeds
To keep the cluster in that state: ${PROGRAM} tour --keep
`,
    );
    expect(ran.stdout).not.toContain('kind-worker3 has the plugin');
    expect(ran.code).toBe(1);
    expect(leftovers('kind')).toEqual([]);
    await lab.delete();
  });

  test('meets them with our portmap on nftables; --keep leaves a cluster, whose deletion removes all that the tour had', async () => {
    const lab = tourLab();
    const ran = await lab.hostport('tour', '--keep', '--backend', 'nftables');
    expect(ran.stdout).toContain('nft list table inet hostport');
    expect(ran.stdout, ran.stderr).toMatch(/^(\d+) of \1 expectations met$/m);
    expect(ran.stdout).not.toContain('✗');
    expect(ran.code).toBe(0);
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

/** A script that runs the program where /opt/cni/bin has plugins and no portmap, in a mount namespace that it is run in. */
function withOtherPlugins(...words: string[]): string {
  return `mount -t tmpfs tmpfs /opt && mkdir -p /opt/cni/bin && touch /opt/cni/bin/mine && ${PROGRAM} ${words.join(' ')}`;
}
