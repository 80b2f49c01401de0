import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TracedFlow } from '../src/path/model/flow-trace.ts';
import { storyOf } from '../src/path/trace/story.ts';
import { type CaseName, cases, type TraceCase } from '../src/path/trace/testing/cases.ts';
import { openTracefs } from '../src/sys/tracefs.ts';
import { waitFor } from '../src/sys/wait.ts';
import { HOST_PORT, NODE, NODE6, normalised, TraceBench } from './trace-bench.ts';

// The kernel's own tracing of one connection, in network namespaces of the test's own. UPDATE_GOLDEN=1 stores what it records as
// test/fixtures/traces, from which the story is made without a kernel.

setDefaultTimeout(60_000);
const missing = process.getuid?.() === 0 ? undefined : 'needs root';
const FIXTURES = join(import.meta.dir, 'fixtures/traces');

type Options = Parameters<TraceBench['trace']>[0];

interface Setup {
  load?: Parameters<TraceBench['load']>[0];
  /** sysctl, as the case needs it and as it was. */
  sysctl?: [name: string, value: string, before: string];
  route?: { add: string[]; remove: string[] };
  silent?: true;
  bare?: true;
  options?: Options;
}

const filter = (chain: string) => ({ nft: `table inet fw {\n${chain}\n}\n` });

const SETUPS: Readonly<Record<CaseName, Setup>> = {
  healthy: {},
  'healthy-udp': { options: { protocol: 'UDP' } },
  'healthy-loopback': { options: { from: 'node', to: '127.0.0.1' } },
  'raw-drop': { load: { iptables: '*raw\n-A PREROUTING -p tcp --dport 8080 -j DROP\nCOMMIT\n' } },
  'mangle-drop': { load: { iptables: '*mangle\n-A PREROUTING -p tcp --dport 8080 -j DROP\nCOMMIT\n' } },
  'filter-drop': { load: { iptables: '*filter\n-A FORWARD -p tcp --dport 80 -j DROP\nCOMMIT\n' } },
  'nat-drop': {
    load: {
      nft: 'table ip t {\nchain c {\ntype nat hook prerouting priority -110\ntcp dport 8080 drop\n}\n}\n',
    },
  },
  'jump-drop': {
    load: filter(
      'chain deny {\ndrop\n}\nchain f {\ntype filter hook forward priority 0\ntcp dport 80 jump deny\n}',
    ),
  },
  'policy-drop': {
    load: filter('chain f {\ntype filter hook forward priority 0; policy drop\ntcp dport 81 accept\n}'),
  },
  'postrouting-drop': { load: { iptables: '*mangle\n-A POSTROUTING -p tcp -j DROP\nCOMMIT\n' } },
  'ingress-drop': {
    load: {
      nft: 'table netdev fw {\nchain f {\ntype filter hook ingress device eth0 priority 0\ntcp dport 8080 drop\n}\n}\n',
    },
  },
  'answer-drop': { load: filter('chain f {\ntype filter hook forward priority 0\ntcp sport 80 drop\n}') },
  'ipv6-drop': {
    load: filter('chain i {\ntype filter hook input priority 0\ntcp dport 8080 drop\n}'),
    options: { to: NODE6 },
  },
  'legacy-drop': { load: { legacy: '*filter\n-A FORWARD -p tcp -j DROP\nCOMMIT\n' } },
  'no-forwarding': { sysctl: ['net.ipv4.ip_forward', '0', '1'] },
  'no-route-localnet': {
    sysctl: ['net.ipv4.conf.lxc1.route_localnet', '0', '1'],
    options: { from: 'node', to: '127.0.0.1' },
  },
  'rp-filter': {
    sysctl: ['net.ipv4.conf.eth0.rp_filter', '1', '0'],
    route: { add: ['add', '10.91.0.1/32', 'dev', 'lxc1'], remove: ['del', '10.91.0.1/32', 'dev', 'lxc1'] },
  },
  'answer-misrouted': {
    route: { add: ['add', '10.91.0.1/32', 'dev', 'lxc1'], remove: ['del', '10.91.0.1/32', 'dev', 'lxc1'] },
  },
  'no-route': {
    route: { add: ['del', '10.92.0.0/24', 'dev', 'lxc1'], remove: ['add', '10.92.0.0/24', 'dev', 'lxc1'] },
  },
  'route-refuses': {
    route: {
      add: ['add', 'unreachable', '10.92.0.2/32'],
      remove: ['del', 'unreachable', '10.92.0.2/32'],
    },
  },
  'no-route-from-node': {
    route: { add: ['del', '10.92.0.0/24', 'dev', 'lxc1'], remove: ['add', '10.92.0.0/24', 'dev', 'lxc1'] },
    options: { from: 'node' },
  },
  // The mapping leads to an address that the pod does not have, and the pod does not forward.
  'pod-forwards-not': {
    route: {
      add: ['add', '10.93.0.2/32', 'via', '10.92.0.2'],
      remove: ['del', '10.93.0.2/32', 'via', '10.92.0.2'],
    },
    load: {
      nft: 'table ip other {\nchain c {\ntype nat hook prerouting priority -110\ntcp dport 8080 dnat to 10.93.0.2:80\n}\n}\n',
    },
  },
  hairpin: { options: { from: 'pod' } },
  'no-listener': { silent: true },
  'no-listener-udp': { silent: true, options: { protocol: 'UDP' } },
  'no-mapping': { bare: true },
  'other-host': { options: { isAstray: true } },
};

describe.skipIf(missing !== undefined)(`a traced probe${missing ? ` (${missing})` : ''}`, () => {
  let bench: TraceBench;
  beforeAll(async () => {
    bench = await TraceBench.create('trace');
    // One case after another would use up what a node answers a peer in a second: icmp(7).
    await bench.inNode('sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0');
  });
  afterAll(() => bench?.dispose());

  async function arrange({ load, sysctl, route, silent, bare }: Setup): Promise<void> {
    if (bare) await bench.clear();
    else await bench.load(load);
    if (sysctl) await bench.inNode('sysctl', '-qw', `${sysctl[0]}=${sysctl[1]}`);
    if (route) await bench.inNode('ip', 'route', ...route.add);
    if (silent) await bench.silence();
  }

  async function restore({ sysctl, route, silent }: Setup): Promise<void> {
    if (sysctl) await bench.inNode('sysctl', '-qw', `${sysctl[0]}=${sysctl[2]}`);
    if (route) await bench.inNode('ip', 'route', ...route.remove);
    if (silent) await bench.listen();
  }

  test.each(Object.entries(SETUPS) as [CaseName, Setup][])('%s', async (name, setup) => {
    await arrange(setup);
    try {
      const { flow, sender, probe, record } = await bench.trace(setup.options ?? {});
      const { outcome, message, death }: TraceCase = cases[name];
      const story = storyOf(flow, sender, probe, record);
      if (process.env.UPDATE_GOLDEN === '1') {
        mkdirSync(FIXTURES, { recursive: true });
        const recorded = normalised({ flow, sender, probe, record });
        writeFileSync(join(FIXTURES, `${name}.json`), `${JSON.stringify(recorded)}\n`);
      }
      expect({ outcome: story.outcome, message: story.message }).toEqual({ outcome, message });
      if (death !== undefined) expect(story.death).toMatchObject(death);
    } finally {
      await restore(setup);
    }
  });

  describe('leaves nothing behind', () => {
    const flow: TracedFlow = {
      protocol: 'TCP',
      family: 'ipv4',
      address: NODE,
      port: HOST_PORT,
      sourcePort: 61_234,
    };
    const asked = { timeoutMs: 60_000 };
    const start = (server = bench.servers.node) => server.ask({ do: 'trace-start', flow }, asked);
    const stop = (trace: unknown) =>
      bench.servers.node.ask({ do: 'trace-stop', trace: trace as string }, asked);
    /** What a trace could change: rules, tracing of the whole machine, and mounts. */
    const state = async () => {
      const tracefs = openTracefs();
      try {
        const read = (file: string) => readFileSync(join(tracefs.path, file), 'utf8');
        return {
          rules: await bench.inNode('nft', 'list', 'ruleset'),
          instances: readdirSync(join(tracefs.path, 'instances')).filter((name) =>
            name.startsWith(`hostport-${bench.netnsNumber}-`),
          ),
          tracing: ['tracing_on', 'events/enable', 'set_event', 'current_tracer'].map(read),
          mounts: readFileSync('/proc/self/mountinfo', 'utf8').includes(' - tracefs '),
        };
      } finally {
        tracefs.close();
      }
    };

    test('after its end, and has something meanwhile', async () => {
      await bench.load();
      const before = await state();
      expect(before.instances).toEqual([]);
      const trace = await start();
      const during = await state();
      expect(during.rules).toContain('hostport-trace-');
      expect(during.instances).toHaveLength(1);
      expect({ ...during, rules: '', instances: before.instances }).toEqual({ ...before, rules: '' });
      await stop(trace);
      expect(await state()).toEqual(before);
    });

    test('when nobody asks any more', async () => {
      await bench.load();
      const before = await state();
      const server = bench.newServer('node');
      await start(server);
      await server.close();
      expect(await state()).toEqual(before);
    });

    test('after a kill, by the next run', async () => {
      await bench.load();
      const before = await state();
      const { child, write, line } = bench.rawServer();
      write({ id: 1, request: { do: 'trace-start', flow } });
      await line();
      child.kill('SIGKILL');
      await child.exited;
      const killed = await state();
      expect(killed.rules).toContain('hostport-trace-');
      expect(killed.instances).toHaveLength(1);
      await stop(await start());
      expect(await state()).toEqual(before);
    });

    test('one at a time', async () => {
      const trace = await start();
      await expect(start()).rejects.toThrow('another trace is under way');
      await stop(trace);
      await stop(await start());
      await expect(stop(trace)).rejects.toThrow('it has ended');
    });

    test('the traffic of others is not traced', async () => {
      await bench.load();
      const trace = await start();
      await bench.probe({});
      const { events } = (await stop(trace)) as { events: { value: unknown[] } };
      expect(events.value).toEqual([]);
      await waitFor('the tables to be gone', async () => !(await state()).rules.includes('hostport-trace'), {
        timeoutMs: 5000,
      });
    });
  });
});
