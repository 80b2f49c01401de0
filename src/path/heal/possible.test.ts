import { describe, expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import type { HealStep, NodeAction } from '../model/action.ts';
import { words } from '../model/message.ts';
import type { MountSeen, NodeReport } from '../model/node-report.ts';
import type { Heal } from '../stages/failure.ts';
import { CHAINED, cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { failureOn, podOn, smallWorld } from '../testing/small-world.ts';
import { Scene } from '../view/scene.ts';
import { planHeal } from './plan.ts';
import { isMountOfItsOwn, possibleHeal } from './possible.ts';

const FILE = '/etc/cni/net.d/000-net.conflist';
const plain = listOf([{ type: 'cilium-cni' }, { type: 'portmap' }]);

/** Directories of the node, and what is mounted in them from outside. */
function mounts(...more: Partial<MountSeen>[]): MountSeen[] {
  const own = (path: string): MountSeen => ({
    path,
    point: '/',
    origin: path,
    source: 'overlay',
    readOnly: false,
  });
  const outside = more.map(
    (mount): MountSeen => ({ ...own(mount.path!), point: mount.path!, source: '/dev/sda1', ...mount }),
  );
  const replaced = new Set(outside.map(({ path }) => path));
  return [...['/etc/cni/net.d', '/opt/cni/bin'].filter((path) => !replaced.has(path)).map(own), ...outside];
}

function planned(report: ReturnType<typeof cniNode>, code: string) {
  const world = smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) });
  const diagnosed = diagnose(world);
  const finding = diagnosed.diagnosis.findings.find((found) => found.code === code);
  const plan = planHeal(diagnosed, { restart: true }).find((entry) => entry.finding === finding);
  return { finding, plan };
}

const seenIn = (files: Record<string, string>, ...more: Partial<MountSeen>[]) =>
  cniNode(files, { cni: { mounts: { value: mounts(...more) } } });

describe('a file that is mounted read-only from outside', () => {
  const report = seenIn(
    { '000-net.conflist': plain },
    { path: FILE, origin: '/tmp/cni/000-net.conflist', readOnly: true },
  );
  const { finding, plan } = planned(report, 'capability-missing');

  test('is not planned to be written, and where it comes from is said', () => {
    expect(plan?.steps).toStrictEqual([]);
    expect(plan?.left).toStrictEqual({
      to: 'hand',
      why:
        `${FILE} of n1 is mounted from outside, read-only (/tmp/cni/000-net.conflist of /dev/sda1): declare the capability in 000-net.conflist there, in place, ` +
        'since a file that replaces it there is not visible here; then run hostport heal for the rest',
    });
  });

  test('so says the finding, which names no command', () => {
    expect(finding?.command).toBeUndefined();
    expect(finding?.remedy).toBe(plan!.left!.why);
  });
});

test.each<[string, Partial<MountSeen>[], string[]]>([
  ['a file of the node itself', [], ['write-file']],
  ['a file that is mounted and can be written', [{ path: FILE, origin: '/x' }], ['write-file']],
  ['a directory that is mounted read-only', [{ path: '/etc/cni/net.d', origin: '/x', readOnly: true }], []],
  ['a root that is read-only', [{ path: '/etc/cni/net.d', point: '/', origin: '/', readOnly: true }], []],
  ['another file that is mounted', [{ path: `${FILE}.old`, origin: '/x', readOnly: true }], ['write-file']],
])('%s', (_, more, steps) => {
  const { plan } = planned(seenIn({ '000-net.conflist': plain }, ...more), 'capability-missing');
  expect(plan?.steps.map((step) => (step.on === 'node' ? `${step.action.do}` : ''))).toStrictEqual(steps);
  expect(plan?.left === undefined).toBe(steps.length > 0);
});

test('a list that is not there yet is written beside files that are mounted', () => {
  const report = seenIn(
    { '05-net.conf': JSON.stringify({ name: 'net', type: 'bridge' }) },
    { path: '/etc/cni/net.d/05-net.conf', origin: '/x', readOnly: true },
  );
  const { plan } = planned(report, 'portmap-not-chained');
  expect(plan?.steps.map((step) => step.on === 'node' && step.action)).toStrictEqual([
    {
      do: 'write-file',
      path: '/etc/cni/net.d/05-net-portmap.conflist',
      content: expect.stringContaining('portmap'),
      mode: '0600',
    },
  ]);
});

test.each<[string, Partial<MountSeen>[], boolean]>([
  ['the name of one that is mounted can be replaced nowhere', [{ path: '/opt/cni/bin/portmap' }], false],
  ['a directory that can be written takes one', [{ path: '/opt/cni/bin', origin: '/x' }], true],
  ['one that cannot takes none', [{ path: '/opt/cni/bin', origin: '/x', readOnly: true }], false],
])('a plugin: %s', (_, more, installed) => {
  const report = seenIn({ '000-net.conflist': listOf(CHAINED) }, ...more);
  const [cilium, portmap] = (report.cni.plugins as { value: { name: string }[] }).value;
  const withOld = {
    ...report,
    cni: { ...report.cni, plugins: { value: [cilium!, { ...portmap!, versions: { value: ['0.1.0'] } }] } },
  } as typeof report;
  const { plan } = planned(withOld, 'plugin-too-old');
  expect(plan?.steps.length).toBe(installed ? 1 : 0);
});

test('a mounted file that chains portmap and comes too late is copied before the other, for it keeps its name', () => {
  const late = '/etc/cni/net.d/10-net.conflist';
  const files = { '05-plain.conflist': listOf([{ type: 'cilium-cni' }]), '10-net.conflist': listOf(CHAINED) };
  const { plan } = planned(seenIn(files, { path: late, origin: '/x', readOnly: true }), 'conflist-shadowed');
  expect(plan?.steps.map((step) => step.on === 'node' && step.action)).toStrictEqual([
    { do: 'write-file', path: '/etc/cni/net.d/00-10-net.conflist', content: listOf(CHAINED), mode: '0600' },
  ]);
});

test("an operator's list that comes too late is copied before the other, for it would be written again under its name", () => {
  const late = listOf([{ type: 'calico' }, CHAINED[1]!]);
  const report = seenIn({ '05-plain.conflist': listOf([{ type: 'calico' }]), '10-calico.conflist': late });
  const { plan } = planned(report, 'conflist-shadowed');
  expect(plan?.steps.map((step) => step.on === 'node' && step.action)).toStrictEqual([
    {
      do: 'write-file',
      path: '/etc/cni/net.d/00-10-calico.conflist',
      content: late,
      mode: '0600',
    },
  ]);
  expect(plan?.steps[0]?.why).toBe(
    'put a copy of 10-calico.conflist, which calico-node writes, before 05-plain.conflist',
  );
});

test('a runtime that missed a mounted file notices one that comes and goes beside it', () => {
  const report = cniNode(
    { '000-net.conflist': listOf(CHAINED) },
    {
      cni: { mounts: { value: mounts({ path: FILE, readOnly: true }) } },
      loaded: listOf([{ type: 'cilium-cni' }]),
    },
  );
  const { plan } = planned(report, 'conflist-not-loaded');
  expect(plan?.steps.map((step) => step.on === 'node' && step.action)).toStrictEqual([
    { do: 'rewrite-file', path: FILE },
  ]);
});

describe('a directory that Cilium’s agent may watch', () => {
  const CILIUM = '05-cilium.conflist';
  const undeclared = listOf([{ type: 'cilium-cni' }, { type: 'portmap' }]);
  const kinds = (plan: ReturnType<typeof planned>['plan']) =>
    plan?.steps.map((step) => (step.on === 'node' ? `${step.action.do}` : ''));

  test('is not written to, since that is undone at once, and the finding says what to set', () => {
    const { finding, plan } = planned(seenIn({ [CILIUM]: undeclared }), 'capability-missing');
    expect(plan?.steps).toStrictEqual([]);
    expect(finding?.command).toBeUndefined();
    expect(finding?.remedy).toBe(
      "Cilium's agent may watch /etc/cni/net.d of n1 and rename other files there at once: set cni.exclusive=false in Cilium, restart its agents and then " +
        'declare the capability in 05-cilium.conflist in a list that comes before 05-cilium.conflist, which hostport heal --only capability-missing does',
    );
  });

  test('is written to by whoever names the failure, with what Cilium must be set to', () => {
    const world = smallWorld([podOn('n1', 'a', 80)], {
      reports: new Map([['n1', { value: seenIn({ [CILIUM]: undeclared }) }]]),
    });
    const [plan] = planHeal(diagnose(world), { restart: false, codes: ['capability-missing'] });
    expect(kinds(plan)).toStrictEqual(['write-file']);
    expect(plan!.steps[0]!.why).toContain('set cni.exclusive=false');
  });

  test('nor to chain portmap, which Cilium can do itself', () => {
    const { finding, plan } = planned(
      seenIn({ [CILIUM]: listOf([{ type: 'bridge' }]) }),
      'portmap-not-chained',
    );
    expect(plan).toMatchObject({ steps: [], left: { to: 'hand', why: finding!.remedy } });
    expect(finding?.remedy).toContain(
      'set cni.chainingMode=portmap, so that Cilium chains portmap itself, or ',
    );
  });

  const single = JSON.stringify({ name: 'net', type: 'bridge' });
  test.each<[string, Record<string, string>, string, string[]]>([
    [
      'where Cilium leaves others beside its own',
      { [CILIUM]: undeclared, '10-x.conf': '{}' },
      'capability-missing',
      ['write-file'],
    ],
    [
      'not where it has put others aside',
      { [CILIUM]: undeclared, '10-x.conf.cilium_bak': '{}' },
      'capability-missing',
      [],
    ],
    ['where Cilium is older than 1.14', { '05-cilium.conf': single }, 'portmap-not-chained', ['write-file']],
    [
      'where somebody else has the only file',
      { '10-calico.conflist': undeclared },
      'capability-missing',
      ['write-file'],
    ],
  ])('is written to %s', (_, files, code, steps) => {
    expect(kinds(planned(seenIn(files), code).plan)).toStrictEqual(steps);
  });

  test('is no obstacle to what is done elsewhere, or changes nothing in it', () => {
    const report = seenIn({ [CILIUM]: listOf(CHAINED) });
    const plugins = (report.cni.plugins as { value: { name: string; versions?: unknown }[] }).value;
    plugins[1]!.versions = { value: ['0.1.0'] };
    expect(kinds(planned(report, 'plugin-too-old').plan)).toStrictEqual(['install-plugin']);
    const missed = cniNode({ [CILIUM]: listOf(CHAINED) }, { loaded: listOf([{ type: 'cilium-cni' }]) });
    expect(kinds(planned(missed, 'conflist-not-loaded').plan)).toStrictEqual(['rewrite-file']);
  });
});

/** What becomes of a step on n1, whose report this is: undefined where it is done. */
function obstacleOf(report: NodeReport, step: HealStep, asked = false): string | undefined {
  const scene = new Scene(smallWorld([], { reports: new Map([['n1', { value: report }]]) }));
  const steps = [step];
  const failure = failureOn(() => [], {
    code: 'x',
    stage: 'configured',
    heal: () => ({ by: 'steps', steps }),
  });
  const detection = { subject: { node: 'n1' }, message: words('', {}), evidence: [], data: null };
  const { heal, obstacle } = possibleHeal(failure, detection, scene, asked);
  expect(heal).toStrictEqual(
    obstacle === undefined ? { by: 'steps', steps } : { by: 'hand', why: obstacle.why },
  );
  return obstacle?.why;
}

const stepOf = (action: NodeAction, node = 'n1'): HealStep => ({
  on: 'node',
  node,
  why: 'change it',
  action,
});
const writeTo = (path: string): NodeAction => ({ do: 'write-file', path, content: '' });
const DIR = '/etc/cni/net.d';
const BIN = '/opt/cni/bin';

describe('a step that changes', () => {
  const outside = (path: string, readOnly: boolean) => ({ path, origin: `/x${path}`, readOnly });
  const rest = 'there; then run hostport heal for the rest';
  const inPlace =
    'there, in place, since a file that replaces it there is not visible here; then run hostport heal for the rest';

  test.each<[string, NodeAction, Partial<MountSeen>[], string | undefined]>([
    ['a file of its node', writeTo(FILE), [], undefined],
    [
      'a file in a directory that is mounted',
      writeTo(FILE),
      [outside(DIR, true)],
      `${FILE} of n1 is mounted from outside, read-only (/x${FILE} of /dev/sda1): change it ${rest}`,
    ],
    ['a file in one that can be written', writeTo(FILE), [outside(DIR, false)], undefined],
    ['a file that is mounted and can be written', writeTo(FILE), [outside(FILE, false)], undefined],
    [
      'a file on a root that is read-only',
      writeTo(FILE),
      [{ ...outside(DIR, true), point: '/' }],
      `${FILE} of n1 is on a read-only root file system (/x${FILE} of /dev/sda1): change it where that file system is built`,
    ],
    [
      'the mode of one that is mounted',
      { do: 'set-mode', path: FILE, mode: '0644' },
      [outside(FILE, true)],
      `${FILE} of n1 is mounted from outside, read-only (/x${FILE} of /dev/sda1): chmod 0644 it ${inPlace}`,
    ],
    [
      'the mode of one that can be written',
      { do: 'set-mode', path: FILE, mode: '0644' },
      [outside(FILE, false)],
      undefined,
    ],
    [
      'the name of one that is mounted',
      { do: 'rename-file', from: FILE, to: `${DIR}/b` },
      [outside(FILE, false)],
      `${FILE} of n1 is mounted from outside (/x${FILE} of /dev/sda1): change it ${inPlace}`,
    ],
    [
      'a name to that of one that is mounted',
      { do: 'rename-file', from: `${DIR}/b`, to: FILE },
      [outside(FILE, false)],
      `${FILE} of n1 is mounted from outside (/x${FILE} of /dev/sda1): change it ${inPlace}`,
    ],
    [
      'a name in a directory that can be written',
      { do: 'rename-file', from: FILE, to: `${DIR}/b` },
      [outside(DIR, false)],
      undefined,
    ],
    [
      'a plugin in a directory that cannot be',
      { do: 'install-plugin', name: 'portmap', directory: BIN },
      [outside(BIN, true)],
      `${BIN}/portmap of n1 is mounted from outside, read-only (/x${BIN}/portmap of /dev/sda1): put portmap ${rest}`,
    ],
    [
      'a plugin that is mounted',
      { do: 'install-plugin', name: 'portmap', directory: BIN },
      [outside(`${BIN}/portmap`, false)],
      `${BIN}/portmap of n1 is mounted from outside (/x${BIN}/portmap of /dev/sda1): put portmap ${inPlace}`,
    ],
    [
      'nothing but the time of a file, in a directory that cannot be written',
      { do: 'rewrite-file', path: FILE },
      [outside(DIR, true)],
      `${DIR}/ of n1 is mounted from outside, read-only (/x${DIR}/ of /dev/sda1): write the file again ${rest}`,
    ],
    [
      'nothing but the time of one that is mounted',
      { do: 'rewrite-file', path: FILE },
      [outside(FILE, true)],
      undefined,
    ],
    [
      'no file',
      { do: 'set-sysctl', name: 'a', value: '1' },
      [outside(DIR, true), outside(BIN, true)],
      undefined,
    ],
    ['a file elsewhere', writeTo('/srv/x'), [outside(DIR, true), outside(BIN, true)], undefined],
  ])('%s', (_, action, mounted, why) => {
    const report = seenIn({ '000-net.conflist': plain }, ...mounted);
    expect(obstacleOf(report, stepOf(action))).toBe(why);
    expect(obstacleOf(cniNode({}), stepOf(action))).toBeUndefined();
  });

  test('another node has no obstacle here', () => {
    const report = seenIn({ '000-net.conflist': plain }, outside(DIR, true));
    expect(obstacleOf(report, stepOf(writeTo(FILE), 'n2'))).toBeUndefined();
    expect(obstacleOf(report, stepOf(writeTo(FILE), 'n9'))).toBeUndefined();
  });

  test('the cluster has none', () => {
    const report = seenIn({ '05-cilium.conflist': plain }, outside(DIR, true));
    const action = { do: 'delete-pod', namespace: 'default', name: 'a', uid: 'u' } as const;
    expect(obstacleOf(report, { on: 'cluster', why: 'so', action })).toBeUndefined();
  });
});

test('a file is a mount of its own when it is mounted itself', () => {
  const report = seenIn({}, { path: FILE, readOnly: true });
  const node = new Scene(smallWorld([], { reports: new Map([['n1', { value: report }]]) })).nodes.get('n1')!;
  expect([FILE, `${DIR}/b`, '/srv/x'].map((path) => isMountOfItsOwn(node, path))).toStrictEqual([
    true,
    false,
    false,
  ]);
});

describe('a list that continues in files of its own', () => {
  const files = { value: ['20-a.conf', '30-b.conf'].map((name) => confFile(name, '{"type":"a"}')) };
  const report = cniNode(
    { '10-net.conflist': plain, '20-other.conflist': plain },
    { cni: { dropIns: [{ network: 'net', files }] }, loaded: plain, version: '2.1.0' },
  );
  const LIST = `${DIR}/10-net.conflist`;

  test.each<[string, NodeReport, NodeAction, string | undefined]>([
    [
      'is not written, since the fault may be in any of them',
      report,
      writeTo(LIST),
      `the chain of 10-net.conflist continues in ${DIR}/net/20-a.conf, ${DIR}/net/30-b.conf: change it, in whichever of these files it belongs`,
    ],
    ['may get another name', report, { do: 'rename-file', from: LIST, to: `${DIR}/b` }, undefined],
    ['is no obstacle to another', report, writeTo(`${DIR}/20-other.conflist`), undefined],
    [
      'is written where there are no such files',
      cniNode({ '10-net.conflist': plain }),
      writeTo(LIST),
      undefined,
    ],
    ['is not there, and is written', cniNode({}), writeTo(LIST), undefined],
  ])('%s', (_, seen, action, why) => {
    expect(obstacleOf(seen, stepOf(action))).toBe(why);
    expect(obstacleOf(seen, stepOf(action), true)).toBe(why);
  });
});

describe('what an agent that may watch would undo', () => {
  const CILIUM = '05-cilium.conflist';
  const bridge = listOf([{ type: 'bridge' }]);
  const rename: NodeAction = { do: 'rename-file', from: `${DIR}/a`, to: `${DIR}/b` };

  test.each<[string, string, NodeAction, string | undefined]>([
    [
      'a list',
      bridge,
      writeTo(`${DIR}/x`),
      `Cilium's agent may watch ${DIR} of n1 and rename other files there at once: set cni.chainingMode=portmap, so that Cilium chains portmap itself, or cni.exclusive=false in Cilium, restart its agents and then change it in a list that comes before ${CILIUM}, which hostport heal --only x does`,
    ],
    [
      'a name, where portmap is chained',
      listOf(CHAINED),
      rename,
      `Cilium's agent may watch ${DIR} of n1 and rename other files there at once: set cni.exclusive=false in Cilium, restart its agents and then mv ${DIR}/a ${DIR}/b, which hostport heal --only x does`,
    ],
    ['not a mode', bridge, { do: 'set-mode', path: `${DIR}/x`, mode: '0644' }, undefined],
  ])('%s', (_, list, action, why) => {
    expect(obstacleOf(cniNode({ [CILIUM]: list }), stepOf(action))).toBe(why);
    // Who names the failure knows what the agent does.
    expect(obstacleOf(cniNode({ [CILIUM]: list }), stepOf(action), true)).toBeUndefined();
    expect(obstacleOf(cniNode({ '06-cilium.conflist': list }), stepOf(action))).toBeUndefined();
  });
});

describe('how a case without an obstacle is fixed', () => {
  const steps = [stepOf(writeTo(`${DIR}/10-aws.conflist`))];
  const scene = new Scene(
    smallWorld([], { reports: new Map([['n1', { value: cniNode({ '10-aws.conflist': plain }) }]]) }),
  );
  const healed = (heal: Heal, subject = { node: 'n1' }) =>
    possibleHeal(
      failureOn(() => [], { code: 'x', stage: 'configured', heal: () => heal }),
      { subject, message: words('', {}), evidence: [], data: null },
      scene,
    );

  test('by hand stays by hand', () => {
    expect(healed({ by: 'hand', why: 'so' })).toStrictEqual({ heal: { by: 'hand', why: 'so' } });
  });

  test("an operator's list is written beside it, with a restart, too", () => {
    const { heal, obstacle } = healed({ by: 'restart', why: 'so', steps });
    expect(obstacle).toBeUndefined();
    expect(heal).toMatchObject({
      by: 'restart',
      why: 'so',
      steps: [{ action: { path: `${DIR}/10-aws-portmap.conflist` } }],
    });
  });

  test('of another node has its steps as they are', () => {
    expect(healed({ by: 'steps', steps }, { node: 'n9' })).toStrictEqual({ heal: { by: 'steps', steps } });
  });
});
