import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachmentChain } from './layout.ts';
import { type Outcome, REFERENCE, Topology } from './testing/topology.ts';

// Of this run alone: a GC is of a network, and other runs share /run.
const NETWORK = `backends-test-${process.pid}`;
/** A number that other runs of these tests on the machine do not have: attachments are remembered by their name. */
const RUN = process.pid;

/** What the two backends, on one node, owe to each other: one host port is one host port. */
describe.each(['nft', 'legacy'] as const)('nftables beside iptables-%s', (variant) => {
  let lab: Topology;
  let ours: string;

  const idOf = (pod: string) => `both-${variant}-${RUN}-${pod}`;

  function conf(pod: string, backend: string, families: readonly (4 | 6)[] = [4]) {
    const last = pod === 'a' ? 10 : 11;
    const addresses = { 4: `10.88.0.${last}/24`, 6: `fd88::${last}/64` };
    return {
      ...{
        cniVersion: '1.0.0',
        name: NETWORK,
        type: 'portmap',
        backend,
        capabilities: { portMappings: true },
      },
      runtimeConfig: { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] },
      prevResult: {
        cniVersion: '1.0.0',
        interfaces: [{ name: 'eth0', sandbox: lab.path(pod) }],
        ips: families.map((family) => ({ address: addresses[family], interface: 0 })),
      },
    };
  }

  function run(
    verb: string,
    pod: string,
    config: Record<string, unknown>,
    options: { netns?: string; env?: Record<string, string> } = {},
  ): Promise<Outcome> {
    const request = { id: idOf(pod), netns: lab.path(pod), config, ...options };
    return options.env === undefined ? lab.portmapHere(verb, request) : lab.cni('node', ours, verb, request);
  }

  /** Which backends map port 80, to which address. */
  async function mapped(): Promise<string[]> {
    const v4 = await lab.natRules('node');
    const v6 = await lab.natRules('node', 'ip6tables');
    const listed = await lab.run('node', ['nft', 'list', 'table', 'inet', 'hostport']);
    const iptables = [...v4, ...v6].flatMap((line) => /--to-destination (\S+)/.exec(line)?.[1] ?? []);
    const nftables = [...listed.stdout.matchAll(/comment "[^"]*" : (\S+) \. 8080/g)].map(([, to]) => to!);
    return [...iptables.map((to) => `iptables ${to}`), ...nftables.map((to) => `nftables ${to}`)];
  }

  beforeAll(async () => {
    lab = await Topology.create(variant);
    ours = join(lab.plugins, 'portmap');
    await lab.namespace('node');
    for (const pod of ['a', 'b']) await lab.namespace(pod);
    lab.enter('node');
  });
  afterEach(async () => {
    for (const pod of ['a', 'b'])
      expect(await run('DEL', pod, conf(pod, 'iptables'))).toMatchObject({ code: 0 });
    expect(await mapped()).toEqual([]);
  });
  afterAll(async () => {
    for (const pod of ['a', 'b']) {
      rmSync(`/run/hostport/portmap/${attachmentChain(NETWORK, idOf(pod))}.json`, { force: true });
    }
    await lab.dispose();
  });

  for (const [first, second] of [
    ['iptables', 'nftables'],
    ['nftables', 'iptables'],
  ] as const) {
    const [at, after] = [`${first} 10.88.0.10`, `${second} 10.88.0.11`].map((text) =>
      text.startsWith('iptables') ? `${text}:8080` : text,
    ) as [string, string];

    test(`a port that ${first} maps to a pod that lives is refused by ${second}`, async () => {
      expect(await run('ADD', 'a', conf('a', first))).toMatchObject({ code: 0 });
      const refused = await run('ADD', 'b', conf('b', second));
      expect(refused.document).toMatchObject({ code: 110 });
      const { msg } = refused.document as { msg: string };
      expect(msg).toContain(`tcp 80 of container ${idOf('a')} of network ${NETWORK} at 10.88.0.10:8080`);
      expect(await mapped()).toEqual([at]);
      expect(await run('CHECK', 'a', conf('a', first))).toMatchObject({ code: 0 });
    });

    test(`a port that ${first} maps to a pod that is gone passes to ${second}`, async () => {
      expect(await run('ADD', 'a', conf('a', first))).toMatchObject({ code: 0 });
      // The record of a sandbox that no longer exists.
      const there = conf('a', first);
      expect(await run('ADD', 'a', there, { netns: '/run/netns/no-such' })).toMatchObject({ code: 0 });
      expect(await run('ADD', 'b', conf('b', second))).toMatchObject({ code: 0, stderr: '' });
      expect(await mapped()).toEqual([after]);
    });

    test(`a configuration that changes from ${first} to ${second} moves the mapping`, async () => {
      expect(await run('ADD', 'b', conf('b', first))).toMatchObject({ code: 0 });
      for (let i = 0; i < 2; i++) {
        expect(await run('ADD', 'b', conf('b', second))).toMatchObject({ code: 0, stderr: '' });
        expect(await mapped()).toEqual([after]);
      }
      expect(await run('CHECK', 'b', conf('b', second))).toMatchObject({ code: 0 });
    });
  }

  test('CHECK on iptables says that a mapping in nftables comes first', async () => {
    expect(await run('ADD', 'b', conf('b', 'nftables'))).toMatchObject({ code: 0 });
    // The reference plugin does not check this.
    const reference = join(REFERENCE, 'portmap');
    const config = conf('a', 'iptables');
    const ips = [{ version: '4', ...config.prevResult.ips[0]! }];
    const added = await lab.cni('node', reference, 'ADD', {
      ...{ id: idOf('a'), netns: lab.path('a') },
      config: {
        ...config,
        cniVersion: '0.4.0',
        prevResult: { ...config.prevResult, cniVersion: '0.4.0', ips },
      },
    });
    expect(added).toMatchObject({ code: 0 });
    const checked = await run('CHECK', 'a', conf('a', 'iptables'));
    expect(checked.document).toMatchObject({ code: 999 });
    expect(JSON.stringify(checked.document)).toContain(`of container ${idOf('b')}`);
  });

  for (const backend of ['iptables', 'nftables']) {
    test(`ADD for fewer address families than before leaves nothing of the others (${backend})`, async () => {
      expect(await run('ADD', 'a', conf('a', backend, [4, 6]))).toMatchObject({ code: 0 });
      expect(await mapped()).toHaveLength(2);
      expect(await run('ADD', 'a', conf('a', backend, [4]))).toMatchObject({ code: 0, stderr: '' });
      expect(await mapped()).toHaveLength(1);
      expect(await run('CHECK', 'a', conf('a', backend, [4]))).toMatchObject({ code: 0 });
      expect(await run('ADD', 'a', conf('a', backend, [6]))).toMatchObject({ code: 0, stderr: '' });
      expect((await mapped()).join()).toContain('fd88');
      expect(await mapped()).toHaveLength(1);
    });
  }

  test('DEL without iptables is an error when something is known to remain, and a warning when it may', async () => {
    const empty = join(lab.scratch, 'empty');
    mkdirSync(empty, { recursive: true });
    for (const program of ['iptables', 'iptables-restore', 'ip6tables', 'ip6tables-restore']) {
      // The system's directories are searched too: a tool that cannot work stands for one that is not there.
      writeFileSync(join(empty, program), '#!/bin/false\n', { mode: 0o755 });
    }
    const env = { PATH: empty };
    expect(await run('ADD', 'a', conf('a', 'iptables'))).toMatchObject({ code: 0 });
    const known = await run('DEL', 'a', conf('a', 'nftables'), { env });
    if (variant === 'nft') {
      expect(known.document).toMatchObject({
        code: 999,
        msg: `port mappings of container ${idOf('a')} remain in table nat (ipv4)`,
      });
    } else {
      // The kernel cannot be asked what iptables-legacy has.
      expect(known).toMatchObject({ code: 0, document: undefined });
      expect(known.stderr).toContain('iptables cannot be used; any mappings it holds stay in place');
    }
    expect(await mapped()).toEqual(['iptables 10.88.0.10:8080']);
    // Of whom nothing can be there.
    const other = await run('DEL', 'b', conf('b', 'nftables'), { env });
    expect(other).toMatchObject({ code: 0, document: undefined });
  });
});
