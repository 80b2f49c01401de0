import { describe, expect, test } from 'bun:test';
import type { Pod } from '../kube/types.ts';
import { podOn, smallWorld } from '../path/testing/small-world.ts';
import { nodesOfChoice } from './choice.ts';
import { hostport } from './command-line.ts';
import { chosenPods, type PodOptions, podChoiceOf } from './pod-choice.ts';
import type { Verb } from './verb.ts';

function pod(namespace: string, name: string, app: string, node?: string, ...hostPorts: number[]): Pod {
  const made = podOn(node, name, ...hostPorts);
  return { ...made, metadata: { ...made.metadata, namespace, labels: { app } } };
}

const PODS = [
  pod('default', 'web-1', 'web', 'n1', 80),
  pod('default', 'db', 'db', 'n2'),
  pod('shop', 'web-1', 'web', 'n2', 80),
  pod('shop', 'new', 'web', undefined, 80),
];
const world = smallWorld(PODS);

/** The options of a command line that is parsed and not run. */
async function parsed(...words: string[]): Promise<PodOptions> {
  const program = await hostport('hostport', 'doctor');
  const verb = program.commands.find((command) => command.name() === 'doctor') as Verb;
  verb.action(() => {}).configureOutput({ writeErr: () => {} });
  await program.parseAsync(['doctor', ...words], { from: 'user' });
  return verb.opts();
}

const key = ({ metadata }: Pod) => `${metadata?.namespace}/${metadata?.name}`;

test.each<[line: string, pods: string[], nodes: string[]]>([
  ['-n default', ['default/web-1', 'default/db'], ['n1']],
  ['-n default -n shop', PODS.map(key), ['n1', 'n2']],
  ['-l app=web', ['default/web-1', 'shop/web-1', 'shop/new'], ['n1', 'n2']],
  ['-n shop -l app!=db', ['shop/web-1', 'shop/new'], ['n2']],
  ['-A -l app=db', ['default/db'], []],
  ['--pod shop/web-1 --pod default/db', ['default/db', 'shop/web-1'], ['n2']],
  ['--pod shop/new', ['shop/new'], []],
])('%s: these pods, and the nodes of those that have hostPorts', async (line, pods, nodes) => {
  const choice = podChoiceOf(await parsed(...line.split(' ')))!;
  expect(chosenPods(choice, PODS).map(key)).toEqual(pods);
  expect([...nodesOfChoice({ codes: [], nodes: [], pods: choice }, world)!]).toEqual(nodes);
});

test('without a choice it is all pods, and all nodes', async () => {
  for (const line of [[], ['-A']]) expect(podChoiceOf(await parsed(...line))).toBeUndefined();
  expect(nodesOfChoice({ codes: [], nodes: [] }, world)).toBeUndefined();
});

test('of nodes and pods, both must fit', async () => {
  const pods = podChoiceOf(await parsed('-l', 'app=web'))!;
  expect([...nodesOfChoice({ codes: [], nodes: ['n2'], pods }, world)!]).toEqual(['n2']);
});

describe('what does not exist is an error', () => {
  test.each([
    ['--pod shop/gone', 'cannot examine pod shop/gone: not found; kubectl get pods -A lists them'],
    [
      '--pod shop/db',
      'cannot examine pod shop/db: not found; there is one of this name in namespace default',
    ],
    ['-n shop -l app=db', 'cannot examine pods: none of 4 matches --namespace shop --selector app=db; '],
  ])('%s', async (line, message) => {
    const choice = podChoiceOf(await parsed(...line.split(' ')))!;
    expect(() => chosenPods(choice, PODS)).toThrow(message);
  });
});

test.each([
  '-l a;b',
  '-l app;in',
  '-n Not_A_Name',
  '--pod web-1',
  '--pod a/b/c',
  '--pod /x',
  '-n a -A',
  '--pod a/b -n a',
  '--pod a/b -l app=web',
  '--local -l app=web',
  '--cleanup -n a',
])('%s is refused', async (line) => {
  await expect(parsed(...line.split(' '))).rejects.toThrow();
});
