/** A configuration that a report does not show: the stage is unknown for what the runtime may read all the same, broken for what it cannot. */
import { expect, test } from 'bun:test';
import { diagnose } from '../diagnose/diagnose.ts';
import { planHeal } from '../heal/plan.ts';
import type { CniConfFile } from '../model/node-report.ts';
import { cniNode, confFile, listOf } from '../testing/cni-node.ts';
import { podOn, smallWorld } from '../testing/small-world.ts';

function diagnosed(first: Partial<CniConfFile>, dropIns?: CniConfFile[]) {
  const behind = confFile('10-behind.conflist', listOf([{ type: 'cilium-cni' }]));
  const report = cniNode(
    {},
    {
      cni: {
        files: { value: [{ ...confFile('00-first.conflist', ''), ...first }, behind] },
        ...(dropIns && { dropIns: [{ network: 'net', files: { value: dropIns } }] }),
      },
      loaded: listOf([{ type: 'cilium-cni' }, { type: 'portmap', capabilities: { portMappings: true } }]),
      version: '2.1.0',
    },
  );
  const outcome = diagnose(
    smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) }),
  );
  planHeal(outcome, { restart: true });
  const { paths, findings } = outcome.diagnosis;
  return {
    configured: paths[0]!.stages.configured,
    codes: findings.filter(({ stage }) => stage === 'configured').map(({ code }) => code),
    findings,
  };
}

const LINK =
  '/etc/cni/net.d/00-first.conflist: a link that leads out of its directory, to /srv/x.conflist: not followed';

test('a link that leads out of the directory leaves the stage unknown, with the link and its target', () => {
  const { configured, codes } = diagnosed({ target: '/srv/x.conflist', content: { unknown: LINK } });
  expect(configured).toEqual({ verdict: 'unknown', codes: [], reason: LINK });
  expect(codes).toEqual([]);
});

test.each([
  ['too many plugins', 10_000],
  ['a hundred thousand', 100_000],
])('a list with %s leaves the stage unknown, at once', (_, count) => {
  const plugins = Array.from({ length: count }, (_, i) => ({ type: `p${i}` }));
  const { configured, codes } = diagnosed({ content: { value: listOf(plugins) } });
  expect(configured).toEqual({
    verdict: 'unknown',
    codes: [],
    reason: `00-first.conflist: ${count} plugins, more than 100`,
  });
  expect(codes).toEqual([]);
});

test.each([
  ['lists', '[', ']'],
  ['objects', '{"a":', '}'],
])('%s that are nested 40,000 deep leave the stage unknown, at once', (_, open, close) => {
  const deep = `{"name":"net","plugins":[{"type":"a","x":${open.repeat(40_000)}1${close.repeat(40_000)}}]}`;
  const { configured, codes } = diagnosed({ content: { value: deep } });
  expect(configured).toMatchObject({ verdict: 'unknown', reason: expect.stringContaining('nested deeper') });
  expect(codes).toEqual([]);
});

const LAST = listOf([{ type: 'cilium-cni' }]);
const BROKEN = '00-first.conflist: not JSON: line 1, column 1: expected a value (46 bytes of YAML-like text)';

test('what the report says is no configuration is broken, and described as evidence', () => {
  const { findings } = diagnosed({ content: { unknown: BROKEN }, broken: true });
  expect(findings.find(({ code }) => code === 'conflist-invalid')).toMatchObject({
    message: expect.stringContaining(BROKEN),
    evidence: expect.arrayContaining([
      { kind: 'file', where: '/etc/cni/net.d/00-first.conflist', saw: BROKEN },
    ]),
  });
});

test.each<[string, string, string | undefined]>([
  ['the list that it was', LAST, LAST],
  ['a description', '(46 bytes of YAML-like text)', undefined],
  ['nothing', '', undefined],
])('a broken list is written as the runtime remembers it, which is %s', (_, config, written) => {
  const report = cniNode(
    {},
    {
      cni: {
        files: {
          value: [{ ...confFile('00-first.conflist', ''), content: { unknown: BROKEN }, broken: true }],
        },
      },
    },
  );
  const attachment = {
    file: '/var/lib/cni/results/net-c-eth0',
    modified: '2026-01-01T00:00:00Z',
    networkName: 'net',
    containerId: 'c',
    ifName: 'eth0',
    portMappings: [],
    result: {},
    config,
  };
  const sandbox = {
    id: 'c',
    name: 'a',
    namespace: 'default',
    uid: 'uid-a',
    attempt: 0,
    ready: true,
    createdAt: '2026-01-01T00:00:00Z',
    hostNetwork: false,
    netnsExists: true,
    ips: [],
    portMappings: [],
  };
  report.cni.attachments = { value: [attachment] };
  report.sandboxes = { value: [sandbox] };
  const world = smallWorld([podOn('n1', 'a', 80)], { reports: new Map([['n1', { value: report }]]) });
  const planned = planHeal(diagnose(world), { restart: true }).find(
    ({ finding }) => finding.code === 'conflist-invalid',
  )!;
  const contents = planned.steps.flatMap((step) =>
    step.on === 'node' && step.action.do === 'write-file' ? [step.action.content] : [],
  );
  expect(contents).toEqual(written === undefined ? [] : [written]);
});

test('a drop-in file that is no configuration breaks its list', () => {
  const dropIn = {
    ...confFile('20-a.conf', ''),
    content: { unknown: '20-a.conf: cut' },
    broken: true as const,
  };
  const { findings } = diagnosed({ content: { value: listOf([{ type: 'cilium-cni' }]) } }, [dropIn]);
  expect(findings.find(({ code }) => code === 'conflist-invalid')?.message).toContain('net/20-a.conf: cut');
});
