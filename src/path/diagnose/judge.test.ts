/** A stage holds where that was seen, and is unknown with a reason where it was not: of a mapping that works, but for what a case says. */
import { describe, expect, test } from 'bun:test';
import type { NodeReport } from '../model/node-report.ts';
import type { Stage } from '../model/stages.ts';
import { confFile, listOf } from '../testing/cni-node.ts';
import { mapped, type Otherwise, POD, SANDBOX } from '../testing/mapped-node.ts';
import { podOn } from '../testing/small-world.ts';
import { judge } from './judge.ts';

const HOLDS = { holds: true };
const holdsAs = (why: string) => ({ holds: true, why });
const unknown = (why: string) => ({ holds: 'unknown', why });

const PLAIN = [{ type: 'cilium-cni' }];
const UNSEEN = { unknown: 'EPERM' };
const ANSWERED = { outside: {} };
const OTHER_MAPS = 'ports of n1 answer other machines: cilium-cni maps them itself';

type Case = [what: string, otherwise: Otherwise, judgement: object];

const waiting: Otherwise = { world: { pods: [podOn(undefined, 'a', 80)] } };
const unread: Otherwise = { world: { reports: new Map([['n1', UNSEEN]]) } };
const seen = (report: Otherwise['report']): Otherwise => ({ report: report! });
const crio = (report: NodeReport) => {
  if ('value' in report.runtime) report.runtime.value.name = 'cri-o';
};
const sysctls = (values: Record<string, string | undefined>): Otherwise =>
  seen(({ network }) => {
    if ('value' in network.sysctls) Object.assign(network.sysctls.value, values);
  });
const files = (...files: ReturnType<typeof confFile>[]): Otherwise =>
  seen(({ cni }) => {
    cni.files = { value: files };
  });

function judged(stage: Stage, cases: readonly Case[]): void {
  test.each(cases)('%s', (_, otherwise, judgement) => {
    const { path, scene } = mapped(otherwise);
    expect(judge(stage, path, scene)).toStrictEqual(judgement as never);
  });
}

const noSandbox = (report: NodeReport): void => {
  report.sandboxes = { value: [] };
};
const noAddress: Otherwise = {
  pod: (pod) => {
    pod.status!.podIPs = [{ ip: '' }, {}];
  },
  report: ({ sandboxes }) => {
    if ('value' in sandboxes) for (const sandbox of sandboxes.value) sandbox.ips = [];
  },
};

// Packets may go somewhere, and something may answer: it is not this pod.
test.each([
  ['translated', HOLDS],
  [
    'forwarded',
    unknown(
      'loopback: it is unknown by which device answers of a enter n1: no link leads to its network namespace',
    ),
  ],
  ['answered', HOLDS],
] as const)(
  '%s is not known of a pod that has no network, whatever happens to packets to its port',
  (stage, withoutSandboxes) => {
    const judgeAs = (otherwise: Otherwise) => {
      const { path, scene } = mapped({ ...otherwise, probes: { outside: {} } });
      return judge(stage, path, scene);
    };
    expect(judgeAs({})).toEqual({ holds: true });
    expect(judgeAs({ report: noSandbox })).toEqual({
      holds: 'unknown',
      why: 'the pod has no ready sandbox',
    });
    expect(judgeAs(noAddress)).toEqual({ holds: 'unknown', why: 'no valid address of the pod is known' });
    // The API knows its address; by which device its answers leave is another matter.
    const unseen = judgeAs({
      report: (report) => {
        report.sandboxes = UNSEEN;
      },
    });
    expect(unseen).toEqual(withoutSandboxes as never);
  },
);

describe('declared', () => {
  const unseenAddresses = (report: NodeReport) => {
    report.network.addresses = UNSEEN;
  };
  judged('declared', [
    ['for all addresses', { report: unseenAddresses }, HOLDS],
    ['for all addresses of both families', { report: unseenAddresses, hostIP: '::' }, HOLDS],
    ['for an address of the node', { hostIP: '172.17.0.2' }, HOLDS],
    // That it is not is a finding.
    ['for an address that is not', { hostIP: '172.17.0.9' }, HOLDS],
    [
      'for an address, where those of the node were not seen',
      { report: unseenAddresses, hostIP: '172.17.0.2' },
      unknown('whether n1 has the address 172.17.0.2 is not known: EPERM'),
    ],
    [
      'for an address, without a node',
      {
        ...waiting,
        world: {
          pods: [
            {
              ...podOn(undefined, 'a'),
              spec: {
                containers: [{ name: 'c', ports: [{ hostPort: 80, containerPort: 80, hostIP: '10.0.0.1' }] }],
              },
            },
          ],
        },
      },
      HOLDS,
    ],
  ]);
});

describe('scheduled', () => {
  judged('scheduled', [
    ['on a node', unread, HOLDS],
    ['on none', waiting, unknown('the pod has no node yet')],
  ]);
});

describe('configured', () => {
  judged('configured', [
    ['with portmap', {}, HOLDS],
    ['on no node', waiting, unknown('the pod has no node yet')],
    ['on a node without a report', unread, unknown('EPERM')],
    ['without a file', files(), unknown('no configuration file was seen')],
    [
      'where the files could not be read',
      seen(({ cni }) => {
        cni.files = UNSEEN;
      }),
      unknown('no configuration file was seen: EPERM'),
    ],
    [
      'with a file that cannot be read',
      files({ ...confFile('10-a.conflist', ''), content: UNSEEN }),
      unknown('EPERM'),
    ],
    ['without portmap', { plugins: PLAIN }, unknown('10-net.conflist has no portmap')],
    [
      'without portmap, by who maps ports all the same',
      { plugins: PLAIN, report: noRules, probes: ANSWERED },
      holdsAs(`10-net.conflist has no portmap; ${OTHER_MAPS}`),
    ],
    [
      'without portmap, by a runtime that maps ports',
      { plugins: PLAIN, report: crio },
      holdsAs('10-net.conflist has no portmap; CRI-O maps the ports of n1 itself'),
    ],
  ]);
});

describe('installed', () => {
  const plugins = (change: (file: { name: string; format: unknown }) => void): Otherwise =>
    seen(({ cni }) => {
      if ('value' in cni.plugins) cni.plugins.value.forEach(change);
    });
  judged('installed', [
    ['with all plugins', {}, HOLDS],
    ['on no node', waiting, unknown('the pod has no node yet')],
    ['on a node without a report', unread, unknown('EPERM')],
    ['with a chain that is not known', files(), unknown('the chain is not known')],
    [
      'without one of them',
      plugins((file) => {
        if (file.name === 'portmap') file.name = 'portmap.old';
      }),
      unknown('plugin portmap was not seen'),
    ],
    [
      'where the plugins were not seen',
      seen(({ cni }) => {
        cni.plugins = UNSEEN;
      }),
      unknown('plugin cilium-cni was not seen: EPERM'),
    ],
    [
      'with one that could not be read',
      plugins((file) => {
        if (file.name === 'portmap') file.format = { kind: 'unreadable' };
      }),
      unknown('/opt/cni/bin/portmap could not be read'),
    ],
    [
      'with one that is not of the chain and could not be read',
      {
        plugins: PLAIN,
        ...plugins((file) => {
          if (file.name === 'portmap') file.format = { kind: 'unreadable' };
        }),
      },
      HOLDS,
    ],
  ]);
});

describe('attached', () => {
  const attachment = (change: (attachment: { config: string; ifName: string }) => void): Otherwise =>
    seen(({ cni }) => {
      if ('value' in cni.attachments) cni.attachments.value.forEach(change);
    });
  const NAME = `sandbox ${SANDBOX.slice(0, 13)}`;
  const unread = attachment((entry) => {
    entry.config = '{';
  });
  judged('attached', [
    ['with portmap', {}, HOLDS],
    ['with portmap, without its rules', { own: [] }, HOLDS],
    ['on no node', waiting, unknown('the pod has no node yet')],
    ['on a node without a report', { world: { reports: new Map([['n1', UNSEEN]]) } }, unknown('EPERM')],
    [
      'where the sandboxes are not known',
      seen((report) => {
        report.sandboxes = UNSEEN;
      }),
      unknown('the runtime did not report its sandboxes: EPERM'),
    ],
    ['without a sandbox', seen(noSandbox), unknown('the pod has no ready sandbox')],
    [
      'without a result',
      seen(({ cni }) => {
        cni.attachments = { value: [] };
      }),
      unknown(`no cached result of ${NAME}`),
    ],
    [
      'where the results could not be read',
      seen(({ cni }) => {
        cni.attachments = UNSEEN;
      }),
      unknown(`no cached result of ${NAME}: EPERM`),
    ],
    // Somebody else ran portmap for it.
    ['without portmap, with its rules', { plugins: PLAIN }, HOLDS],
    ['by a list that cannot be read, with its rules', unread, HOLDS],
    [
      'by a list that cannot be read, where the rules are not known',
      {
        report: (report) => {
          unread.report!(report);
          report.netfilter.nft = UNSEEN;
        },
      },
      unknown(`the configuration that ${NAME} was attached with cannot be read`),
    ],
    [
      'without portmap, where the rules are not known',
      {
        plugins: PLAIN,
        report: (report) => {
          report.netfilter.nft = UNSEEN;
        },
      },
      unknown(`${NAME} was attached without portmap, or its portmap received no port mappings`),
    ],
    [
      'without portmap, where the runtime maps ports',
      {
        plugins: PLAIN,
        report: (report) => {
          crio(report);
          report.netfilter.iptables = [];
        },
      },
      holdsAs('attached without portmap; CRI-O maps the ports of n1 itself'),
    ],
    [
      'without portmap, with rules of another interface',
      {
        plugins: PLAIN,
        own: ['-A CNI-DN-a -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.0.9:8080'],
      },
      unknown(`${NAME} was attached without portmap, or its portmap received no port mappings`),
    ],
  ]);
});

describe('translated', () => {
  const AWAY = '-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.0.9:80';
  const NOTRACK = ['-A PREROUTING -p tcp -j CT --notrack', '-A OUTPUT -p tcp -j CT --notrack'];
  const PERHAPS = '-A PREROUTING -m set --match-set x src -j CT --notrack';
  judged('translated', [
    ['to the pod', {}, HOLDS],
    ['on no node', waiting, unknown('the pod has no node yet')],
    ['on a node without a report', unread, unknown('EPERM')],
    ['without rules', { own: [] }, unknown('outside: the rules do not lead to the pod')],
    ['to another', { before: [AWAY] }, unknown('outside: the rules do not lead to the pod')],
    [
      'to another from the node alone',
      { before: [AWAY.replace('PREROUTING', 'OUTPUT')] },
      unknown('node: the rules do not lead to the pod'),
    ],
    [
      'for the loopback, to another',
      { hostIP: '127.0.0.1', before: [AWAY.replace('PREROUTING', 'OUTPUT')] },
      unknown('loopback: the rules do not lead to the pod'),
    ],
    [
      'by rules that are not understood',
      { before: ['-A PREROUTING -m set --match-set x src -j ACCEPT'] },
      unknown('outside: whether a packet matches "-m set --match-set x src" of nat PREROUTING'),
    ],
    // The last stage reports it.
    [
      'of packets that are dropped before',
      { own: [], raw: ['-A PREROUTING -i eth0 -p tcp -j DROP'] },
      unknown('node: the rules do not lead to the pod'),
    ],
    ['of packets that are dropped before, to the pod', { raw: ['-A PREROUTING -p tcp -j DROP'] }, HOLDS],
    // The next stage reports it.
    ['without connection tracking', { raw: NOTRACK }, HOLDS],
    [
      'without connection tracking, without rules',
      { raw: NOTRACK, own: [] },
      unknown('outside: the rules do not lead to the pod'),
    ],
    [
      'without connection tracking, to another',
      { raw: NOTRACK, before: [AWAY] },
      unknown('outside: the rules do not lead to the pod'),
    ],
    [
      'without connection tracking, to another for some',
      { raw: NOTRACK, before: [AWAY.replace('-p tcp', '-s 192.0.2.0/24 -p tcp')] },
      HOLDS,
    ],
    [
      'perhaps without connection tracking',
      { raw: [PERHAPS] },
      unknown('outside: whether a packet matches "-m set --match-set x src" of raw PREROUTING'),
    ],
    [
      'by nobody of netfilter, where ports answer without portmap',
      { plugins: PLAIN, report: noRules, probes: ANSWERED },
      holdsAs(`no rule leads to the pod; ${OTHER_MAPS}`),
    ],
    [
      'by a runtime, where ports do not answer',
      { plugins: PLAIN, report: both(noRules, crio) },
      unknown('outside: the rules do not lead to the pod'),
    ],
    [
      'by a runtime, where ports answer',
      { plugins: PLAIN, report: both(noRules, crio), probes: ANSWERED },
      holdsAs('no rule leads to the pod; CRI-O maps the ports of n1 itself'),
    ],
    [
      'by a runtime, where portmap is chained',
      { report: both(noRules, crio), probes: ANSWERED },
      unknown('outside: the rules do not lead to the pod'),
    ],
    [
      'by a runtime, where the chain is not known',
      {
        report: both(noRules, crio, ({ cni }) => {
          cni.files = UNSEEN;
        }),
        probes: ANSWERED,
      },
      unknown('outside: the rules do not lead to the pod'),
    ],
  ]);
});

function noRules(report: NodeReport): void {
  report.netfilter.iptables = [];
}

function both(...changes: ((report: NodeReport) => void)[]) {
  return (report: NodeReport) => {
    for (const change of changes) change(report);
  };
}

describe('forwarded', () => {
  const DROP = '-A FORWARD -p tcp -j DROP';
  const V6 = { families: ['ipv6'] } as const;
  const PERHAPS_AWAY = '-A PREROUTING -p tcp -m set --match-set x src -j DNAT --to-destination 10.9.0.9:80';
  judged('forwarded', [
    ['to the pod', {}, HOLDS],
    ['to the pod over IPv6', V6, HOLDS],
    ['on no node', waiting, unknown('the pod has no node yet')],
    ['on a node without a report', unread, unknown('EPERM')],
    [
      'of packets that are dropped before',
      { raw: ['-A PREROUTING -p tcp -j DROP'] },
      unknown('outside: the packet does not get through (drop)'),
    ],
    [
      'of packets that a policy drops',
      { filter: ['-A FORWARD -j cali-FORWARD', '-A cali-FORWARD -p tcp -j DROP'] },
      HOLDS,
    ],
    [
      'of packets that are dropped',
      { filter: [DROP] },
      unknown('outside: the packet does not get through (drop)'),
    ],
    [
      'of packets that are rejected',
      { filter: ['-A FORWARD -p tcp -j REJECT --reject-with icmp-port-unreachable'] },
      unknown('outside: the packet does not get through (reject)'),
    ],
    // They are accepted for the node itself.
    ['of packets that are not translated', { own: [] }, unknown('outside: the rules do not lead to the pod')],
    [
      'of packets that are translated to another',
      { before: ['-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.0.9:80'] },
      unknown('outside: the rules do not lead to the pod'),
    ],
    [
      'of packets of which it is not known whether they are translated to another',
      { before: [PERHAPS_AWAY] },
      unknown('outside: whether a packet matches "-m set --match-set x src" of nat PREROUTING'),
    ],
    [
      'of packets that somebody maps past the rules',
      { plugins: PLAIN, report: noRules, probes: ANSWERED },
      HOLDS,
    ],
    [
      'by rules that are not understood',
      { filter: ['-A FORWARD -m set --match-set x src -j DROP'] },
      unknown('outside: whether a packet matches "-m set --match-set x src" of filter FORWARD'),
    ],
    [
      'where the setting was not seen',
      sysctls({ 'net.ipv4.ip_forward': undefined }),
      unknown('net.ipv4.ip_forward of n1 was not seen'),
    ],
    [
      'where that of the other family was not seen',
      sysctls({ 'net.ipv6.conf.all.forwarding': undefined }),
      HOLDS,
    ],
    [
      'over IPv6, where the setting was not seen',
      { ...V6, ...sysctls({ 'net.ipv6.conf.all.forwarding': undefined }) },
      unknown('net.ipv6.conf.all.forwarding of n1 was not seen'),
    ],
    [
      'over IPv6, where that of IPv4 was not seen',
      { ...V6, ...sysctls({ 'net.ipv4.ip_forward': undefined }) },
      HOLDS,
    ],
    [
      'from the loopback alone, where the setting was not seen',
      { hostIP: '127.0.0.1', ...sysctls({ 'net.ipv4.ip_forward': undefined }) },
      HOLDS,
    ],
    [
      'where it is not known whether the loopback may leave',
      sysctls({ 'net.ipv4.conf.lxc1.route_localnet': undefined }),
      unknown('loopback: net.ipv4.conf.lxc1.route_localnet of n1 was not seen'),
    ],
    // That is a finding.
    ['where the loopback may not leave', sysctls({ 'net.ipv4.conf.lxc1.route_localnet': '0' }), HOLDS],
  ]);
});

describe('answered', () => {
  const SILENT = { outcome: 'timeout', detail: 'no answer within 1000 ms' } as const;
  const LOOPBACK = { target: { address: '127.0.0.1', port: 80 } };
  const by = (address: string) => ({ answeredBy: { address, port: 8080 } });
  const unknownAddress: Otherwise['pod'] = (pod) => {
    pod.status!.podIPs = [];
  };
  const spare: Otherwise['pod'] = (pod) => {
    pod.status!.podIPs!.push({}, { ip: 'fd00:1:0::2' });
  };
  judged('answered', [
    ['without probes', {}, unknown('not probed')],
    ['by the application alone', { probes: { direct: {} } }, unknown('not probed')],
    ['from outside', { probes: { outside: {} } }, HOLDS],
    ['from another node', { probes: { node: {}, 'other-node': {} } }, HOLDS],
    [
      'from outside, not from the node',
      { probes: { outside: {}, node: SILENT } },
      unknown('node: no answer within 1000 ms'),
    ],
    [
      'from the node, not from outside',
      { probes: { node: {}, outside: { outcome: 'unknown', detail: 'silence' } } },
      unknown('outside: silence'),
    ],
    [
      'from outside, while the application itself does not',
      { probes: { outside: {}, direct: SILENT } },
      HOLDS,
    ],
    [
      'from the node alone',
      { probes: { node: { from: 'n1' } } },
      unknown('probed only from n1 itself, not from another machine'),
    ],
    [
      'from the node alone, which is not named',
      { probes: { node: {} } },
      unknown('probed only from the node itself, not from another machine'),
    ],
    [
      'from the node, of a mapping for its loopback',
      { hostIP: '127.0.0.1', probes: { loopback: LOOPBACK } },
      HOLDS,
    ],
    [
      'from the node alone, of a mapping for what is no address',
      { hostIP: 'x', probes: { node: {} } },
      unknown('probed only from the node itself, not from another machine'),
    ],
    ['from the node, of a mapping for ::1', { hostIP: '::1', probes: { node: {} } }, HOLDS],
    [
      'from ::1 alone',
      { probes: { loopback: { target: { address: '::1', port: 80 } } } },
      unknown('not probed'),
    ],
    [
      'from outside, not from ::1',
      { probes: { outside: {}, loopback: { ...SILENT, target: { address: '::1', port: 80 } } } },
      HOLDS,
    ],
    ['by the pod', { probes: { outside: by(POD.ipv4) } }, HOLDS],
    [
      'by another',
      { probes: { outside: by('10.9.0.9') } },
      unknown('outside: 10.9.0.9 answered, not the pod'),
    ],
    [
      'by another, where no address of the pod is known',
      { ...unread, pod: unknownAddress, probes: { outside: by('10.9.0.9') } },
      unknown('no valid address of the pod is known'),
    ],
    [
      'by the pod and another',
      { probes: { node: by(POD.ipv4), outside: by('10.9.0.9') } },
      unknown('outside: 10.9.0.9 answered, not the pod'),
    ],
    [
      'by the pod at another address, as the API says',
      { pod: spare, probes: { outside: by('fd00:1::2') } },
      HOLDS,
    ],
    [
      'by the pod at another address, spelled otherwise',
      { pod: spare, probes: { outside: by('fd00:01::2') } },
      HOLDS,
    ],
    [
      'by the pod, as the runtime says',
      {
        pod: (pod) => {
          pod.status!.podIPs = [];
        },
        probes: { outside: by(POD.ipv4) },
      },
      HOLDS,
    ],
  ]);
});

test('a list of another name is named where it has no portmap', () => {
  const { path, scene } = mapped(files(confFile('05-x.conflist', listOf(PLAIN))));
  expect(judge('configured', path, scene)).toStrictEqual({
    holds: 'unknown',
    why: '05-x.conflist has no portmap',
  });
});
