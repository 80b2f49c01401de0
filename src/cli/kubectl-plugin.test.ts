import { describe, expect, test } from 'bun:test';
import { hostport } from './command-line.ts';
import { meanClusterOfContext } from './kubectl-plugin.ts';
import type { Verb } from './verb.ts';

/** The cluster that a command line means; parsed, and not run. */
async function clusterMeant(words: string[], context: string): Promise<unknown> {
  const program = await hostport('kubectl-hostport');
  const verb = program.commands.find((command) => command.name() === words[0]) as Verb;
  let meant: unknown;
  verb.action(async () => {
    await meanClusterOfContext(verb, async () => context);
    meant = verb.opts().name;
  });
  await program.parseAsync(words, { from: 'user' });
  return meant;
}

describe('kubectl hostport means the cluster of the current context', () => {
  const cases: [words: string, context: string, cluster: string | undefined][] = [
    ['doctor', 'kind-kind', 'kind'],
    ['doctor --watch', 'kind-mine', 'mine'],
    ['heal --yes', 'kind-a-b', 'a-b'],
    ['break mapping-missing', 'kind-mine', 'mine'],
    ['unbreak', 'kind-mine', 'mine'],
    ['answers', 'kind-mine', 'mine'],
    ['doctor --name typed', 'kind-mine', 'typed'],
    ['doctor --from x', 'production', 'kind'],
    ['doctor --reports x', 'production', 'kind'],
    ['doctor --local', '', 'kind'],
    ['heal --watch', 'production', 'kind'],
    // Neither is about a cluster that is there.
    ['tour', 'production', undefined],
  ];
  test.each(cases)('%s, %s', async (words, context, cluster) => {
    expect(await clusterMeant(words.split(' '), context)).toBe(cluster);
  });

  test.each(['production', '', 'kind-'])(
    'a context %p that is not of the lab is an error that says what to give',
    async (context) => {
      const error = await clusterMeant(['doctor'], context).catch((cause: Error) => cause);
      expect(String(error)).toContain(
        `current context ${JSON.stringify(context)} is not a cluster of the lab`,
      );
      expect(String(error)).toContain('--reports DIR');
    },
  );

  test('its help says how it is called', async () => {
    const program = await hostport('kubectl-hostport');
    const doctor = program.commands.find((command) => command.name() === 'doctor') as Verb;
    expect(doctor.helpInformation()).toStartWith('Usage: kubectl hostport doctor ');
  });
});
