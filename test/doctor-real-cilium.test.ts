/**
 * What the doctor says of nodes with real Cilium 1.20.2 (test/fixtures/real-cilium): node reports that were taken on them, shortened to
 * what matters, with the answers that the ports gave then.
 * - `a`: cni-chaining-mode=portmap, with the reference portmap 1.1.1; `a-endpoint-routes`, `a-tunnel` (vxlan, L7 proxy, Hubble): the same,
 *   otherwise routed;
 * - `b`, `c`: the how-to's list put beside Cilium's own, with cni-exclusive=true and false;
 * - `by-hand-mark-rules`: the rules of Cilium's proxy alone, in a namespace without anything else.
 */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { worldOfReport } from '../src/collect/local.ts';
import { type Diagnosed, diagnose } from '../src/path/diagnose/diagnose.ts';
import { planHeal } from '../src/path/heal/plan.ts';
import { type NodeReport, nodeReportSchema } from '../src/path/model/node-report.ts';
import { known } from '../src/path/model/observed.ts';
import type { ProbeResult } from '../src/path/model/probe.ts';
import { describeStep } from '../src/path/testing/describe-step.ts';

const FIXTURES = join(import.meta.dir, 'fixtures/real-cilium');
const ALL = ['a', 'a-endpoint-routes', 'a-tunnel', 'b', 'c'] as const;
type Name = (typeof ALL)[number];

async function reportOf(name: Name): Promise<NodeReport> {
  return nodeReportSchema.parse(await Bun.file(join(FIXTURES, `${name}.json`)).json());
}

/** The pod of the runtime on each node, and by which devices it is reached. */
const NODES: Readonly<Record<Name, { out: string; in: string }>> = {
  a: { out: 'cilium_host', in: 'lxc8201c8af0a49' },
  'a-endpoint-routes': { out: 'lxc898cf8721041', in: 'lxc898cf8721041' },
  'a-tunnel': { out: 'cilium_host', in: 'lxcf1969adf94af' },
  b: { out: 'cilium_host', in: 'lxccdc57f3044ff' },
  c: { out: 'cilium_host', in: 'lxc751527cde98f' },
};

type Outcome = ProbeResult['outcome'];

/** What curl was answered on the node: its own address, and 127.0.0.1. */
const ANSWERS: Readonly<Record<Name, [node: Outcome, loopback: Outcome]>> = {
  a: ['answered', 'timeout'],
  'a-endpoint-routes': ['answered', 'answered'],
  'a-tunnel': ['answered', 'timeout'],
  b: ['refused', 'refused'],
  c: ['answered', 'timeout'],
};

function diagnosed(report: NodeReport, answers?: [node: Outcome, loopback: Outcome]): Diagnosed {
  const world = worldOfReport(report);
  const probe = (vantage: 'node' | 'loopback', address: string, outcome: Outcome): ProbeResult => ({
    ...{ vantage, node: report.node, podUid: 'uid-echo2', protocol: 'TCP', hostPort: 81, outcome },
    ...{ target: { address, port: 81 }, detail: outcome, milliseconds: 1 },
  });
  const probes =
    answers === undefined
      ? []
      : [probe('node', '172.30.77.2', answers[0]), probe('loopback', '127.0.0.1', answers[1])];
  return diagnose({ ...world, probes });
}

const codesOf = ({ diagnosis }: Diagnosed) =>
  diagnosis.findings.map(({ code, severity }) => `${code} ${severity}`);
const stagesOf = ({ diagnosis }: Diagnosed) => diagnosis.paths[0]!.stages;
const stepsOf = (from: Diagnosed) =>
  planHeal(from, { restart: false }).flatMap(({ steps }) => steps.map(describeStep));

function setSysctl(report: NodeReport, device: string, value: string): void {
  known(report.network.sysctls)![`net.ipv4.conf.${device}.route_localnet`] = value;
}

describe('the findings are those that the node has, and no other', () => {
  test.each<[Name, string[], string[]]>([
    ['a', ['route-localnet-off broken'], ['lxc8201c8af0a49']],
    ['a-endpoint-routes', [], []],
    ['a-tunnel', ['route-localnet-off broken'], ['lxcf1969adf94af']],
    ['b', ['conflist-renamed broken'], []],
    ['c', ['route-localnet-off broken'], ['lxc751527cde98f']],
  ])('%s', async (name, codes, devices) => {
    const report = await reportOf(name);
    const probed = diagnosed(report, ANSWERS[name]);
    expect(codesOf(probed)).toEqual(codes);
    expect(codesOf(diagnosed(report))).toEqual(codes);
    expect(stepsOf(probed)).toEqual(
      devices.map((device) => `${report.node}: sysctl -w net.ipv4.conf.${device}.route_localnet=1`),
    );
    const { attached, forwarded, answered } = stagesOf(probed);
    // Of a pod that has no mapping, no packet is forwarded.
    const reached = name === 'b' ? 'muted' : 'ok';
    expect(attached.verdict).toBe(reached);
    expect(forwarded.verdict).toBe(devices.length > 0 ? 'broken' : reached);
    expect(answered.verdict).toBe(codes.length > 0 ? 'muted' : 'unknown');
  });

  test('there are as many as nodes', () => expect(Object.keys(NODES)).toEqual([...ALL]));

  test('by-hand-mark-rules', async () => {
    const report = await reportOf('a');
    const rules = await Bun.file(join(FIXTURES, 'by-hand-mark-rules.iptables-save.txt')).text();
    report.netfilter.iptables = [{ variant: 'iptables-nft', family: 'ipv4', text: { value: rules } }];
    report.sandboxes = { value: [] };
    expect(rules).toContain('--mark 0xa00/0xfffffeff');
    expect(codesOf(diagnosed(report))).not.toContain('mark-bit-shared risk');
  });

  test.each([...ALL])('a bit of portmap’s in Cilium’s field is a finding on %s', async (name) => {
    const report = await reportOf(name);
    let written = 0;
    for (const file of known(report.cni.files)!) {
      if (!('value' in file.content)) continue;
      const list = JSON.parse(file.content.value) as { plugins?: { type: string; markMasqBit?: number }[] };
      for (const plugin of list.plugins ?? []) {
        if (plugin.type !== 'portmap') continue;
        plugin.markMasqBit = 11;
        written++;
      }
      file.content.value = JSON.stringify(list);
    }
    expect(written).toBeGreaterThan(0);
    const found = diagnosed(report).diagnosis.findings.find(({ code }) => code === 'mark-bit-shared');
    // The list that b has in use has no portmap; Cilium has put the one that has it aside.
    if (name === 'b') expect(found).toBeUndefined();
    else {
      expect(found?.evidence.map(({ saw }) => saw).join('\n')).toContain('--set-xmark 0xc00/0xf00');
      expect(found?.remedy).toContain(
        name === 'c'
          ? 'Give portmap bit 12 (`markMasqBit`), which no rule of node-c uses (not with Cilium'
          : "then let portmap use bit 12 (not with Cilium's IPsec) in a list that comes before 05-cilium.conflist",
      );
      expect(found?.remedy).not.toContain('chainingMode');
    }
  });
});

describe("Cilium's kube-proxy replacement is recognised by what its agent says", () => {
  async function replaced(name: Name, mapped: string[]): Promise<NodeReport> {
    const report = await reportOf(name);
    const pod = known(report.sandboxes)!.find(({ portMappings }) => portMappings.length > 0)!;
    report.cilium = {
      value: {
        version: '1.20.2',
        hostPorts: true,
        mappings: [
          {
            address: '172.30.77.2',
            port: 81,
            protocol: 'TCP',
            backends: (mapped.length > 0 ? mapped : pod.ips).map((address) => ({ address, port: 8080 })),
          },
        ],
      },
    };
    return report;
  }

  test('where portmap is not chained, nothing is missing', async () => {
    const result = diagnosed(await replaced('b', []), ['answered', 'answered']);
    expect(codesOf(result)).toEqual([]);
    const { configured, attached, translated } = stagesOf(result);
    for (const stage of [configured, attached, translated]) expect(stage.verdict).toBe('ok');
    expect(configured.reason).toContain("Cilium's kube-proxy replacement maps the ports of");
    expect(translated.reason).toContain("Cilium's kube-proxy replacement leads it to the pod");
  });

  test('a port that it leads to another pod is not said to reach this one', async () => {
    const { translated } = stagesOf(diagnosed(await replaced('b', ['10.77.0.99'])));
    expect(translated.verdict).toBe('unknown');
  });
});

describe('127.0.0.1 answers as route_localnet is set', () => {
  const SETS: [
    set: ('out' | 'in' | 'cilium_net' | 'lo' | 'eth0' | 'all')[],
    routed: boolean,
    endpoint: boolean,
  ][] = [
    [[], false, false],
    [['lo'], false, false],
    [['eth0'], false, false],
    [['cilium_net'], false, false],
    [['out'], false, true],
    [['in'], false, true],
    [['out', 'cilium_net'], false, true],
    [['cilium_net', 'in'], false, true],
    [['out', 'in'], true, true],
    [['out', 'cilium_net', 'in'], true, true],
    [['all'], true, true],
  ];
  const cases = SETS.flatMap(([set, routed, endpoint]) =>
    (['a', 'a-tunnel', 'c', 'a-endpoint-routes'] as const).map(
      (name) => [name, set, name === 'a-endpoint-routes' ? endpoint : routed] as const,
    ),
  );

  // As it was measured with curl on those nodes.
  test.each(cases)('%s with it on %p: %p', async (name, set, answers) => {
    const report = await reportOf(name);
    const devices = NODES[name];
    const named = set.map((each) => (each === 'out' || each === 'in' ? devices[each] : each));
    for (const device of ['all', 'lo', 'eth0', 'cilium_host', 'cilium_net', devices.in]) {
      setSysctl(report, device, named.includes(device) ? '1' : '0');
    }
    const result = diagnosed(report);
    expect(codesOf(result)).toEqual(answers ? [] : ['route-localnet-off broken']);
    expect(stagesOf(result).forwarded.verdict).toBe(answers ? 'ok' : 'broken');
    const lacking = [...new Set([devices.out, devices.in])].filter(
      (device) => !named.includes(device) && !named.includes('all'),
    );
    expect(stepsOf(result)).toEqual(
      answers
        ? []
        : lacking.map((device) => `${report.node}: sysctl -w net.ipv4.conf.${device}.route_localnet=1`),
    );
  });

  test('and where they are one, it is named once', async () => {
    const report = await reportOf('a-endpoint-routes');
    setSysctl(report, 'lxc898cf8721041', '0');
    const [finding] = diagnosed(report).diagnosis.findings;
    expect(finding?.message).toEndWith('route_localnet is off on lxc898cf8721041');
    expect(finding?.evidence[0]?.where).toEndWith('(packets to echo2 leave by it and answers enter by it)');
  });

  test('and each device that lacks it is named with its part', async () => {
    const report = await reportOf('a');
    setSysctl(report, 'cilium_host', '0');
    const [finding] = diagnosed(report).diagnosis.findings;
    expect(finding?.message).toBe(
      '127.0.0.1:81 of node-a cannot reach echo2 for TCP 81: route_localnet is off on cilium_host (packets leave by it) and lxc8201c8af0a49 (answers enter by it)',
    );
    expect(finding?.evidence.map(({ kind, where, saw }) => [kind, where, saw])).toEqual([
      ['sysctl', 'net.ipv4.conf.cilium_host.route_localnet of node-a (packets to echo2 leave by it)', '0'],
      [
        'sysctl',
        'net.ipv4.conf.lxc8201c8af0a49.route_localnet of node-a (answers of echo2 enter by it)',
        '0',
      ],
      ['sysctl', 'net.ipv4.conf.all.route_localnet of node-a', '0'],
    ]);
  });

  test.each<[string, (report: NodeReport) => void, string]>([
    [
      'by which device answers enter',
      (report) => {
        for (const link of known(report.network.links)!) delete link.peerNamespace;
      },
      'loopback: it is unknown by which device answers of echo2 enter node-c: no link leads to its network namespace',
    ],
    [
      'the links',
      (report) => {
        report.network.links = { unknown: 'ip: not found' };
      },
      'loopback: the links of node-c are not known',
    ],
    [
      'the setting of the device',
      (report) => {
        delete known(report.network.sysctls)!['net.ipv4.conf.lxc751527cde98f.route_localnet'];
      },
      'loopback: net.ipv4.conf.lxc751527cde98f.route_localnet of node-c was not seen',
    ],
    [
      'the setting of all',
      (report) => {
        delete known(report.network.sysctls)!['net.ipv4.conf.all.route_localnet'];
      },
      'loopback: net.ipv4.conf.lxc751527cde98f.route_localnet of node-c was not seen',
    ],
    [
      'which of two devices answers enter by',
      (report) => addSecondLink(report, '1'),
      'loopback: answers of echo2 enter node-c by lxc751527cde98f or net1, and not all of these have route_localnet',
    ],
  ])('unknown is not healthy: %s', async (_, change, reason) => {
    const report = await reportOf('c');
    change(report);
    const result = diagnosed(report);
    expect(codesOf(result)).toEqual([]);
    expect(stagesOf(result).forwarded).toEqual({ verdict: 'unknown', codes: [], reason });
    // What is off for certain is a finding all the same.
    setSysctl(report, 'cilium_host', '0');
    if (!reason.includes('was not seen'))
      expect(codesOf(diagnosed(report))).toEqual(['route-localnet-off broken']);
    // Seen to answer, it is good, whatever is not known.
    setSysctl(report, 'cilium_host', '1');
    expect(stagesOf(diagnosed(report, ['answered', 'answered'])).forwarded.verdict).toBe('ok');
  });

  test('where answers may enter by one of two, it is off when neither has it', async () => {
    const report = await reportOf('c');
    addSecondLink(report, '0');
    expect(stepsOf(diagnosed(report))).toEqual(
      ['lxc751527cde98f', 'net1'].map(
        (device) => `node-c: sysctl -w net.ipv4.conf.${device}.route_localnet=1`,
      ),
    );
  });

  /** Another link to the pod's namespace, which its result does not tell from the first. */
  function addSecondLink(report: NodeReport, routeLocalnet: '0' | '1'): void {
    const links = known(report.network.links)!;
    links.push({ ...links.find(({ name }) => name === NODES.c.in)!, name: 'net1' });
    setSysctl(report, 'net1', routeLocalnet);
  }
});

/** A rule that portmap has made for the pod of node b. */
function addMapping({ iptables }: NodeReport['netfilter']): void {
  const id = 'ca0dd45a8a93b49da1ea8706743d033ced813d36465cbfb2f683aca3b1230e25';
  const rule = `-A PREROUTING -p tcp -m comment --comment "dnat name: \\"x\\" id: \\"${id}\\"" -j RETURN`;
  const [tables] = iptables;
  tables!.text = {
    value: known(tables!.text)!.replace(/^.*-A PREROUTING .*CILIUM_PRE_nat$/m, `$&\n${rule}`),
  };
}

describe('a configuration that Cilium has renamed', () => {
  const BAK = '/etc/cni/net.d/000-cilium-portmap.conflist.cilium_bak';
  const planned = (result: Diagnosed) => planHeal(result, { restart: false })[0]!;

  test('is not given its name back unasked where the agent may watch the directory', async () => {
    const result = diagnosed(await reportOf('b'), ANSWERS.b);
    const [finding] = result.diagnosis.findings;
    expect(planned(result)).toMatchObject({ steps: [], left: { to: 'hand' } });
    expect(finding?.command).toBeUndefined();
    expect(finding?.remedy).toBe(planned(result).left!.why);
    for (const words of [
      "Cilium's agent may watch /etc/cni/net.d of node-b",
      'cni.chainingMode=portmap',
      'cni.exclusive=false',
      'hostport heal --only conflist-renamed',
      `mv ${BAK} /etc/cni/net.d/000-cilium-portmap.conflist`,
    ]) {
      expect(finding?.remedy).toContain(words);
    }
  });

  test('is given its name back there by whoever names the failure, with what Cilium must be set to', async () => {
    const result = diagnosed(await reportOf('b'), ANSWERS.b);
    const [plan] = planHeal(result, { restart: false, codes: ['conflist-renamed'] });
    expect(plan?.left).toBeUndefined();
    expect(plan?.steps.map(describeStep)).toEqual([
      `node-b: mv ${BAK} /etc/cni/net.d/000-cilium-portmap.conflist`,
    ]);
    expect(plan!.steps[0]!.why).toContain('while cni.exclusive is not false in Cilium');
  });

  test('names the pods that were attached without portmap, with the list that ran for them', async () => {
    const [finding] = diagnosed(await reportOf('b'), ANSWERS.b).diagnosis.findings;
    expect(finding?.message).toEndWith('; attached without portmap: echo2');
    expect(
      finding?.evidence.map(({ kind, where }) => `${kind} ${where.replace(/[0-9a-f]{64}.*/, '…')}`),
    ).toEqual([
      `file ${BAK}`,
      'file /etc/cni/net.d/05-cilium.conflist',
      'result /var/lib/cni/results/cilium-…',
    ]);
  });

  test.each<[string, (report: NodeReport) => void]>([
    [
      'when portmap was in the chain that ran for it',
      ({ cni }) => {
        const aside = known(cni.files)!.find(({ name }) => name.startsWith('000-'))!;
        for (const attachment of known(cni.attachments)!) attachment.config = known(aside.content)!;
      },
    ],
    ['when portmap has a mapping of it', ({ netfilter }) => addMapping(netfilter)],
  ])('names no pod %s', async (_, change) => {
    const report = await reportOf('b');
    change(report);
    const [finding] = diagnosed(report, ANSWERS.b).diagnosis.findings;
    expect(finding?.message).toEndWith('and is not used');
  });

  test('names some of many pods', async () => {
    const report = await reportOf('b');
    const sandboxes = known(report.sandboxes)!;
    const attachments = known(report.cni.attachments)!;
    const attachment = attachments.find(({ containerId }) => containerId === sandboxes[0]!.id)!;
    for (const name of ['p1', 'p2', 'p3', 'p4']) {
      sandboxes.push({ ...sandboxes[0]!, id: name, name, uid: name });
      attachments.push({ ...attachment, containerId: name });
    }
    const finding = diagnosed(report).diagnosis.findings.find(({ code }) => code === 'conflist-renamed');
    expect(finding?.message).toEndWith('; attached without portmap: echo2, p1, p2 and 2 more');
    expect(finding?.evidence.filter(({ kind }) => kind === 'result')).toHaveLength(3);
  });

  test.each<[string, (report: NodeReport) => void]>([
    ['others are left beside Cilium’s own', ({ cni }) => rename(cni, '99-x.conflist.bak', '99-x.conflist')],
    ['Cilium is older than 1.14', ({ cni }) => rename(cni, '05-cilium.conflist', '05-cilium.conf', single)],
    ['Cilium’s own is gone', ({ cni }) => rename(cni, '05-cilium.conflist', 'gone')],
  ])('is given its name back where %s', async (_, change) => {
    const report = await reportOf('b');
    change(report);
    const result = diagnosed(report, ANSWERS.b);
    const { finding, steps } = planned(result);
    expect(finding.code).toBe('conflist-renamed');
    expect(finding.command).toBe('hostport heal --only conflist-renamed');
    expect(steps.map(describeStep)).toEqual([`node-b: mv ${BAK} /etc/cni/net.d/000-cilium-portmap.conflist`]);
    expect(steps[0]!.why).toContain('its agent renames it again');
  });

  const single = () => JSON.stringify({ cniVersion: '1.0.0', name: 'cilium', type: 'cilium-cni' });

  function rename(
    { files }: NodeReport['cni'],
    from: string,
    to: string,
    content: (text: string) => string = (text) => text,
  ): void {
    const file = known(files)!.find(({ name }) => name === from)!;
    file.name = to;
    if ('value' in file.content) file.content.value = content(file.content.value);
  }
});

describe('a sandbox for which a chain without portmap ran', () => {
  const without = async (change: (report: NodeReport) => void = () => {}) => {
    const report = await reportOf('b');
    // Nothing is wrong with the configuration by now.
    const aside = known(report.cni.files)!.find(({ name }) => name.startsWith('000-'))!;
    aside.name = '000-cilium-portmap.conflist';
    change(report);
    return diagnosed(report, ANSWERS.b);
  };

  test('is not attached, and portmap is attached to it while it runs', async () => {
    const result = await without(({ runtime, cni }) => {
      const [, network] = known(known(runtime)!.loadedNetworks)!;
      const file = known(cni.files)!.find(({ name }) => name.startsWith('000-'))!;
      Object.assign(network!, { name: 'cilium-portmap', config: known(file.content) });
    });
    expect(codesOf(result)).toEqual(['pod-predates-chain broken']);
    expect(stagesOf(result).attached).toEqual({ verdict: 'broken', codes: ['pod-predates-chain'] });
  });

  test('is attached when portmap was in its chain, also where its rules are gone by now', async () => {
    const report = await reportOf('a');
    const [tables] = report.netfilter.iptables;
    tables!.text = { value: known(tables!.text)!.replace(/^.*CNI-.*\n/gm, '') };
    const result = diagnosed(report);
    expect(codesOf(result)).toEqual(['mapping-missing broken']);
    expect(stagesOf(result).attached.verdict).toBe('ok');
  });

  test.each<[string, (report: NodeReport) => void, string, string | undefined]>([
    [
      'by its cached list',
      () => {},
      'unknown',
      'sandbox ca0dd45a8a93b was attached without portmap, or its portmap received no port mappings',
    ],
    [
      'by a list that cannot be read',
      ({ cni }) => {
        for (const attachment of known(cni.attachments)!) attachment.config = '{';
      },
      'unknown',
      'the configuration that sandbox ca0dd45a8a93b was attached with cannot be read',
    ],
    [
      'where the runtime maps ports itself',
      ({ runtime }) => {
        known(runtime)!.name = 'cri-o';
      },
      'ok',
      'attached without portmap; CRI-O maps the ports of node-b itself',
    ],
    [
      'where portmap has a mapping of it, however that was made',
      ({ netfilter }) => addMapping(netfilter),
      'ok',
      undefined,
    ],
  ])('is judged %s', async (_, change, verdict, reason) => {
    const report = await reportOf('b');
    // A chain that nobody blames for it: the plugin may map ports itself.
    const files = known(report.cni.files)!;
    files.splice(0, files.length, ...files.filter(({ name }) => name === '05-cilium.conflist'));
    change(report);
    const { attached } = stagesOf(diagnosed(report));
    expect(attached).toEqual({
      verdict: verdict as never,
      codes: [],
      ...(reason === undefined ? {} : { reason }),
    });
  });
});
