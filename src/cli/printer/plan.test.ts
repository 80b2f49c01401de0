import { expect, test } from 'bun:test';
import type { PlannedHeal } from '../../path/heal/plan.ts';
import type { HealStep, NodeAction } from '../../path/model/action.ts';
import type { Finding } from '../../path/model/finding.ts';
import { layoutOf, WIDE } from './layout.ts';
import { renderFurtherRound, renderHealed, renderPlan } from './plan.ts';
import { columns } from './wrap.ts';

const finding = (node: string, code = 'ip-forward-off') => ({ code, subject: { node } }) as Finding;
const step = (node: string, action: NodeAction, why = `let ${node} forward`): HealStep => ({
  on: 'node',
  node,
  why,
  action,
});
const sysctl = { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' } as const;
const planned = (node: string, ...steps: HealStep[]): PlannedHeal =>
  ({ finding: finding(node), steps }) as unknown as PlannedHeal;

test('a plan has its commands on lines of their own, and what is no command as a comment', () => {
  const plan = [
    planned(
      'n1',
      step('n1', sysctl),
      step('n1', { do: 'write-file', path: '/etc/a', content: '' }, 'write it'),
      step(
        'n1',
        {
          ...{ do: 'iptables', variant: 'iptables-nft', family: 'ipv4', table: 'nat' },
          commands: [
            ['-F', 'X'],
            ['-A', 'Y', '-m', 'comment', '--comment', "it's $1"],
          ],
        },
        'flush it',
      ),
      {
        on: 'cluster',
        why: 'recreate it',
        action: { do: 'delete-pod', namespace: 'web', name: 'a', uid: 'u' },
      },
    ),
  ];
  expect(
    renderPlan(plan, 'hostport', '', layoutOf({ isTTY: true }, { NO_COLOR: '1' })),
  ).toBe(`ip-forward-off  node n1
  - let n1 forward
      # on n1:
      sysctl -w net.ipv4.ip_forward=1
  - write it
      # on n1: write /etc/a
  - flush it
      # on n1:
      iptables-nft -t nat -F X
      iptables-nft -t nat -A Y -m comment --comment 'it'\\''s $1'
  - recreate it
      kubectl -n web delete pod a
`);
});

test('the commands of a plan do in a shell what they say, whatever is in their words', () => {
  const nasty = ['/a b/\'$(x)`y`"', '/e\u001b[2J\u202etab\t', '/\\back~!*?', "/it's \u0007 \\ a b"];
  for (const path of nasty) {
    const text = renderPlan(
      [planned('n1', step('n1', { do: 'rename-file', from: path, to: `${path} ${'long '.repeat(40)}x` }))],
      'hostport',
      '',
      layoutOf({ isTTY: true }, { NO_COLOR: '1' }),
    );
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    const script = text.split('\n').slice(2).join('\n').replace('mv ', 'printf "%s\\0" ');
    const ran = Bun.spawnSync(['bash', '-c', script]);
    expect(ran.stdout.toString()).toBe(`${path}\0${path} ${'long '.repeat(40)}x\0`);
  }
});

test('what is the same on many nodes is planned once, and named in ranges', () => {
  const nodes = Array.from({ length: 300 }, (_, i) => `worker-${i + 1}`);
  const plan = nodes.map((node) => planned(node, step(node, sysctl)));
  const layout = layoutOf({ isTTY: true, columns: 72 }, { NO_COLOR: '1' });
  const text = renderPlan(plan, 'hostport', '', layout);
  expect(text).toBe(`ip-forward-off  nodes worker-[1-300]
  - let each of them forward
      # on worker-[1-300]:
      sysctl -w net.ipv4.ip_forward=1
`);
  expect(renderPlan(plan, 'hostport', '', WIDE).split('\n')).toHaveLength(300 * 4 + 1);
  const healed = nodes.map((node, i) => ({
    finding: finding(node),
    ...{ steps: [], round: 1 },
    ...(i === 0
      ? { outcome: 'failed' as const, reason: `${node} did not answer` }
      : { outcome: 'healed' as const }),
  }));
  const report = renderHealed(healed, layout);
  expect(report).toBe(`✗ ip-forward-off  node worker-1: failed: worker-1 did not answer
✓ ip-forward-off  nodes worker-[2-300]: healed
`);
  expect(`${text}${report}`.split('\n').filter((line) => columns(line) > 72)).toEqual([]);
});

test('what differs is not planned together', () => {
  const other = { ...sysctl, name: 'net.ipv4.conf.eth0.forwarding' };
  const plan = [planned('n1', step('n1', sysctl)), planned('n2', step('n2', other, 'let n2 forward'))];
  expect(
    renderPlan(plan, 'hostport', '', layoutOf({ isTTY: true }, { NO_COLOR: '1' })).match(/^ip-forward-off/gm),
  ).toHaveLength(2);
});

test.each<[string, NodeAction['do'], string[], string]>([
  ['sets something else', 'set-sysctl', [], ''],
  ['changes the chain', 'write-file', [], 'A further round follows where pods were created before'],
  ['renames the list', 'rename-file', [], 'A further round follows where pods were created before'],
  [
    'is of both kinds',
    'write-file',
    ['portmap-not-chained', 'pod-predates-chain'],
    'A further round follows',
  ],
  [
    'is of one kind alone',
    'write-file',
    ['portmap-not-chained'],
    'Pods that were created before keep lacking their mappings: hp heal --name x --only pod-predates-chain adds them afterwards.',
  ],
])('what follows on a plan that %s', (_, action, codes, said) => {
  const plan = [planned('n1', step('n1', { do: action } as NodeAction))];
  const text = renderFurtherRound(plan, codes, 'hp', ' --name x', layoutOf({ isTTY: true, columns: 200 }));
  if (said === '') expect(text).toBe('');
  else expect(text).toStartWith(said);
  expect(
    renderFurtherRound(plan, codes, 'hp', '', layoutOf({ isTTY: true, columns: 60 }))
      .split('\n')
      .every((line) => columns(line) <= 60),
  ).toBe(true);
});
