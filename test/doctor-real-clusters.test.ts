/**
 * What looks like a failure on clusters other than the lab and is not one, or not one that hostport may fix: the recorded cluster, changed in one
 * respect to be as another network plugin, runtime or component of the node has it.
 */
import { describe, expect, test } from 'bun:test';
import { bundleWorld } from '../src/collect/bundle.ts';
import { type Diagnosed, diagnose } from '../src/path/diagnose/diagnose.ts';
import { planHeal } from '../src/path/heal/plan.ts';
import type { NodeReport } from '../src/path/model/node-report.ts';
import type { World } from '../src/path/model/world.ts';
import { ALL_ANSWER } from './fixtures/moments.ts';

const NODE = 'kind-worker';

/** The cluster in which all hostPorts answer, unprobed, with the report of one worker changed. */
async function withReport(change: (report: NodeReport) => void): Promise<Diagnosed> {
  const world: World = await bundleWorld(ALL_ANSWER);
  const report = world.reports.get(NODE)!;
  if (!('value' in report)) throw new Error(`no report of ${NODE}`);
  const changed = structuredClone(report.value);
  // The how-to mounts its list, which nobody can change in the node then.
  delete changed.cni.mounts;
  change(changed);
  return diagnose({ ...world, probes: [], reports: new Map([...world.reports, [NODE, { value: changed }]]) });
}

function codesOf({ diagnosis }: Diagnosed): string[] {
  return diagnosis.findings.filter(({ severity }) => severity !== 'note').map(({ code }) => code);
}

function known<T>(observed: { value: T } | { unknown: string }): T {
  if ('unknown' in observed) throw new Error(observed.unknown);
  return observed.value;
}

interface List {
  plugins: Record<string, unknown>[];
}

/** Changes the configuration that the runtime uses, on disk and as it is loaded. */
function editConfig({ cni, runtime }: NodeReport, change: (list: List) => List): void {
  const [file] = known(cni.files);
  const content = JSON.stringify(change(JSON.parse(known(file!.content)) as List));
  file!.content = { value: content };
  const loaded = known(known(runtime).loadedNetworks);
  for (const network of loaded) if (!network.config.includes('"loopback"')) network.config = content;
}

function withoutPortmap(list: List): List {
  return { ...list, plugins: list.plugins.filter(({ type }) => type !== 'portmap') };
}

function putAside(report: NodeReport, list: object): void {
  const times = { modified: '2026-01-01T00:00:00Z', changed: '2026-01-01T00:00:00Z' };
  const name = '10-other.conflist.cilium_bak';
  known(report.cni.files).push({ name, ...times, content: { value: JSON.stringify(list) } });
}

const CASES: { what: string; change: (report: NodeReport) => void; codes: string[] }[] = [
  { what: 'the recorded cluster', change: () => {}, codes: [] },
  {
    what: "Cilium put its predecessor's configuration aside",
    change(report) {
      editConfig(report, withoutPortmap);
      putAside(report, { name: 'kindnet', plugins: [{ type: 'ptp' }, { type: 'portmap' }] });
    },
    codes: ['portmap-not-chained'],
  },
  {
    what: 'Cilium put a chain of its own plugin aside',
    change(report) {
      editConfig(report, withoutPortmap);
      putAside(report, { name: 'cilium', plugins: [{ type: 'cilium-cni' }, { type: 'portmap' }] });
    },
    codes: ['conflist-renamed'],
  },
  {
    what: 'multus delegates to another configuration',
    change: (report) => editConfig(report, (list) => ({ ...list, plugins: [{ type: 'multus' }] })),
    // The lab's nodes have no multus installed.
    codes: ['plugin-missing'],
  },
  {
    what: 'CRI-O maps ports itself, and portmap lacks the capability',
    change(report) {
      known(report.runtime).name = 'cri-o';
      editConfig(report, (list) => ({
        ...list,
        plugins: list.plugins.map(({ capabilities, ...plugin }) => plugin),
      }));
    },
    codes: [],
  },
  {
    what: 'CRI-O holds the port of the mapping',
    change: ({ network }) =>
      known(network.listeners).push({ protocol: 'tcp', address: '0.0.0.0', port: 80, process: 'crio' }),
    codes: [],
  },
  {
    what: 'a process listens on the port of the mapping',
    change: ({ network }) =>
      known(network.listeners).push({ protocol: 'tcp', address: '0.0.0.0', port: 80, process: 'nginx' }),
    codes: ['host-listener-hijacked'],
  },
  {
    what: 'a sandbox is being made, which the runtime does not list yet',
    change: ({ cni }) => addAttachment(cni, { containerId: 'f'.repeat(64), netnsExists: true }),
    codes: [],
  },
  {
    what: 'a sandbox is gone, and its attachment is remembered',
    change: ({ cni }) => addAttachment(cni, { containerId: 'f'.repeat(64), netnsExists: false }),
    codes: ['delete-aborted'],
  },
];

type Attachment = Extract<NodeReport['cni']['attachments'], { value: unknown }>['value'][number];

/** One more attachment, like the first of the network. */
function addAttachment({ attachments }: NodeReport['cni'], more: Partial<Attachment>): void {
  const all = known(attachments);
  all.push({ ...all.find(({ ifName }) => ifName !== 'lo')!, file: '/var/lib/cni/results/more', ...more });
}

test.each(CASES)('$what', async ({ change, codes }) => {
  expect(codesOf(await withReport(change))).toEqual(codes);
});

describe('legacy iptables beside', () => {
  const LEGACY = '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 9098 -j RETURN\nCOMMIT\n';
  const firewalld = JSON.stringify({
    nftables: [
      { table: { family: 'inet', name: 'firewalld', handle: 1 } },
      {
        chain: {
          ...{ family: 'inet', table: 'firewalld', name: 'nat_PREROUTING', handle: 2 },
          ...{ type: 'nat', hook: 'prerouting', prio: -90, policy: 'accept' },
        },
      },
      {
        rule: {
          ...{ family: 'inet', table: 'firewalld', chain: 'nat_PREROUTING', handle: 3 },
          expr: [{ counter: { packets: 0, bytes: 0 } }, { return: null }],
        },
      },
    ],
  });

  test.each([
    ['iptables-nft', (_: NodeReport) => {}, 'iptables-legacy and of iptables-nft where'],
    [
      'firewalld',
      ({ netfilter }: NodeReport) => {
        for (const tables of netfilter.iptables) tables.text = { value: '' };
        netfilter.nft = { value: firewalld };
      },
      'iptables-legacy and of nft (table firewalld) where',
    ],
  ])('%s', async (_, change, words) => {
    const { diagnosis } = await withReport((report) => {
      change(report);
      const { iptables } = report.netfilter;
      const legacy = iptables.find(
        ({ variant, family }) => variant === 'iptables-legacy' && family === 'ipv4',
      );
      legacy!.text = { value: LEGACY };
    });
    const mixed = diagnosis.findings.find(({ code }) => code === 'backends-mixed');
    expect(mixed?.message).toContain(words);
  });
});

describe('a node whose shell has no iptables', () => {
  const said = (message: string) =>
    `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "x": plugin type="portmap" failed (add): ${message}`;

  test.each([
    ['whose runtime may have its own, as of k3s', undefined, []],
    ['where portmap fails of something else', said('iptables-restore: line 3 failed'), []],
    [
      'where the reference portmap says so',
      said('failed to locate iptables: exec: "iptables": executable file not found in $PATH'),
      ['netfilter-tool-missing'],
    ],
    ['where our portmap says so', said('iptables cannot be used: no iptables'), ['netfilter-tool-missing']],
  ])('%s', async (_, message, codes) => {
    const { scene } = await withReport((report) => {
      report.netfilter.tools = {};
    });
    const { metadata } = scene.paths.find(({ node }) => node?.name === NODE)!.pod;
    const { name, namespace, uid } = metadata!;
    const involvedObject = { kind: 'Pod', name, namespace, uid };
    const events =
      message === undefined
        ? []
        : [{ metadata: { name: 'e' }, reason: 'FailedCreatePodSandBox', message, involvedObject }];
    expect(codesOf(diagnose({ ...scene.world, events }))).toEqual(codes);
  });
});

describe("a plugin's format", () => {
  const X86_64 = 62;
  const [I386, ARM, ARM64] = [3, 40, 183];
  const elf = (machine: number, bits: number) => ({ kind: 'elf' as const, machine, bits });

  test.each([
    ['of the machine', X86_64, elf(X86_64, 64), undefined, []],
    ['of its 32-bit forerunner', X86_64, elf(I386, 32), undefined, []],
    ['of 32-bit ARM on arm64', ARM64, elf(ARM, 32), undefined, []],
    ['of another machine', X86_64, elf(ARM64, 64), undefined, ['plugin-wrong-architecture']],
    ['that calls itself ARM and has 64 bits', ARM64, elf(ARM, 64), undefined, ['plugin-wrong-architecture']],
    ['of another machine that answers nevertheless', X86_64, elf(ARM64, 64), ['0.1.0'], []],
    ['of no executable', X86_64, { kind: 'other' as const }, undefined, ['plugin-wrong-architecture']],
    ['that may not be read', X86_64, { kind: 'unreadable' as const }, undefined, []],
  ])('%s', async (_, machine, format, versions, codes) => {
    const diagnosed = await withReport((report) => {
      report.machine.elfMachine = machine;
      for (const file of known(report.cni.plugins)) {
        file.format = file.name === 'portmap' ? format : elf(machine, 64);
        if (file.name === 'portmap') {
          file.versions = versions ? { value: versions } : { unknown: 'VERSION: exec format error' };
        }
      }
    });
    expect(codesOf(diagnosed)).toEqual(codes);
    const { installed } = diagnosed.diagnosis.paths.find(({ node }) => node === NODE)!.stages;
    const doubt = format.kind === 'unreadable' ? 'unknown' : 'ok';
    expect(installed.verdict).toBe(codes.length > 0 ? 'broken' : doubt);
  });
});

/** Changes what iptables-save prints for IPv4. */
function editRules({ netfilter }: NodeReport, change: (text: string) => string): void {
  const tables = netfilter.iptables.find(
    (entry) => entry.variant === 'iptables-nft' && entry.family === 'ipv4',
  );
  tables!.text = { value: change(known(tables!.text)) };
}

test('a port that another component publishes is not taken from it', async () => {
  const diagnosed = await withReport((report) =>
    editRules(report, (text) =>
      text
        .replace(/^:CNI-HOSTPORT-DNAT .*$/m, '$&\n:DOCKER - [0:0]')
        .replace(
          /^(\[\d+:\d+\] )?-A PREROUTING .*-j CNI-HOSTPORT-DNAT$/m,
          '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n$&\n' +
            '-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.18.0.2:80',
        ),
    ),
  );
  const planned = planHeal(diagnosed, { restart: false }).find(
    ({ finding }) => finding.code === 'mapping-shadowed',
  );
  expect(planned).toMatchObject({ steps: [], left: { to: 'hand', why: expect.stringContaining('DOCKER') } });
});

/** Makes every attachment one without portmap. */
function madeWithoutPortmap({ cni }: NodeReport): void {
  for (const attachment of known(cni.attachments)) {
    attachment.config = JSON.stringify(withoutPortmap(JSON.parse(attachment.config) as List));
  }
}

test('a pod that runs with its mapping from portmap shows that Cilium maps none', async () => {
  const diagnosed = await withReport((report) => editConfig(report, withoutPortmap));
  const [finding] = diagnosed.diagnosis.findings;
  expect(finding).toMatchObject({ code: 'portmap-not-chained', severity: 'broken', subject: { node: NODE } });
  expect(finding!.evidence.map(({ kind }) => kind)).toEqual(['file', 'result']);
  // As the agent heals, which sends no probe.
  expect(planHeal(diagnosed, { restart: false, risks: 'leftovers' })[0]!.steps).toHaveLength(1);
});

test('portmap is not chained behind a Cilium that may map ports itself, until a probe has failed', async () => {
  const unprobed = await withReport((report) => {
    editConfig(report, withoutPortmap);
    madeWithoutPortmap(report);
  });
  const [finding] = unprobed.diagnosis.findings;
  expect(finding).toMatchObject({ code: 'portmap-not-chained', severity: 'risk', subject: { node: NODE } });
  expect(planHeal(unprobed, { restart: false })[0]).toMatchObject({ steps: [], left: { to: 'hand' } });

  const { pods } = unprobed.scene.world;
  const pod = pods.find(({ spec }) => spec?.nodeName === NODE && spec.containers.some(({ ports }) => ports));
  const probe = { podUid: pod!.metadata!.uid!, node: NODE, protocol: 'TCP' as const, hostPort: 80 };
  const refused = diagnose({
    ...unprobed.scene.world,
    probes: [
      {
        ...probe,
        vantage: 'outside',
        target: { address: '172.17.0.3', port: 80 },
        outcome: 'refused',
        detail: 'connection refused',
        milliseconds: 1,
      },
    ],
  });
  expect(refused.diagnosis.findings[0]).toMatchObject({ code: 'portmap-not-chained', severity: 'broken' });
  expect(planHeal(refused, { restart: false })[0]!.steps).toHaveLength(1);
});

describe('where another component maps the ports, a chain without portmap is OK', () => {
  const stagesOf = ({ diagnosis }: Diagnosed) => diagnosis.paths.find(({ node }) => node === NODE)!.stages;

  test('CRI-O', async () => {
    const diagnosed = await withReport((report) => {
      known(report.runtime).name = 'cri-o';
      editConfig(report, withoutPortmap);
    });
    const { configured } = stagesOf(diagnosed);
    expect(configured).toMatchObject({ verdict: 'ok', reason: expect.stringContaining('CRI-O') });
  });

  /** The same, with an answer from outside the nodes. */
  function probedFromOutside({ scene: { world } }: Diagnosed, outcome: 'answered' | 'timeout'): Diagnosed {
    const pod = world.pods.find(
      ({ spec }) => spec?.nodeName === NODE && spec.containers.some(({ ports }) => ports),
    );
    const probe = {
      vantage: 'outside' as const,
      node: NODE,
      podUid: pod!.metadata!.uid!,
      protocol: 'TCP' as const,
      hostPort: 80,
      target: { address: '172.17.0.3', port: 80 },
      detail: '',
      milliseconds: 1,
    };
    return diagnose({ ...world, probes: [{ ...probe, outcome }] });
  }

  // Taken out of the chain, portmap leaves the mappings that it has made: they answer, and the next pod has none.
  test.each<[string, (report: NodeReport) => void]>([
    [
      'by the result of its attachment',
      (report) => editRules(report, (text) => text.replace(/^.*CNI-.*\n/gm, '')),
    ],
    [
      'by its rules',
      ({ cni }) => {
        for (const attachment of known(cni.attachments)) attachment.portMappings = [];
      },
    ],
  ])('but nobody else does while portmap’s own mapping answers, known %s', async (_, change) => {
    const unprobed = await withReport((report) => {
      editConfig(report, withoutPortmap);
      change(report);
    });
    const probed = probedFromOutside(unprobed, 'answered');
    expect(codesOf(probed)).toContain('portmap-not-chained');
    expect(stagesOf(probed).configured.verdict).not.toBe('ok');
  });

  test.each(['answered', 'timeout'] as const)(
    'a plugin whose ports are past netfilter: %s',
    async (outcome) => {
      const unprobed = await withReport((report) => {
        editConfig(report, withoutPortmap);
        for (const { attachments } of [report.cni])
          for (const attachment of known(attachments)) attachment.portMappings = [];
        editRules(report, (text) => text.replace(/^.*CNI-.*\n/gm, ''));
      });
      const { configured, translated } = stagesOf(probedFromOutside(unprobed, outcome));
      const verdicts = [configured.verdict, translated.verdict];
      if (outcome === 'answered') {
        expect(verdicts).toEqual(['ok', 'ok']);
        expect(translated.reason).toContain('maps them itself');
      } else expect(verdicts).not.toContain('ok');
    },
  );
});

describe('what was not seen is not healthy', () => {
  const verdictOf = ({ diagnosis }: Diagnosed, stage: 'declared' | 'forwarded') =>
    diagnosis.paths.find(({ node }) => node === NODE)!.stages[stage].verdict;

  test('forwarding', async () => {
    const seen = await withReport(() => {});
    const unseen = await withReport(({ network }) => {
      delete known(network.sysctls)['net.ipv4.ip_forward'];
    });
    expect([seen, unseen].map((diagnosed) => verdictOf(diagnosed, 'forwarded'))).toEqual(['ok', 'unknown']);
  });

  test("a hostIP, where the node's addresses are unknown", async () => {
    const { scene } = await withReport(() => {});
    const pods = structuredClone(scene.world.pods);
    for (const { spec } of pods) {
      for (const { ports } of spec?.containers ?? [])
        for (const port of ports ?? []) port.hostIP = '172.17.0.3';
    }
    const world = { ...scene.world, pods };
    const unseen = { ...world, reports: new Map() };
    expect(verdictOf(diagnose(unseen), 'declared')).toBe('unknown');
  });
});

test('a message without an end takes no time without an end', async () => {
  const { scene } = await withReport(() => {});
  const { metadata, spec } = scene.paths.find(({ node }) => node?.name === NODE)!.pod;
  const event = {
    metadata: { name: 'long' },
    involvedObject: { kind: 'Pod', name: metadata!.name, namespace: metadata!.namespace, uid: metadata!.uid },
    message: 'listen '.repeat(200_000),
  };
  expect(spec?.nodeName).toBe(NODE);
  const began = performance.now();
  diagnose({ ...scene.world, events: [event] });
  expect(performance.now() - began).toBeLessThan(5000);
}, 20_000);

describe('a configuration that cannot be read', () => {
  const cut = ({ cni }: NodeReport) => {
    known(cni.files)[0]!.content = { value: '{"name":' };
  };
  const steps = (diagnosed: Diagnosed) => planHeal(diagnosed, { restart: false })[0]!.steps;

  test('is written as an attachment of the runtime has it, and keeps its mode', async () => {
    const diagnosed = await withReport((report) => {
      cut(report);
      // Newer than all others, and of containers that the runtime does not have.
      addAttachment(report.cni, {
        containerId: 'nerdctl',
        networkName: 'bridge',
        config: '{"name":"bridge","plugins":[{"type":"bridge"}]}',
        modified: '2099-01-01T00:00:00Z',
      });
    });
    const actions = steps(diagnosed).map((step) => step.action as { content?: string; mode?: string });
    expect(actions).toHaveLength(1);
    expect(actions[0]!.content).toContain('"portmap"');
    expect(actions[0]!.mode).toBeUndefined();
  });

  test('is left alone when no sandbox of the runtime remembers it', async () => {
    const diagnosed = await withReport((report) => {
      cut(report);
      report.sandboxes = { unknown: 'no answer' };
    });
    expect(steps(diagnosed)).toEqual([]);
  });
});
