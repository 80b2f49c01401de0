import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { NODE_NETWORK } from '../../src/lab/cluster/network.ts';
import { parseIPv4 } from '../../src/util/address.ts';
import { parseSubnet, subnetContains } from '../../src/util/cidr.ts';
import { Lab, labMissing, leftovers } from './lab.ts';

const missing = labMissing();

const NODES = `${NODE_NETWORK.gateway}/${NODE_NETWORK.prefix}`;
/** Not the lab's defaults, which another program of this machine may use. */
const PODS = '10.213.0.0/16';
const SERVICES = '10.97.64.0/20';

/** Runs a command and returns what it said. */
type Run = (...argv: string[]) => Promise<string>;

/** A command's standard output, run as it is (the machine's own namespace) or by way of the words before it. */
function runner(lab: Lab, ...before: string[]): (stdin?: string) => Run {
  return (stdin) =>
    async (...argv) => {
      const ran = await lab.command([...before, ...argv], { stdin });
      if (ran.code !== 0) throw new Error(`${argv.join(' ')}: ${ran.stderr}`);
      return ran.stdout;
    };
}

/** What the root network namespace shows of itself, in a form that two moments can be compared by. */
async function rootNamespace(run: Run): Promise<Record<string, string>> {
  const legacy = '/proc/net/ip_tables_names';
  return {
    links: await run('ip', '-br', 'link'),
    addresses: await run('ip', '-br', 'address'),
    routes: await run('ip', 'route', 'show', 'table', 'all'),
    rules: await run('ip', 'rule'),
    // Without counters: other programs of this machine may go on talking.
    nft: await run('nft', '--stateless', 'list', 'ruleset'),
    legacy: existsSync(legacy) ? readFileSync(legacy, 'utf8') : '',
    forwarding: await run('sysctl', '-n', 'net.ipv4.ip_forward'),
  };
}

async function listeners(run: Run): Promise<string[]> {
  return (await run('ss', '-Hltnu'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/)[4]!)
    .sort();
}

/** Those of the subnets that this machine has no address of its own in: packets there can only be the lab's. */
async function foreignTo(run: Run, subnets: readonly string[]): Promise<string[]> {
  const links = JSON.parse(await run('ip', '-j', '-4', 'address')) as { addr_info: { local: string }[] }[];
  const own = links.flatMap((link) => link.addr_info.map(({ local }) => parseIPv4(local)!));
  return subnets.filter((text) => !own.some((address) => subnetContains(parseSubnet(text)!, address)));
}

const TABLE = `hostport_test_${process.pid}`;

/** Counts what leaves for these subnets, comes from them or passes between them by any link but loopback. */
function watch(subnets: readonly string[]): string {
  const set = `{ ${subnets.join(', ')} }`;
  const chain = (hook: string, link: string, ways: readonly string[]) => `
  chain ${hook} {
    type filter hook ${hook} priority raw; policy accept;
    ${link} "lo" accept
    ${ways.map((way) => `ip ${way} ${set} counter name ${hook} accept`).join('\n    ')}
  }`;
  return `table inet ${TABLE} {
  counter output { }
  counter prerouting { }
  counter postrouting { }
${chain('output', 'oifname', ['daddr'])}
${chain('prerouting', 'iifname', ['saddr', 'daddr'])}
${chain('postrouting', 'oifname', ['saddr', 'daddr'])}
}
`;
}

async function packetsSeen(run: Run): Promise<Record<string, number>> {
  const { nftables } = JSON.parse(await run('nft', '-j', 'list', 'counters', 'table', 'inet', TABLE)) as {
    nftables: { counter?: { name: string; packets: number } }[];
  };
  return Object.fromEntries(
    nftables.flatMap(({ counter }) => (counter === undefined ? [] : [[counter.name, counter.packets]])),
  );
}

const NONE = { output: 0, prerouting: 0, postrouting: 0 };

describe.skipIf(missing !== undefined)(`the root network namespace${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('rootns');
  const here = runner(lab);
  const run = here();
  afterAll(() => lab.delete());

  test('a packet for the lab that leaves a namespace would be counted', async () => {
    const namespace = `${TABLE}-control`;
    await run('ip', 'netns', 'add', namespace);
    try {
      const inside = runner(lab, 'nsenter', `--net=/run/netns/${namespace}`);
      const sends = async (address: string) =>
        inside()(
          process.execPath,
          '-e',
          `const socket = require('node:dgram').createSocket('udp4');
           socket.send('x', 9, '${address}', () => socket.close());`,
        );
      for (const words of [
        'link set lo up',
        'link add way type veth peer name end',
        'link set end up',
        'address add 172.17.0.1/16 dev way',
        'link set way up',
      ]) {
        await inside()('ip', ...words.split(' '));
      }
      await inside(watch([NODES, PODS, SERVICES]))('nft', '-f', '-');
      await sends('172.17.0.1');
      expect(await packetsSeen(inside())).toEqual(NONE);
      await sends('172.17.0.9');
      expect(await packetsSeen(inside())).toEqual({ output: 1, prerouting: 0, postrouting: 1 });
    } finally {
      await run('ip', 'netns', 'delete', namespace);
    }
  });

  test('has one listener more on 127.0.0.1 while a cluster is up, sees no packet of it, and is otherwise as before', async () => {
    const watched = await foreignTo(run, [NODES, PODS, SERVICES]);
    expect(watched.length).toBeGreaterThan(0);
    await here(watch(watched))('nft', '-f', '-');
    try {
      const before = await rootNamespace(run);
      const listening = await listeners(run);
      const config = lab.file(
        'config.yaml',
        `kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnetworking: {podSubnet: ${PODS}, serviceSubnet: ${SERVICES}}\n`,
      );
      await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
      // Traffic of every kind: from outside the nodes to a hostPort, of pulls, and from this namespace to the API.
      const pod = lab.file('pod.json', JSON.stringify(ECHO));
      const applied = await lab.kubectl(['apply', '-f', pod]);
      expect(`${applied.stdout}${applied.stderr}`).toBe('pod/echo created\n');
      await lab.must('answers', '--name', lab.name, '--settle', '30s');
      expect(await rootNamespace(run)).toEqual(before);
      const added = (await listeners(run)).filter((listener) => !listening.includes(listener));
      const port = /:(\d+)\s*$/m.exec(
        (await lab.must('get', 'kubeconfig', '--name', lab.name)).match(/server: (\S+)/)![1]!,
      )![1];
      expect(added).toEqual([`127.0.0.1:${port}`]);
      expect(await packetsSeen(run)).toEqual(NONE);
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(await rootNamespace(run)).toEqual(before);
      expect((await listeners(run)).filter((listener) => !listening.includes(listener))).toEqual([]);
      expect(await packetsSeen(run)).toEqual(NONE);
      expect(leftovers(lab.name)).toEqual([]);
    } finally {
      await run('nft', 'delete', 'table', 'inet', TABLE);
    }
  });
});

const ECHO = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'echo' },
  spec: {
    containers: [
      {
        name: 'echo',
        image: 'inanimate/echo-server',
        ports: [{ containerPort: 8080, hostPort: 80 }],
      },
    ],
  },
};
