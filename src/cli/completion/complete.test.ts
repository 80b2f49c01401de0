import { describe, expect, test } from 'bun:test';
import { hostport } from '../command-line.ts';
import type { Verb } from '../verb.ts';
import { complete, type Existing, valuesOf } from './complete.ts';

const program = await hostport();

const existing: Existing = {
  clusters: async () => ['kind', 'other'],
  nodes: async (cluster) => (cluster === 'other' ? ['other-worker'] : ['kind-worker', 'kind-worker2']),
  codes: () => [{ word: 'plugin-missing', description: 'a plugin is not there' }],
};

/** The candidates of the last word; what the shell adds of its own is at last, if it is anything. */
async function at(line: string): Promise<string[]> {
  const { candidates, also } = await complete(program, line.split(' '), existing);
  return [...candidates.map(({ word }) => word), ...(also === 'nothing' ? [] : [`:${also}`])];
}

const LINES: [line: string, want: string[]][] = [
  ['doc', ['doctor']],
  ['get ', ['clusters', 'nodes', 'kubeconfig', 'help']],
  ['help get', ['get']],
  ['get help n', ['nodes']],
  ['nothing', []],
  ['no-such-command ', []],
  ['node-', ['node-report']],
  ['doctor --e', ['--explain']],
  ['doctor --explain ', ['plugin-missing']],
  ['doctor --explain=pl', ['--explain=plugin-missing']],
  ['doctor --local=', []],
  ['doctor --nope=', []],
  ['doctor -o j', ['json']],
  [
    'doctor --output=',
    ['table', 'wide', 'json', 'yaml', 'ndjson', 'html', 'markdown'].map((format) => `--output=${format}`),
  ],
  ['doctor --local --lo', []],
  ['doctor --watch --lo', ['--local']],
  ['doctor --watch 2s --lo', ['--local']],
  ['doctor --from ', [':files']],
  ['doctor --kubeconfig ', [':files']],
  ['heal --node kind-worker --node ', ['kind-worker', 'kind-worker2']],
  ['heal --node kind-worker --nod', ['--node']],
  ['heal --name other --node ', ['other-worker']],
  ['heal --name=other --node ', ['other-worker']],
  ['delete clusters kind o', ['other']],
  ['break ', ['plugin-missing']],
  ['break plugin-missing --name k', ['kind']],
  ['break plugin-missing --no', ['--node']],
  ['exec kind-worker2', ['kind-worker2']],
  ['exec kind-worker -- l', [':files']],
  ['run -- --na', [':files']],
  ['shell -- --na', []],
  ['export logs ', [':directories']],
  ['load image-archive ', [':files']],
  ['cni version -', await at('cni version --')],
  ['completion z', ['zsh']],
];

test.each(LINES)('%s', async (line, want) => expect(await at(line)).toEqual(want));

test('candidates have a line that describes them', async () => {
  const { candidates } = await complete(program, ['doctor', '--sav'], existing);
  expect(candidates).toEqual([
    {
      word: '--save',
      description:
        'write everything that was observed, without secrets, to a new directory or .tar.gz archive',
    },
  ]);
});

describe('every value of', () => {
  const all = (verb: Verb): Verb[] => [verb, ...verb.commands.flatMap((inner) => all(inner as Verb))];
  for (const verb of all(program)) {
    const parts = [
      ...verb.options.filter(({ required, optional }) => required || optional),
      ...verb.registeredArguments,
    ];
    if (parts.length === 0 || verb.name().startsWith('node-p') || verb.name() === 'complete') continue;
    test(`${verb.path} says what completes it`, () => {
      expect(() => parts.map((part) => valuesOf(verb, part))).not.toThrow();
    });
  }
});
