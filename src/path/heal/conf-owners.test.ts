import { describe, expect, test } from 'bun:test';
import type { HealStep } from '../model/action.ts';
import { CHAINED, cniNode, listOf } from '../testing/cni-node.ts';
import { NodeView } from '../view/node-view.ts';
import { besideOwners, fileOwner, mayBeWatchedByCilium } from './conf-owners.ts';

const DIR = '/etc/cni/net.d';
const nodeWith = (name: string, content = listOf(CHAINED)) =>
  new NodeView('n1', { value: cniNode({ [name]: content }) });

const write = (path: string): HealStep => ({
  on: 'node',
  node: 'n1',
  why: 'declare it',
  action: { do: 'write-file', path, content: '{}' },
});
const attach = (config: string): HealStep => ({
  on: 'node',
  node: 'n1',
  why: 'attach it',
  action: { do: 'attach', sandbox: 's', config, plugin: 'portmap' },
});

describe('the owner of a configuration', () => {
  const OWNERS: readonly [string, string][] = [
    ['05-cilium.conf', "Cilium's agent"],
    ['05-cilium.conflist', "Cilium's agent"],
    ['10-aws.conflist', 'aws-node'],
    ['10-calico.conflist', 'calico-node'],
    ['10-canal.conflist', 'canal'],
    ['10-flannel.conflist', "flannel's DaemonSet"],
    ['10-kindnet.conflist', 'kindnetd'],
    ['10-antrea.conflist', "Antrea's agent"],
    ['10-weave.conflist', 'Weave Net'],
    ['10-azure.conflist', "Azure's CNI manager"],
    ['01-ovn-kubernetes.conf', 'ovnkube-node'],
    ['01-ovn-kubernetes.conflist', 'ovnkube-node'],
    ['00-kube-ovn.conflist', "Kube-OVN's CNI server"],
  ];

  test.each(OWNERS)('of %s is %s', (name, owner) => {
    expect(fileOwner(name)?.name).toBe(owner);
    expect(fileOwner(`a${name}`)).toBeUndefined();
    expect(fileOwner(`${name}a`)).toBeUndefined();
  });

  test('of another is not known', () => {
    expect(fileOwner('10-net.conflist')).toBeUndefined();
  });
});

describe('a directory may be watched by Cilium', () => {
  test.each<[string, string[] | undefined, boolean]>([
    ["with Cilium's own file alone", ['05-cilium.conflist'], true],
    ['with another beside it', ['05-cilium.conflist', '10-x.conflist'], false],
    ['with another alone', ['10-x.conflist'], false],
    ['that is empty', [], false],
    ['that is not known', undefined, false],
  ])('%s: %p', (_, names, watched) => {
    const files = Object.fromEntries((names ?? []).map((name) => [name, listOf(CHAINED)]));
    const cni = names === undefined ? { files: { unknown: 'EACCES' } } : {};
    expect(mayBeWatchedByCilium(new NodeView('n1', { value: cniNode(files, { cni }) }))).toBe(watched);
  });
});

describe('an agent of Cilium that runs', () => {
  const OWN = '05-cilium.conflist';
  test.each<[string, boolean[], string[], boolean]>([
    ['watches, with its own file alone', [true], [OWN], true],
    ['watches, with another file beside it', [true], [OWN, '000-x.conflist'], true],
    ['does not watch', [false], [OWN], false],
    ['is replaced by one that watches', [false, true], [OWN], true],
  ])('%s', (_, agents, names, watched) => {
    const files = Object.fromEntries(names.map((name) => [name, listOf(CHAINED)]));
    const ciliumAgents = { value: agents.map((watches, i) => ({ pid: i + 1, watches })) };
    const node = new NodeView('n1', { value: cniNode(files, { cni: { ciliumAgents } }) });
    expect(mayBeWatchedByCilium(node)).toBe(watched);
    const [step] = besideOwners([write(`${DIR}/${OWN}`)], node);
    if (names.length === 1) expect(step!.why.includes('set cni.exclusive=false')).toBe(watched);
  });
});

describe('a list in use that is written', () => {
  test.each<[string, string, string]>([
    ['by Cilium', '05-cilium.conflist', '05-cilium-portmap.conflist'],
    ['by the AWS plugin', '10-aws.conflist', '10-aws-portmap.conflist'],
    ['by Calico', '10-calico.conflist', '10-calico-portmap.conflist'],
    ['by nobody who is known', '000-cilium-portmap.conflist', '000-cilium-portmap.conflist'],
    ['by somebody, under a longer name', '10-aws.conflist-old.conflist', '10-aws.conflist-old.conflist'],
  ])('%s', (_, name, written) => {
    const steps = besideOwners([write(`${DIR}/${name}`), attach(`${DIR}/${name}`)], nodeWith(name));
    // What goes by the list in use goes by the one that is in use then.
    expect(steps.map((step) => step.on === 'node' && step.action)).toStrictEqual([
      // What is in an operator's list may be for root alone; in place a file keeps its mode.
      {
        do: 'write-file',
        path: `${DIR}/${written}`,
        content: '{}',
        ...(name === written ? {} : { mode: '0600' }),
      },
      { do: 'attach', sandbox: 's', config: `${DIR}/${written}`, plugin: 'portmap' },
    ]);
    expect(steps[0]!.why.includes('so hostport writes a list that comes before it')).toBe(name !== written);
  });
});

test("what Cilium's agent does to other files is said, also where ours is new anyway", () => {
  const single = JSON.stringify({ name: 'net', type: 'cilium-cni' });
  const [step] = besideOwners(
    [write(`${DIR}/05-cilium-portmap.conflist`)],
    nodeWith('05-cilium.conf', single),
  );
  expect(step!.why).toBe(
    "declare it (05-cilium.conf is written by Cilium's agent, so hostport writes a list that comes before it; " +
      "Cilium's agent renames this file unless you set cni.exclusive=false in Cilium)",
  );
});

test('what an agent does to no other file is not said', () => {
  const [step] = besideOwners([write(`${DIR}/10-aws.conflist`)], nodeWith('10-aws.conflist'));
  expect(step!.why).toBe(
    'declare it (10-aws.conflist is written by aws-node, so hostport writes a list that comes before it)',
  );
});

test('steps for anything but the list stay as they are beside one that writes it', () => {
  const AWS = `${DIR}/10-aws.conflist`;
  const mode: HealStep = {
    ...(write(AWS) as HealStep & { on: 'node' }),
    action: { do: 'set-mode', path: AWS, mode: '0644' },
  };
  const restart: HealStep = {
    on: 'cluster',
    why: 'so',
    action: { do: 'delete-pod', namespace: 'default', name: 'a', uid: 'u' },
  };
  const others = [mode, restart, write('/opt/x'), attach(`${DIR}/20-other.conflist`)];
  const steps = besideOwners([...others, write(AWS)], nodeWith('10-aws.conflist'));
  expect(steps.slice(0, -1)).toStrictEqual(others);
  expect(besideOwners([mode, restart, attach(AWS)], nodeWith('10-aws.conflist'))).toStrictEqual([
    mode,
    restart,
    attach(AWS),
  ]);
});

test.each<[string, HealStep[], NodeView]>([
  ['attachments alone', [attach(`${DIR}/10-aws.conflist`)], nodeWith('10-aws.conflist')],
  ['a file that is broken', [write(`${DIR}/10-aws.conflist`)], nodeWith('10-aws.conflist', '{')],
  ['another file', [write('/opt/x')], nodeWith('10-aws.conflist')],
  [
    'a list of a node without any',
    [write(`${DIR}/10-aws.conflist`)],
    new NodeView('n1', { value: cniNode({}) }),
  ],
])('%s: as they are', (_, steps, node) => {
  expect(besideOwners(steps, node)).toStrictEqual(steps);
});
