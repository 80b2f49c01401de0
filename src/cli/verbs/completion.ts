import { listClusters, readRecord } from '../../lab/cluster/record.ts';
import { catalogue } from '../../path/stages/index.ts';
import { safeText } from '../../util/safe-text.ts';
import { complete, type Existing } from '../completion/complete.ts';
import { SCRIPTS, SHELLS, type Shell } from '../completion/scripts.ts';
import { oneOf } from '../option-values.ts';
import { command, examples, type Verb } from '../verb.ts';

/** `completion SHELL`: what makes a shell complete this program's commands. */
export function completionVerb(): Verb {
  const verb = command('completion')
    .description(
      'print the completion script of a shell\n\nIt completes commands, options, clusters, nodes and codes of failures. Clusters and nodes need root.',
    )
    .argument('<shell>', SHELLS.join(', '), oneOf(...SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(SCRIPTS[shell]);
    });
  return examples(
    verb as Verb,
    '. <(hostport completion bash)',
    'hostport completion zsh > "${fpath[1]}/_hostport"',
    'hostport completion fish > ~/.config/fish/completions/hostport.fish',
  );
}

/** `complete -- WORD…`: what those scripts ask for. */
export function completeVerb(program: () => Promise<Verb>): Verb {
  return command('complete')
    .description('print what the last word can be completed to')
    .argument('[words...]', 'the words after the name of the program')
    .action(async (words: string[]) => {
      const { candidates, also } = await complete(await program(), words, existing);
      const lines = candidates.map(({ word, description }) => `${word}\t${description}`).map(line);
      process.stdout.write([...lines, `:${also}`, ''].join('\n'));
    }) as Verb;
}

/** A line that a shell reads: the tab is ours. */
function line(text: string): string {
  return text.split('\t').map(safeText).join('\t');
}

/** Only root may read what clusters there are. */
const mayRead = () => process.getuid?.() === 0;

const existing: Existing = {
  clusters: async () => (mayRead() ? await listClusters() : []),
  async nodes(cluster) {
    if (!mayRead()) return [];
    const records = await Promise.all(
      (cluster === undefined ? await listClusters() : [cluster]).map(readRecord),
    );
    return records.flatMap((record) => record?.nodes.map(({ name }) => name) ?? []);
  },
  codes: () => catalogue.map(({ code, title }) => ({ word: code, description: title })),
};
