/**
 * Our portmap and the reference side by side: `bun bench/portmap.bench.ts [RUNS]` (default 20, as root, built beforehand).
 * Each plugin has a network namespace of its own with the same mappings in it; in every run each is called once, in turns.
 * Prints the median ADD and DEL, and ours against the reference's.
 */
import { openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatIp } from '../src/net/ip.ts';
import { parsePortmapConfig } from '../src/plugins/portmap/config.ts';
import {
  attachmentChain,
  attachmentRules,
  command,
  entryRules,
  sharedRules,
} from '../src/plugins/portmap/rules.ts';
import { output, realExec } from '../src/sys/exec.ts';
import { enterNetns } from '../src/sys/netns.ts';
import { median } from './statistics.ts';

const root = join(import.meta.dir, '..');
const plugins = {
  ours: process.env.PORTMAP ?? join(root, 'dist/cni/portmap'),
  reference: process.env.REFERENCE_PORTMAP ?? '/usr/lib/cni/portmap',
};
type Who = keyof typeof plugins;
const who = Object.keys(plugins) as Who[];
const runs = Number(process.argv[2] ?? 20);
/** The namespace that this process was born in. */
const home = `/proc/self/fd/${openSync('/proc/self/ns/net', 'r')}`;
/** Stands for the pod's. */
const sandboxName = `hpb-${process.pid}-pod`;
const sandbox = `/run/netns/${sandboxName}`;
const NETWORK = 'bench';
const id = `measured-${process.pid}`;

interface Case {
  mappings: number;
  families: readonly ('ipv4' | 'ipv6')[];
}
const cases: Case[] = [
  { mappings: 1, families: ['ipv4'] },
  { mappings: 1000, families: ['ipv4'] },
  { mappings: 1, families: ['ipv4', 'ipv6'] },
  { mappings: 1000, families: ['ipv4', 'ipv6'] },
];

/** The n-th pod of a node. */
function pod(n: number, family: 'ipv4' | 'ipv6') {
  const low = [n >> 8, n & 255];
  return family === 'ipv4'
    ? { ip: { family, bytes: [10, 88, ...low] }, prefix: 16 }
    : { ip: { family, bytes: [0xfd, 0x88, ...new Array<number>(12).fill(0), ...low] }, prefix: 64 };
}

function configOf(hostPort: number) {
  return {
    name: NETWORK,
    runtimeConfig: { portMappings: [{ hostPort, containerPort: 8080, protocol: 'tcp' }] },
  };
}

/** The rules of a node with so many mappings, as either plugin leaves them. */
function filling(mappings: number, family: 'ipv4' | 'ipv6'): string {
  const { chains, rules } = sharedRules(parsePortmapConfig(configOf(1)));
  const lines = rules.map((rule) => command('-A', rule));
  for (let n = 0; n < mappings; n++) {
    const config = parsePortmapConfig(configOf(10_000 + n));
    const container = String(n).padStart(64, '0');
    chains.push(attachmentChain(NETWORK, container));
    for (const rule of attachmentRules(config, container, pod(n, family))) lines.push(command('-A', rule));
    for (const rule of entryRules(config, container, pod(n, family))) lines.push(command('-A', rule));
  }
  return ['*nat', ...chains.map((chain) => `-N ${chain}`), ...lines, 'COMMIT', ''].join('\n');
}

/** Calls a plugin in the namespace of this process; milliseconds from its start to its end. */
function call(plugin: string, verb: string, { mappings, families }: Case): number {
  const config = {
    ...{ cniVersion: '1.0.0', type: 'portmap', capabilities: { portMappings: true }, ...configOf(80) },
    prevResult: {
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', sandbox }],
      ips: families.map((family) => {
        const { ip, prefix } = pod(mappings, family);
        return { address: `${formatIp(ip)}/${prefix}`, interface: 0 };
      }),
    },
  };
  const stdin = Buffer.from(JSON.stringify(config));
  const start = performance.now();
  const { exitCode, stdout } = Bun.spawnSync([plugin], {
    stdin,
    env: {
      ...{ PATH: process.env.PATH, CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_IFNAME: 'eth0' },
      ...{ CNI_NETNS: sandbox, CNI_PATH: dirname(plugin) },
    },
  });
  const took = performance.now() - start;
  if (exitCode !== 0) throw new Error(`${plugin} ${verb}: exit status ${exitCode}: ${stdout}`);
  return took;
}

console.log(`${runs} runs, ${await output(realExec, ['iptables', '--version'])}`);
console.log('verb  mappings  families    ours ms  reference ms  times');
for (const measured of cases) {
  const names = Object.fromEntries(who.map((name) => [name, `hpb-${process.pid}-${name}`])) as Record<
    Who,
    string
  >;
  const times: Record<string, Record<Who, number[]>> = {};
  try {
    await output(realExec, ['ip', 'netns', 'add', sandboxName]);
    for (const name of who) {
      await output(realExec, ['ip', 'netns', 'add', names[name]]);
      for (const family of measured.families) {
        const program = family === 'ipv4' ? 'iptables-restore' : 'ip6tables-restore';
        await output(realExec, ['ip', 'netns', 'exec', names[name], program], {
          stdin: filling(measured.mappings, family),
        });
      }
    }
    for (let run = -2; run < runs; run++) {
      for (const name of run % 2 === 0 ? who : [...who].reverse()) {
        enterNetns(`/run/netns/${names[name]}`);
        for (const verb of ['ADD', 'DEL']) {
          const took = call(plugins[name], verb, measured);
          // The first calls warm what both share: the page cache and the kernel's modules.
          if (run < 0) continue;
          times[verb] ??= { ours: [], reference: [] };
          times[verb][name].push(took);
        }
      }
    }
  } finally {
    enterNetns(home);
    for (const name of [...who.map((name) => names[name]), sandboxName]) {
      await realExec.run(['ip', 'netns', 'delete', name]);
    }
  }
  for (const [verb, values] of Object.entries(times)) {
    const [ours, reference] = [median(values.ours), median(values.reference)];
    console.log(
      [
        verb.padEnd(4),
        String(measured.mappings).padStart(9),
        measured.families.join('+').padEnd(11).padStart(13),
        ours.toFixed(1).padStart(7),
        reference.toFixed(1).padStart(13),
        `${(reference / ours).toFixed(1)}x`.padStart(6),
      ].join(' '),
    );
  }
}
