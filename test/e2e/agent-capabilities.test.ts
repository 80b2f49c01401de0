/** Each capability of the agent is needed: what the agent does with it works in its container, and no longer when that one is removed. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { AGENT_CAPABILITIES, type AgentMode } from '../../src/agent/manifests.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing } from './lab.ts';

const missing = labMissing();
const NODE = 'agent-needs-control-plane';
/** Files on the node that belong to somebody else, who alone may read one. */
const FOREIGN = '/etc/cni/net.d/foreign';

/** What an agent does by each capability, as far as a shell can. */
const USES: readonly (readonly [AgentMode, capability: string, script: string])[] = [
  ['observe', 'NET_ADMIN', 'nft list ruleset'],
  ['observe', 'NET_RAW', 'iptables-legacy-save -t nat'],
  ['observe', 'DAC_READ_SEARCH', `cat ${FOREIGN}/secret`],
  ['heal', 'NET_ADMIN', 'nft list ruleset'],
  ['heal', 'NET_RAW', 'iptables-legacy-save -t nat'],
  ['heal', 'DAC_OVERRIDE', `cat ${FOREIGN}/secret && touch ${FOREIGN}/new`],
  ['heal', 'FOWNER', `chmod 0600 ${FOREIGN}/secret`],
  ['heal', 'SYS_ADMIN', 'echo 1 > /proc/sys/net/ipv4/ip_forward'],
];

test('each capability has its use', () => {
  const all = AGENT_CAPABILITIES.flatMap(({ name, modes }) => modes.map((mode) => `${mode} ${name}`));
  expect(USES.map(([mode, name]) => `${mode} ${name}`).toSorted()).toEqual(all.toSorted());
});

describe.skipIf(missing !== undefined)(`the agent needs${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('agent-needs');
  beforeAll(async () => {
    await lab.must('create', 'cluster', '--name', lab.name);
    const prepare = [`mkdir ${FOREIGN}`, `echo x > ${FOREIGN}/secret`, `chmod 0600 ${FOREIGN}/secret`];
    const words = ['sh', '-c', [...prepare, `chown -R nobody ${FOREIGN}`].join(' && ')];
    expect(await lab.askNode(NODE, ...words)).toMatchObject({ code: 0 });
  }, 120_000);
  afterAll(() => lab.delete(), 60_000);

  const kubectl = (...words: string[]) => lab.mustKubectl('-n', 'kube-system', ...words);

  async function inAgent(script: string): Promise<number> {
    const labelled = ['-l', 'app.kubernetes.io/name=hostport-agent'];
    const name = (await kubectl('get', 'pods', ...labelled, '-o', 'name')).trim();
    return (await lab.kubectl(['-n', 'kube-system', 'exec', name, '--', 'sh', '-c', script])).code;
  }

  describe.each(['observe', 'heal'] as const)('to %s', (mode) => {
    const uses = USES.filter(([of]) => of === mode);
    const all = uses.map(([, name]) => name);

    test('all of its capabilities, and no others', async () => {
      await lab.must('agent', 'install', '--name', lab.name, `--${mode}`);
      for (const [, name, script] of uses) expect([name, await inAgent(script)]).toEqual([name, 0]);
    }, 60_000);

    test.each(uses)(
      '%s: %s',
      async (_, name, script) => {
        const path = '/spec/template/spec/containers/0/securityContext/capabilities/add';
        const patch = [{ op: 'replace', path, value: all.filter((other) => other !== name) }];
        await kubectl('patch', 'daemonset', 'hostport-agent', '--type=json', '-p', JSON.stringify(patch));
        await kubectl('rollout', 'status', 'daemonset/hostport-agent', '--timeout=60s');
        const isAlone = async () =>
          (await kubectl('get', 'pods', '-o', 'name')).trim().split('\n').length === 1;
        await eventually('the pod before it to be gone', isAlone);
        expect(await inAgent(script)).not.toBe(0);
      },
      90_000,
    );
  });
});
