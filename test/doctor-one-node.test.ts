/** Whatever is wrong with one node or pod makes that one unknown, at once, and the others are judged as before. */

import { describe, expect, test } from 'bun:test';
import { exitStatusOf, renderDiagnosis } from '../src/cli/printer/diagnosis.ts';
import { bundleWorld } from '../src/collect/bundle.ts';
import type { Node, Pod } from '../src/kube/types.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { planHeal } from '../src/path/heal/plan.ts';
import type { PathVerdict, Unknown } from '../src/path/model/finding.ts';
import type { NodeReport } from '../src/path/model/node-report.ts';
import { stages } from '../src/path/model/stages.ts';
import type { World } from '../src/path/model/world.ts';
import { failureOn, podOn, smallWorld } from '../src/path/testing/small-world.ts';
import { ALL_ANSWER } from './fixtures/moments.ts';

const read = await bundleWorld(ALL_ANSWER);
const recorded = { ...read, reports: new Map(read.reports) };
const SICK = 'kind-worker2';
/** When a test is given up, in milliseconds: quadratic time would take longer. */
const DEADLINE = 120_000;

interface Change {
  report?(report: NodeReport): void;
  node?(node: Node): void;
  pods?(pods: Pod[]): void;
  world?: Partial<World>;
}

/** The world with something changed on one node. */
function changed({ report, node, pods, world }: Change): World {
  const copy = structuredClone(recorded) as World;
  const seen = copy.reports.get(SICK)!;
  if (report && 'value' in seen) report(seen.value);
  node?.(copy.nodes.find(({ metadata }) => metadata?.name === SICK)! as Node);
  pods?.(copy.pods as Pod[]);
  return { ...copy, ...world };
}

/** The verdicts on the mappings of each node that has some. */
function judged(world: World) {
  const diagnosed = diagnose(world);
  const { diagnosis } = diagnosed;
  planHeal(diagnosed, { restart: true });
  renderDiagnosis(diagnosis, 'hostport');
  const of = (node: string) =>
    diagnosis.paths
      .filter((path) => path.node === node)
      .map((path) => stages.map((stage) => path.stages[stage].verdict));
  return { diagnosis, others: [of('kind-worker'), of('kind-worker3')], sick: of(SICK) };
}

const healthy = judged(recorded);
const reasons = (world: World) =>
  judged(world).diagnosis.paths.flatMap((path) =>
    path.node === SICK ? stages.flatMap((stage) => path.stages[stage].reason ?? []) : [],
  );

test('the world that is changed has no doubt', () => {
  expect(exitStatusOf(healthy.diagnosis)).toBe(0);
  expect(healthy.sick.length).toBeGreaterThan(0);
  expect(healthy.sick.flat().filter((verdict) => verdict !== 'ok')).toEqual([]);
});

/** Rules of table nat of the node, in the place of all of its own. */
const withRules = (lines: readonly string[]) => (report: NodeReport) => {
  const tables = report.netfilter.iptables.find(
    ({ variant, family }) => variant === 'iptables-nft' && family === 'ipv4',
  )!;
  const chains = [...new Set(lines.flatMap((line) => line.match(/\bC\d+\b/g) ?? []))];
  // They are the only ones: the primary plugin's in other tables have doubts of their own.
  report.netfilter.nft = { value: JSON.stringify({ nftables: [] }) };
  tables.text = {
    value: [
      '*nat',
      ...['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`),
      ...chains.map((chain) => `:${chain} - [0:0]`),
      ...lines,
      'COMMIT',
      '',
    ].join('\n'),
  };
};
const rules = (count: number, rule: (i: number) => string) =>
  withRules(Array.from({ length: count }, (_, i) => rule(i)));
const withPorts = (count: number, port: (i: number) => object) => (pods: Pod[]) => {
  const pod = pods.find(({ spec }) => spec?.nodeName === SICK)!;
  pod.spec!.containers[0]!.ports = Array.from({ length: count }, (_, i) => port(i)) as never;
};
const firstConf = (content: string) => (report: NodeReport) => {
  const files = report.cni.files as { value: { name: string; content: object }[] };
  files.value.unshift({ ...files.value[0]!, name: '00-a.conflist', content: { value: content } });
};
const list = (plugins: unknown) => JSON.stringify({ name: 'net', cniVersion: '1.0.0', plugins });
const deep = (open: string, close: string) => `${open.repeat(40_000)}1${close.repeat(40_000)}`;
const nft = (items: readonly object[]) => (report: NodeReport) => {
  // Those of the primary plugin have doubts of their own.
  for (const { text } of report.netfilter.iptables)
    if ('value' in text) text.value = text.value.replaceAll(/^.*\bCILIUM_.*\n/gm, '');
  const chain = {
    family: 'ip',
    table: 't',
    name: 'c',
    handle: 1,
    type: 'nat',
    hook: 'prerouting',
    prio: -200,
    policy: 'accept',
  };
  report.netfilter.nft = {
    value: JSON.stringify({
      nftables: [
        { table: { family: 'ip', name: 't', handle: 1 } },
        { chain },
        ...items.map((item, i) =>
          'expr' in item ? { rule: { family: 'ip', table: 't', chain: 'c', handle: i + 2, ...item } } : item,
        ),
      ],
    }),
  };
};
const RANDOM = { numgen: { mode: 'random', mod: 3, offset: 0 } };
const randomMap = (value: (i: number) => unknown) => ({
  map: { key: RANDOM, data: { set: Array.from({ length: 250 }, (_, i) => [i, value(i)]) } },
});

/** What is said of a mapping where it is not `ok`: a stage, its verdict, and why. */
function doubtsOf(path: PathVerdict): string[] {
  return stages.flatMap((stage) => {
    const { verdict, codes, reason } = path.stages[stage];
    return verdict === 'ok' ? [] : [`${stage} ${verdict}: ${reason ?? codes.join(', ')}`];
  });
}

/** Of a change that does not concern the node's mappings, whatever there is of it: they are there, and answer. */
const ALL_OK: readonly string[] = [];
const MISSING = ['translated broken: mapping-missing', 'forwarded muted: mapping-missing'];
const NOT_ON_NODE = [
  'declared broken: hostip-not-on-node',
  ...['translated', 'forwarded', 'answered'].map((stage) => `${stage} muted: hostip-not-on-node`),
];
const untraced = (why: string) => ['translated', 'forwarded'].map((stage) => `${stage} unknown: ${why}`);
const unseen = (why: string) => [
  ...['configured', 'installed', 'attached'].map((stage) => `${stage} unknown: ${why}`),
  ...untraced(why),
];

describe('the others are judged as before, at once', () => {
  test.each<[string, readonly string[], Change]>([
    [
      'an invalid address',
      untraced(
        'the address of kind-worker2 is not known: the API says "999.1.1.1", which is not an IP address',
      ),
      { node: (node) => (node.status!.addresses![0]!.address = '999.1.1.1') },
    ],
    [
      'no address',
      untraced('the address of kind-worker2 is not known'),
      { node: (node) => (node.status!.addresses = []) },
    ],
    [
      'the address of another node',
      unseen('the report was taken on a machine that has no address of kind-worker2 (172.17.0.3)'),
      {
        node: ({ status }) => {
          status!.addresses![0]!.address = '172.17.0.3';
          // Of the same boot, it would be one whose addresses a cloud translates.
          status!.nodeInfo!.bootID = '';
        },
      },
    ],
    [
      'a report of another node',
      unseen('the report named for kind-worker2 was taken on kind-worker'),
      { report: (report) => (report.node = 'kind-worker') },
    ],
    [
      'a report of last week',
      unseen('the report is 264 hours old'),
      { report: (report) => (report.takenAt = '2019-04-20T00:00:00Z') },
    ],
    [
      'a list that is nested deeply',
      [
        'configured unknown: 00-a.conflist: nested deeper than 100 levels',
        'installed unknown: the chain is not known',
      ],
      { report: firstConf(list([{ type: 'a', x: 'DEEP' }]).replace('"DEEP"', deep('[', ']'))) },
    ],
    [
      'a list of 10,000 plugins',
      [
        'configured unknown: 00-a.conflist: 10000 plugins, more than 100',
        'installed unknown: the chain is not known',
      ],
      { report: firstConf(list(Array.from({ length: 10_000 }, (_, i) => ({ type: `p${i}` })))) },
    ],
    [
      'a list of 100,000 plugins',
      [
        'configured unknown: 00-a.conflist: 100000 plugins, more than 100',
        'installed unknown: the chain is not known',
      ],
      { report: firstConf(list(Array.from({ length: 100_000 }, (_, i) => ({ type: `p${i}` })))) },
    ],
    [
      '100,000 rules',
      MISSING,
      { report: rules(100_000, (i) => `-A PREROUTING -s 10.0.${i % 256}.0/24 -j ACCEPT`) },
    ],
    [
      '100,000 rules that are not understood',
      MISSING,
      { report: rules(100_000, (i) => `-A PREROUTING -m foo --bar ${i} -j ACCEPT`) },
    ],
    [
      '100,000 rules that may drop',
      MISSING,
      { report: rules(100_000, (i) => `-A PREROUTING -m foo --bar ${i} -j DROP`) },
    ],
    [
      '100,000 rules that may return',
      MISSING,
      { report: rules(100_000, (i) => `-A PREROUTING -m foo --bar ${i} -j RETURN`) },
    ],
    [
      '50,000 rules that may mark',
      MISSING,
      {
        report: rules(
          50_000,
          (i) => `-A PREROUTING -m foo --bar ${i} -j MARK --set-xmark 0x${i.toString(16)}/0xffffffff`,
        ),
      },
    ],
    [
      '50,000 translations that nobody can tell apart',
      untraced('outside: whether a packet matches "-m foo --bar 0" of nat PREROUTING'),
      {
        report: rules(
          50_000,
          (i) => `-A PREROUTING -p tcp -m foo --bar ${i} -j DNAT --to-destination 10.0.0.1:80`,
        ),
      },
    ],
    [
      'what 20,000 pods left behind',
      ['attached risk: attachment-leaked', ...MISSING],
      {
        report: rules(
          20_000,
          (i) =>
            `-A PREROUTING -p tcp -m tcp --dport ${1000 + i} -m comment --comment "dnat name: \\"cilium-portmap\\" id: \\"c${i}\\"" -j DNAT --to-destination 10.0.0.1:80`,
        ),
      },
    ],
    [
      '50,000 chains within each other',
      untraced('outside: chains nested deeper than 64'),
      { report: rules(50_000, (i) => `-A ${i === 0 ? 'PREROUTING' : `C${i}`} -j C${i + 1}`) },
    ],
    [
      'chains that lead to each other',
      MISSING,
      { report: withRules(['-A PREROUTING -j C1', '-A C1 -j C2', '-A C2 -j C1']) },
    ],
    [
      'chains that are reached in more ways than there is time for',
      untraced('outside: more than 200000 rules'),
      { report: rules(120, (i) => `-A ${i < 2 ? 'PREROUTING' : `C${i >> 1}`} -j C${(i >> 1) + 1}`) },
    ],
    [
      '10,000 rules with a set of 20,000 ranges',
      ALL_OK,
      {
        report: nft([
          {
            set: {
              family: 'ip',
              table: 't',
              name: 's',
              handle: 9,
              type: 'ipv4_addr',
              elem: Array.from({ length: 20_000 }, (_, i) => ({
                range: [`10.${i >> 8}.${i & 255}.0`, `10.${i >> 8}.${i & 255}.9`],
              })),
            },
          },
          ...Array.from({ length: 10_000 }, () => ({
            expr: [
              { match: { op: '==', left: { payload: { protocol: 'ip', field: 'saddr' } }, right: '@s' } },
              { drop: null },
            ],
          })),
        ]),
      },
    ],
    [
      'a rule that chooses by lot, and by lot again',
      untraced('outside: whether a packet matches "meta mark set numgen'),
      {
        report: nft([
          {
            expr: [
              ...Array.from({ length: 6 }, () => ({
                mangle: { key: { meta: { key: 'mark' } }, value: randomMap((i) => i) },
              })),
              { dnat: { addr: randomMap((i) => `10.0.0.${i}`), port: randomMap((i) => i + 1) } },
            ],
          },
        ]),
      },
    ],
    [
      'expressions within expressions',
      untraced('nft ruleset, nftables[0].table: is not an object'),
      {
        report: (report) => (report.netfilter.nft = { value: `{"nftables":[{"table":${deep('[', ']')}}]}` }),
      },
    ],
    [
      'a mapping list of all ports',
      ALL_OK,
      {
        report: (report) => {
          const portMappings = Array.from({ length: 65_535 }, (_, i) => ({
            hostPort: i + 1,
            containerPort: 80,
            protocol: 'tcp',
          }));
          for (const each of (report.sandboxes as { value: { portMappings: object[] }[] }).value)
            each.portMappings = portMappings;
          for (const each of (report.cni.attachments as { value: { portMappings: object[] }[] }).value)
            each.portMappings = portMappings;
        },
      },
    ],
    [
      'what is loaded, and was attached, nested deeply',
      ALL_OK,
      {
        report: (report) => {
          const config = list([{ type: 'a', x: 'DEEP' }]).replace('"DEEP"', deep('{"a":', '}'));
          for (const each of (report.cni.attachments as { value: { config: string }[] }).value)
            each.config = config;
          (report.runtime as { value: { loadedNetworks: object } }).value.loadedNetworks = {
            value: [{ name: 'net', config }],
          };
        },
      },
    ],
    [
      'a pod with thousands of ports',
      // Its mapping is of one port alone.
      [
        'translated broken: mapping-missing',
        'translated unknown: outside: the rules do not lead to the pod',
        'forwarded muted: mapping-missing',
        'forwarded unknown: outside: the rules do not lead to the pod',
        'answered muted: mapping-missing',
      ],
      { pods: withPorts(5000, (i) => ({ hostPort: i + 1, containerPort: 80, protocol: 'TCP' })) },
    ],
    [
      'a pod with one port thousands of times',
      [
        'translated unknown: outside: the rules do not lead to the pod',
        'forwarded unknown: outside: the rules do not lead to the pod',
      ],
      { pods: withPorts(5000, () => ({ hostPort: 80, containerPort: 80, protocol: 'TCP' })) },
    ],
    [
      'hundreds of mappings and 100,000 rules',
      [
        'translated unknown: outside: the rules do not lead to the pod',
        'forwarded unknown: outside: the rules do not lead to the pod',
        'answered unknown: not probed',
        'translated unknown: outside: too many rules to evaluate in the time available',
        'forwarded unknown: outside: too many rules to evaluate in the time available',
      ],
      {
        pods: withPorts(300, (i) => ({ hostPort: i + 80, containerPort: 80, protocol: 'TCP' })),
        report: rules(100_000, (i) => `-A PREROUTING -s 10.0.${i % 256}.0/24 -j ACCEPT`),
      },
    ],
    [
      'a pod of whose addresses none is one',
      ['translated', 'forwarded', 'answered'].map(
        (stage) => `${stage} unknown: no valid address of the pod is known`,
      ),
      {
        pods: (pods) => {
          for (const { spec, status } of pods) {
            if (spec?.nodeName !== SICK) continue;
            status!.podIP = 'zz';
            status!.podIPs = [{ ip: 'zz' }, { ip: '999.1.1.1' }, { ip: 'a:b' }];
          }
        },
        report: (report) => {
          for (const each of (report.sandboxes as { value: { ips: string[] }[] }).value)
            each.ips = ['1.2.3', 'a:b'];
        },
      },
    ],
    [
      'an invalid hostIP',
      NOT_ON_NODE,
      {
        pods: withPorts(1, () => ({ hostPort: 80, containerPort: 80, protocol: 'TCP', hostIP: 'nonsense' })),
      },
    ],
    [
      'a hostIP that begins like one',
      NOT_ON_NODE,
      {
        pods: withPorts(1, () => ({
          hostPort: 80,
          containerPort: 80,
          protocol: 'TCP',
          hostIP: '127.999.1.1',
        })),
      },
    ],
    [
      'invalid routes and addresses',
      ['translated unknown: no route to 172.17.0.2', 'forwarded broken: pod-route-missing'],
      {
        report: (report) => {
          for (const each of (report.network.routes as { value: { gateway?: string; destination: string }[] })
            .value) {
            each.gateway = 'nowhere';
            each.destination = 'x/y';
          }
          for (const each of (report.network.addresses as { value: { address: string; device: string }[] })
            .value) {
            if (each.device !== 'eth0') each.address = 'none';
          }
        },
      },
    ],
  ])(
    '%s',
    (_, says, change) => {
      const { others, diagnosis } = judged(changed(change));
      expect(others).toEqual(healthy.others);
      const sick = diagnosis.paths.filter(({ node }) => node === SICK);
      const lines = [...new Set(sick.flatMap(doubtsOf))].sort();
      expect(lines.map((line) => says.find((each) => line.startsWith(each)) ?? line)).toEqual(
        [...says].sort(),
      );
      // Not one mapping of the node is called good where something is to be said of it.
      expect(sick.filter((path) => (doubtsOf(path).length === 0) !== (says === ALL_OK))).toEqual([]);
      expect(diagnosis.paths.every((path) => stages.every((stage) => path.stages[stage] !== undefined))).toBe(
        true,
      );
    },
    DEADLINE,
  );

  test('thousands of pods with one port on a node', () => {
    const pods = Array.from({ length: 4000 }, (_, i) => podOn('n1', `p${i}`, 80));
    const { diagnosis } = diagnose(smallWorld([...pods, podOn('n2', 'other', 80)]));
    expect(diagnosis.findings.filter(({ code }) => code === 'hostport-conflict')).toHaveLength(3999);
  });
});

describe('that node says why it is unknown', () => {
  test.each<[string, Change, string]>([
    [
      'an invalid address',
      { node: (node) => (node.status!.addresses![0]!.address = '999.1.1.1') },
      'the address of kind-worker2 is not known: the API says "999.1.1.1", which is not an IP address',
    ],
    [
      'no address',
      { node: (node) => (node.status!.addresses = []) },
      'the address of kind-worker2 is not known',
    ],
    [
      'a report of another node',
      { report: (report) => (report.node = 'kind-worker') },
      'the report named for kind-worker2 was taken on kind-worker',
    ],
    [
      'a list that is nested deeply',
      { report: firstConf(list([{ type: 'a', x: 'DEEP' }]).replace('"DEEP"', deep('[', ']'))) },
      '00-a.conflist: nested deeper than 100 levels',
    ],
    [
      '50,000 chains within each other',
      { report: rules(50_000, (i) => `-A ${i === 0 ? 'PREROUTING' : `C${i}`} -j C${i + 1}`) },
      'outside: chains nested deeper than 64',
    ],
  ])('%s', (_, change, reason) => {
    const world = changed(change);
    expect(reasons(world)).toContainEqual(reason as string);
    expect(exitStatusOf(diagnose(world).diagnosis)).not.toBe(0);
  });
});

describe('a failure that raises', () => {
  const raising = failureOn(
    (scene) => {
      if (scene.nodes.has('n1')) throw new Error('the report has no head');
      return [...scene.nodes.keys()].map((node) => ({ node }));
    },
    { code: 'raises', stage: 'configured' },
  );
  const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80), podOn(undefined, 'c', 80)]);
  const why = 'cannot be judged: the report has no head';

  test('makes its node unknown in every stage, with its message, and hides no other', () => {
    const { paths, findings, unknowns } = diagnose(world, [raising]).diagnosis;
    const doubt = { verdict: 'unknown', codes: [], reason: why };
    const [b, a, c] = paths as [PathVerdict, PathVerdict, PathVerdict];
    expect(a.stages).toEqual(Object.fromEntries(stages.map((stage) => [stage, doubt])) as never);
    expect(findings.map(({ subject }) => subject)).toEqual([{ node: 'n2' }]);
    expect(b.stages.configured).toMatchObject({ verdict: 'broken', codes: ['raises'] });
    expect(c.stages.declared.verdict).toBe('ok');
    expect(unknowns).toContainEqual({ kind: 'node', node: 'n1', what: 'diagnosis', why });
  });

  test('is unknown in the table, in JSON and by the exit status', () => {
    const { diagnosis } = diagnose(smallWorld([podOn('n1', 'a', 80)]), [
      failureOn(() => [], { code: 'none', stage: 'configured' }),
      { ...raising, detect: (scene) => raising.detect(scene).slice(0, 0) },
    ]);
    expect(exitStatusOf(diagnosis)).toBe(2);
    const text = renderDiagnosis(diagnosis, 'hostport');
    expect(text).toMatch(/^n1 +a +TCP 80 +(\? +){7}\?$/m);
    expect(text).toContain(`? n1: diagnosis not known: ${why}`);
    expect(text).toContain('0 good, 0 broken, 1 unknown');
    expect(JSON.parse(JSON.stringify(diagnosis)).unknowns).toContainEqual({
      kind: 'node',
      node: 'n1',
      what: 'diagnosis',
      why,
    });
  });
});

test('a pod or node that cannot be read is a doubt, whether its node is known or not and whatever it is called; other objects are none', () => {
  const status = (kind: Unknown['kind'], what: string, node?: string) =>
    exitStatusOf({ ...healthy.diagnosis, unknowns: [{ kind, ...(node && { node }), what, why: 'x' }] });
  expect(status('pod', 'pod a/b', 'kind-worker')).toBe(2);
  expect(status('pod', 'what runs')).toBe(2);
  expect(status('node', 'the machine')).toBe(2);
  expect(status('objects', 'pods, which a Service selects')).toBe(0);
  expect(status('file', 'node README')).toBe(0);
});
