/**
 * Our portmap where the reference is at home: its own specs, which run libcni, cnitool, and the answers of its current version, all as
 * `make real` builds them. `make test-real` runs it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { Topology } from '../../src/portmap/testing/topology.ts';
import { answersOfHostIp, callHostIp, ONE_POD, prepareHostIp, TWO_PODS } from '../portmap-host-ip.ts';

const PARTS = ['reference-portmap', 'reference-ptp', 'reference-host-local', 'cnitool', 'portmap-specs'];
const parts = await Promise.all(PARTS.map(realPart));
const built = await Promise.all(parts.map(builtPart));
const missing = PARTS.filter((_, i) => built[i] === undefined);
const why = missing.length === 0 ? '' : ` (needs ${missing.join(', ')}: make real)`;
const [reference, , , cnitool, specs] = parts;
const BACKENDS = ['iptables', 'nftables'] as const;
const TESTING = join(import.meta.dir, '../../src/portmap/testing');
const SPEC_MS = 120_000;

describe.skipIf(missing.length > 0)(`our portmap among the reference's programs${why}`, () => {
  let lab: Topology;
  /** Only our portmap: what else a chain has is the reference's. */
  let own: string;
  /** In place of the machine's /var/lib/cni. */
  let state: string;

  beforeAll(async () => {
    lab = await Topology.create();
    await prepareHostIp(lab);
    own = join(lab.scratch, 'own');
    mkdirSync(own);
    symlinkSync(join(lab.plugins, 'portmap'), join(own, 'portmap'));
    state = join(lab.scratch, 'state');
    mkdirSync(state);
    mkdirSync('/var/lib/cni', { recursive: true });
    await lab.namespace('bare', { loopback: false });
  });
  afterAll(() => lab.dispose());

  /** `mounts` are commands of a shell that prepare the mount namespace of the runtime, which nobody else sees. */
  const asRuntime = (argv: string[], env: Record<string, string>, mounts = 'true') => {
    const script = `mount --bind "$0" /var/lib/cni && ${mounts} && exec "$@"`;
    const tools = join(lab.scratch, 'tools');
    const search = `${own}:${reference!.directory}:${tools}:/usr/sbin:/usr/bin:/sbin:/bin`;
    return lab.run('node', ['unshare', '--mount', 'sh', '-c', script, state, ...argv], '', {
      PATH: search,
      CNI_PATH: `${own}:${reference!.directory}`,
      ...env,
    });
  };

  test.each(BACKENDS)(
    "the reference's integration specs, by libcni (%s)",
    async (backend) => {
      const report = join(lab.scratch, `specs-${backend}.json`);
      const argv = [join(specs!.directory, 'portmap-specs'), '-ginkgo.no-color'];
      const { code, stdout } = await asRuntime(
        [...argv, '-ginkgo.focus=portmap integration tests', `-ginkgo.json-report=${report}`],
        backend === 'nftables' ? { PORTMAP_BACKEND: backend } : {},
        // The specs leave the namespaces that they make there, by their names.
        'mount -t tmpfs tmpfs /run/netns',
      );
      const [suite] = JSON.parse(readFileSync(report, 'utf8')) as [{ SpecReports: Spec[] }];
      const ran = suite.SpecReports.filter(
        ({ LeafNodeType, State }) => LeafNodeType === 'It' && State !== 'skipped',
      );
      const failed = ran.filter(({ State }) => State !== 'passed').map(({ LeafNodeText }) => LeafNodeText);
      expect({ failed, ran: ran.length, code }, stdout.slice(-4000)).toEqual({ failed: [], ran: 8, code: 0 });
    },
    SPEC_MS,
  );

  test.each(BACKENDS)('a chain by cnitool: add, check, status, gc and del (%s)', async (backend) => {
    const conf = join(lab.scratch, `conf-${backend}`);
    mkdirSync(conf);
    const ipam = { type: 'host-local', subnet: '10.99.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };
    const portmap = { type: 'portmap', backend, capabilities: { portMappings: true } };
    const put = (cniVersion: string, name: string, plugins: object[]) =>
      writeFileSync(join(conf, `${name}.conflist`), JSON.stringify({ cniVersion, name, plugins }));
    put('1.0.0', 'chain', [{ type: 'ptp', ipam }, portmap]);
    put('1.1.0', 'alone', [portmap]);
    const tool = async (verb: string, network: string) => {
      const ports = [{ hostPort: 8090, containerPort: 8080, protocol: 'tcp' }];
      const { code, stdout, stderr } = await asRuntime(
        [join(cnitool!.directory, 'cnitool'), verb, network, lab.path('bare')],
        { NETCONFPATH: conf, CAP_ARGS: JSON.stringify({ portMappings: ports }), CNI_IFNAME: 'eth0' },
      );
      expect({ verb, code, said: code === 0 ? '' : stdout + stderr }).toEqual({ verb, code: 0, said: '' });
    };
    const mapped = async () =>
      backend === 'iptables'
        ? (await lab.natRules('node')).some((rule) => / 8090 .*DNAT/.test(rule))
        : (await lab.run('node', ['nft', 'list', 'table', 'inet', 'hostport'])).stdout.includes('tcp . 8090');
    await tool('add', 'chain');
    expect(await mapped()).toBe(true);
    await tool('check', 'chain');
    const responder = await lab.start('bare', join(TESTING, 'responder.ts'), ['bare', '8080']);
    const probe = [process.execPath, 'run', join(TESTING, 'probe.ts'), 'tcp', '10.79.0.2', '8090'];
    expect((await lab.run('outside', probe)).stdout).toStartWith('bare ');
    await responder.kill('SIGKILL');
    await tool('status', 'alone');
    await tool('gc', 'alone');
    expect(await mapped()).toBe(true);
    await tool('del', 'chain');
    await tool('del', 'chain');
    expect(await mapped()).toBe(false);
  });

  describe.each(BACKENDS)('one address and every address, the reference itself by %s', (backend) => {
    const subject = { plugin: join(reference!.directory, 'portmap'), backend };

    test.each(ONE_POD)('one pod, $name: as with ours', async ({ ports, answers }) => {
      expect(await callHostIp(lab, subject, 'ADD', 'one', ports)).toMatchObject({ code: 0 });
      expect(await answersOfHostIp(lab)).toEqual([...answers]);
      await callHostIp(lab, subject, 'DEL', 'one', ports);
      expect(await answersOfHostIp(lab)).toEqual(['nobody', 'nobody']);
    });

    test.each(TWO_PODS)('two pods, $name: the first keeps it', async ({ first, second, reference }) => {
      expect(await callHostIp(lab, subject, 'ADD', 'one', [first])).toMatchObject({ code: 0 });
      expect(await callHostIp(lab, subject, 'ADD', 'two', [second])).toMatchObject({ code: 0 });
      expect(await answersOfHostIp(lab)).toEqual([...reference]);
      await callHostIp(lab, subject, 'DEL', 'two', [second]);
      await callHostIp(lab, subject, 'DEL', 'one', [first]);
    });
  });
});

/** What of Ginkgo's report is read. */
interface Spec {
  LeafNodeType: string;
  LeafNodeText: string;
  State: string;
}
