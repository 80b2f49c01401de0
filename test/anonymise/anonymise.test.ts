/** An anonymised bundle: its diagnosis is that of the bundle but for names, and no name is left in it. */
import { describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Anonymiser } from '../../src/collect/anonymise/anonymiser.ts';
import { bundleWorld } from '../../src/collect/bundle.ts';
import { bundleDocuments } from '../../src/collect/bundle-documents.ts';
import { diagnose } from '../../src/path/diagnose/diagnose.ts';
import type { World } from '../../src/path/model/world.ts';
import { catalogue } from '../../src/path/stages/index.ts';
import { type Otherwise, worldOf } from '../../src/path/testing/worker.ts';
import { reread } from './reread.ts';

const ROOT = join(import.meta.dir, '../..');
const BUNDLES = join(ROOT, 'test/fixtures/bundles');

const SEED = Number(process.env.FUZZ_SEED ?? 20261101);

interface Line {
  codes: string[];
  same: boolean;
}

test('of every failure of the catalogue, the anonymised bundle has the same verdicts', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-anonymised-'));
  try {
    const out = join(scratch, 'lines');
    const ran = Bun.spawnSync(
      [
        process.execPath,
        'test',
        '--timeout',
        '120000',
        '--preload',
        './test/anonymise/same-verdicts.preload.ts',
        './src/path/stages',
        './src/path/diagnose',
        './src/path/view',
        // Failures whose worlds are cases from the field.
        './test/field.test.ts',
      ],
      { cwd: ROOT, env: { ...process.env, HOSTPORT_ANONYMISED: out }, stderr: 'pipe', stdout: 'ignore' },
    );
    expect(ran.exitCode === 0 ? '' : ran.stderr.toString()).toBe('');
    const lines = readFileSync(out, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
    expect(lines.filter(({ same }) => !same)).toEqual([]);
    const seen = new Set(lines.flatMap(({ codes }) => codes));
    expect(catalogue.map(({ code }) => code).filter((code) => !seen.has(code))).toEqual([]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}, 300_000);

describe.each(readdirSync(BUNDLES))('the recorded bundle %s', (name) => {
  test('has the same findings when it is anonymised', async () => {
    const world = await bundleWorld(join(BUNDLES, name));
    const codes = (read: World) =>
      diagnose(read)
        .diagnosis.findings.map(({ code }) => code)
        .sort();
    expect(codes(reread(world, new Anonymiser(world)))).toEqual(codes(world));
  });
});

/** A name that is in no vocabulary. */
const label = fc
  .tuple(
    fc.constantFrom('qx', 'zy', 'jk'),
    fc.string({ unit: fc.constantFrom(...'abcdefgh0123456789'), minLength: 4, maxLength: 10 }),
  )
  .map((parts) => parts.join(''));
const four = fc
  .tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 1, max: 254 }))
  .map((rest) => `10.${rest.join('.')}`);
const six = fc
  .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 7, maxLength: 7 })
  .map((groups) => `fd12:${groups.map((group) => group.toString(16)).join(':')}`);

const planted = fc.record({
  node: label,
  domain: label,
  namespace: label,
  pod: label,
  image: label,
  service: label,
  value: label,
  host: label,
  gone: label,
  address: four,
  other: four,
  six,
});

type Planted = typeof planted extends fc.Arbitrary<infer T> ? T : never;

/** A world with these names wherever a cluster has names: in objects, and in what programs and people write. */
function worldWith(names: Planted): World {
  const { namespace, pod, image, service, value, host, gone, address, other, six: v6 } = names;
  const node = `${names.node}.${names.domain}.internal`;
  const registry = `registry.${names.domain}.example:5000/${image}/app:1`;
  const said = `pod "${pod}_${namespace}(6f)" on ${node} (${names.node}): dial https://${host}:443 and ${host}.${names.domain}.example: ${address}:80, [${v6}]:80, image "${registry}"; ${service}.${namespace}.svc`;
  const otherwise: Otherwise = {
    nat: [
      `-A POSTROUTING -s ${address}/32 -m comment --comment "${namespace}/${service}:http ${pod}" -j RETURN`,
    ],
    nft: [
      {
        rule: {
          family: 'inet',
          table: 't',
          chain: 'c',
          handle: 1,
          comment: `${namespace}/${pod}`,
          expr: [
            {
              match: {
                op: '==',
                left: { payload: { protocol: 'ip', field: 'daddr' } },
                right: { prefix: { addr: other, len: 32 } },
              },
            },
          ],
        },
      },
    ],
    complaints: [said],
    portmap: { note: said, api: `https://${host}.${names.domain}.example:6443`, nodename: node },
    world: (world) => ({
      ...world,
      nodes: world.nodes.map((entry) =>
        entry.metadata?.name === 'worker'
          ? {
              metadata: {
                name: node,
                labels: { 'kubernetes.io/hostname': names.node, [`${names.domain}.example/team`]: value },
              },
              spec: {
                podCIDR: `${other}/32`,
                taints: [{ key: `${names.domain}.example/x`, value, effect: 'NoSchedule' }],
              },
              status: {
                addresses: [
                  { type: 'InternalIP', address },
                  { type: 'InternalIP', address: v6 },
                  { type: 'InternalDNS', address: `${host}.${names.domain}.internal` },
                ],
                conditions: [{ type: 'Ready', status: 'False', message: said }],
              },
            }
          : entry,
      ),
      pods: world.pods.map((entry) => ({
        ...entry,
        metadata: {
          ...entry.metadata,
          name: entry.metadata?.name === 'echo' ? pod : `${pod}-2`,
          namespace,
          labels: { app: value, [`${names.domain}.example/x`]: value },
          ownerReferences: [
            { apiVersion: `${names.domain}.example/v1`, kind: 'Thing', name: pod.slice(0, -1), uid: 'o' },
          ],
        },
        spec: {
          ...entry.spec!,
          nodeName: node,
          nodeSelector: { disk: value },
          containers: entry.spec!.containers.map((container) => ({
            ...container,
            name: `${service}-c`,
            image: registry,
          })),
        },
        status: { ...entry.status, podIP: other, podIPs: [{ ip: other }], hostIP: address, message: said },
      })),
      services: [
        {
          metadata: { name: service, namespace },
          spec: { selector: { app: value }, clusterIP: other, externalIPs: [address] },
          status: { loadBalancer: { ingress: [{ hostname: `lb.${names.domain}.example` }] } },
        },
      ],
      events: [
        ...world.events.map((event) => ({
          ...event,
          involvedObject: {
            kind: 'Pod',
            namespace,
            name: gone,
            uid: 'u',
            fieldPath: `spec.containers{${service}-c}`,
          },
          source: { component: 'kubelet', host: node },
        })),
        {
          metadata: {},
          involvedObject: { kind: 'Node', name: node, uid: node },
          reason: 'X',
          message: `${gone} of ${namespace}`,
        },
      ],
      policies: [
        {
          metadata: { name: `${pod}-policy`, namespace },
          spec: {
            podSelector: { matchLabels: { app: value } },
            ingress: [
              {
                from: [
                  { ipBlock: { cidr: `${address}/32`, except: [`${other}/32`] } },
                  {
                    namespaceSelector: {
                      matchExpressions: [{ key: 'team', operator: 'In', values: [value] }],
                    },
                  },
                ],
              },
            ],
          },
        },
      ],
      unread: [
        { kind: 'pod', node, what: `pod ${namespace}/${gone}x`, why: said },
        { kind: 'objects', what: 'events', why: `GET https://${host}:6443/api: ${said}` },
      ],
      reports: new Map([
        [
          node,
          mapReport([...world.reports.values()][0]!, (report) => ({
            ...report,
            node,
            network: {
              ...report.network,
              addresses: {
                value: [
                  { device: 'eth0', family: 'ipv4', address, prefix: 24, scope: 'global' },
                  { device: 'eth0', family: 'ipv6', address: v6, prefix: 64, scope: 'global' },
                ],
              },
              routes: { unknown: said },
            },
            cni: {
              ...report.cni,
              skipped: [{ file: `/var/lib/cni/results/x`, why: said }],
              mounts: {
                value: [
                  {
                    path: '/etc/cni/net.d',
                    point: '/',
                    origin: `/var/lib/nodes/${names.node}/etc`,
                    source: `${host}.${names.domain}.example:/export`,
                    readOnly: false,
                  },
                ],
              },
            },
            runtime: { unknown: said },
          })),
        ],
        [`${names.node}2`, { unknown: said }],
      ]),
      probes: world.probes.map((probe) => ({
        ...probe,
        node,
        from: node,
        target: { address, port: 80 },
        detail: said,
        untold: said,
        seenSource: other,
        answeredBy: { address: v6, port: 8080 },
      })),
    }),
    probes: { node: {}, 'other-node': { outcome: 'refused' } },
  };
  return worldOf(otherwise) as World;
}

type Reported = World['reports'] extends ReadonlyMap<string, infer R> ? R : never;
type Report = Extract<Reported, { value: unknown }>['value'];

function mapReport(report: Reported, change: (report: Report) => Report): Reported {
  return 'value' in report ? { value: change(report.value) } : report;
}

test('whatever its nodes, namespaces, pods, images, hosts and addresses are called: no name is left', () => {
  fc.assert(
    fc.property(planted, (names) => {
      const world = worldWith(names);
      const textsOf = (anonymiser?: Anonymiser) =>
        [...bundleDocuments(world, anonymiser)].map(({ file, text }) => `${file} ${[...text].join('')}`);
      const texts = textsOf(new Anonymiser(world));
      const before = textsOf().join('\n');
      for (const name of Object.values(names)) {
        expect(before).toContain(name);
        expect(texts.find((text) => text.includes(name))).toBeUndefined();
      }
    }),
    // A hundredth of the runs of `make fuzz`: one takes ten milliseconds.
    { numRuns: Math.ceil(Number(process.env.FUZZ_RUNS ?? 5000) / 100), seed: SEED },
  );
}, 600_000);

test('the same name has the same stand-in in all files, and another anonymiser has others for addresses', () => {
  const world = worldOf({ probes: { node: {} } });
  const [first, second] = [new Anonymiser(world), new Anonymiser(world)].map((anonymiser) =>
    reread(world, anonymiser),
  ) as [World, World];
  const [pod] = first.pods;
  const node = first.nodes.find(({ metadata }) => metadata?.name === pod?.spec?.nodeName)!;
  const report = first.reports.get(pod!.spec!.nodeName!);
  expect(report !== undefined && 'value' in report && report.value.node).toBe(pod!.spec!.nodeName!);
  expect(first.probes.every((probe) => probe.node === pod?.spec?.nodeName)).toBe(true);
  expect(first.probes.map(({ target }) => target.address)).toContain(node.status!.addresses![0]!.address);
  const addresses = (of: World) => of.pods.map(({ status }) => status?.podIP);
  expect(addresses(first)).not.toEqual(addresses(second));
});

test('a bundle that is there is anonymised by a command, whose output names what it read', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-anonymised-'));
  try {
    const [from, to] = [join(BUNDLES, 'worker3-chained'), join(scratch, 'anonymous.tar.gz')];
    const words = ['doctor', '--from', from, '--save', to, '--anonymise', '-o', 'json'];
    const ran = Bun.spawnSync([process.execPath, join(ROOT, 'src/cli/main.ts'), ...words]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout.toString()).toContain('kind-worker3');
    expect(ran.stderr.toString()).toBe(`saved to ${to}; look through it before others get it\n`);
    const world = await bundleWorld(to);
    expect(world.nodes.map(({ metadata }) => metadata?.name)).toEqual([
      'node-1',
      'node-2',
      'node-3',
      'node-4',
    ]);
    expect(JSON.stringify([world, ...world.reports])).not.toContain('kind-worker');
  } finally {
    rmSync(scratch, { recursive: true });
  }
}, 60_000);
