import { describe, expect, test } from 'bun:test';
import type { KubectlFlags } from '../kube/kubectl-flags.ts';
import type { ClusterRecord } from '../lab/cluster/record.ts';
import { InputError, UserError } from '../util/errors.ts';
import { hostport } from './command-line.ts';
import { labTargetOf, type TargetDoors, targetOf } from './target.ts';
import type { Verb } from './verb.ts';

/** Contexts of a kubeconfig: each with the authority of its cluster. Those of the lab are `CA of NAME`. */
const CONTEXTS: Readonly<Record<string, string | undefined>> = {
  'kind-kind': 'CA of kind',
  mine: 'CA of mine',
  // Of kind itself, which calls its contexts so, too.
  'kind-docker': 'CA of somebody',
  production: 'CA of production',
  plain: undefined,
};

function doors(
  current: string,
  uid = 0,
  labs: readonly string[] = ['kind', 'mine', 'other'],
): TargetDoors & { asked: KubectlFlags[] } {
  const asked: KubectlFlags[] = [];
  const record = (name: string) => ({ name }) as ClusterRecord;
  return {
    asked,
    uid,
    labs: async () => [...labs],
    async kubectl(flags) {
      asked.push(flags);
      const context = flags.context ?? current;
      if (!Object.hasOwn(CONTEXTS, context)) throw new UserError('cannot use kubeconfig /k: no such file');
      const ca = CONTEXTS[context];
      const origin = `context "${context}" of /k`;
      return {
        context,
        access: { server: 'https://h:6443', ...(ca && { ca }), origin, userAgent: 'x' },
      };
    },
    async lab(name) {
      if (!labs.includes(name)) throw new InputError(`cluster "${name}" does not exist`);
      return record(name);
    },
    labOf: async (ca) => {
      const lab = labs.find((name) => ca === `CA of ${name}`);
      return lab === undefined ? undefined : record(lab);
    },
  };
}

/** A command line that is parsed and not run: what finds its cluster. */
async function parsed<T>(program: string, line: string, look: (verb: Verb) => Promise<T>): Promise<T> {
  const words = line.split(' ');
  const root = await hostport(program === 'kubectl hostport' ? 'kubectl-hostport' : 'hostport', words[0]);
  const verb = root.commands.find((command) => command.name() === words[0]) as Verb;
  let found: Promise<T> | undefined;
  verb.action(() => {
    found = look(verb);
  });
  await root.parseAsync(words, { from: 'user' });
  return found!;
}

const LAB = (name: string) => `Cluster "${name}" of the lab`;
const AT = (context: string) => `context "${context}" of /k`;

describe('which cluster is meant', () => {
  const cases: [
    program: 'hostport' | 'kubectl hostport',
    line: string,
    current: string,
    kind: 'lab' | 'cluster',
    title: string,
    flags: string,
  ][] = [
    // --name is a lab, whatever the context.
    ['hostport', 'doctor --name other', 'production', 'lab', LAB('other'), ' --name other'],
    ['kubectl hostport', 'doctor --name other', 'production', 'lab', LAB('other'), ' --name other'],
    // Nothing: the current context, and a lab's own means that lab, whatever it is called.
    ['hostport', 'doctor', 'kind-kind', 'lab', LAB('kind'), ''],
    ['hostport', 'doctor', 'mine', 'lab', LAB('mine'), ''],
    ['hostport', 'doctor --watch', 'mine', 'lab', LAB('mine'), ''],
    ['hostport', 'doctor', 'production', 'cluster', `Cluster https://h:6443, ${AT('production')}`, ''],
    ['hostport', 'doctor', 'kind-docker', 'cluster', `Cluster https://h:6443, ${AT('kind-docker')}`, ''],
    ['hostport', 'doctor', 'plain', 'cluster', `Cluster https://h:6443, ${AT('plain')}`, ''],
    // The same by kubectl, which says by which context.
    ['kubectl hostport', 'doctor', 'mine', 'lab', `${LAB('mine')}, ${AT('mine')}`, ''],
    // A context or a kubeconfig that is named: that cluster, as any other.
    [
      ...['hostport', 'doctor --context mine', 'production', 'cluster', `${LAB('mine')}, ${AT('mine')}`],
      ' --context mine',
    ],
    [
      ...['hostport', 'doctor --kubeconfig f', 'kind-kind', 'cluster', `${LAB('kind')}, ${AT('kind-kind')}`],
      ' --kubeconfig f',
    ],
    [
      ...['hostport', 'doctor --context production', 'mine', 'cluster'],
      `Cluster https://h:6443, ${AT('production')}`,
      ' --context production',
    ],
    [
      ...['kubectl hostport', 'doctor --context mine', 'production', 'cluster'],
      `${LAB('mine')}, ${AT('mine')}`,
      ' --context mine',
    ],
    [
      ...['kubectl hostport', 'doctor', 'production', 'cluster'],
      `Cluster https://h:6443, ${AT('production')}`,
      '',
    ],
    [
      ...['hostport', "doctor --as me --as-group a --as-group b'c --request-timeout 5", 'mine', 'cluster'],
      `Cluster https://h:6443, ${AT('mine')}`,
      " --as me --as-group a --as-group 'b'\\''c' --request-timeout 5000ms",
    ],
  ] as never;

  test.each(cases)('%s %s, context %s', async (program, line, current, kind, title, flags) => {
    const target = await parsed(program, line, (verb) => targetOf(verb, doors(current)));
    expect({ kind: target.kind, title: target.title, flags: target.flags }).toEqual({ kind, title, flags });
  });

  test.each(['answers', 'unbreak', 'break mapping-missing'])(
    '%s works in the lab only, by whichever form it is meant',
    async (line) => {
      const named = async (program: string, words: string, current: string) =>
        (await parsed(program, words, (verb) => labTargetOf(verb, 'do so', doors(current)))).record.name;
      expect(await named('hostport', line, 'mine')).toBe('mine');
      expect(await named('hostport', `${line} --name other`, 'production')).toBe('other');
      expect(await named('hostport', `${line} --context mine`, 'production')).toBe('mine');
      expect(await named('kubectl hostport', line, 'kind-kind')).toBe('kind');
      await expect(named('hostport', line, 'production')).rejects.toThrow(
        `cannot run ${line.split(' ')[0]}: https://h:6443 (${AT('production')}) is not a cluster of the lab; do so`,
      );
    },
  );

  test.each<[string, TargetDoors, string]>([
    ['several labs', doors(''), 'a cluster of the lab with --name: kind, mine, other'],
    ['one lab', doors('', 0, ['kind']), 'a cluster of the lab with --name kind'],
    ['no lab', doors('', 0, []), 'create a cluster of the lab with "hostport create cluster"'],
    ['labs that only root sees', doors('', 1000), 'a cluster of the lab with --name'],
  ])('without a context there is an error that says what to give: %s', async (_, surroundings, what) => {
    const error = await parsed('hostport', 'doctor', (verb) => targetOf(verb, surroundings)).catch(
      (cause: unknown) => cause,
    );
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toBe(
      `cannot use kubeconfig /k: no such file; choose another with --kubeconfig or --context, or ${what}`,
    );
  });

  test('only root may look at the lab; to others it is a cluster as any other', async () => {
    const byName = parsed('hostport', 'doctor --name kind', (verb) => targetOf(verb, doors('', 1000)));
    await expect(byName).rejects.toThrow('cannot run hostport doctor: it needs root');
    const byContext = await parsed('hostport', 'doctor', (verb) => targetOf(verb, doors('mine', 1000)));
    expect(byContext).toMatchObject({ kind: 'cluster', lab: undefined });
    const answers = parsed('hostport', 'answers', (verb) => labTargetOf(verb, '', doors('mine', 1000)));
    await expect(answers).rejects.toThrow('cannot run hostport answers: it needs root');
  });

  test('all flags reach the kubeconfig', async () => {
    const door = doors('production');
    const line =
      'doctor --kubeconfig f --context mine --cluster c --user u -s https://s --tls-server-name n --certificate-authority ca --insecure-skip-tls-verify --as a --as-uid 1 --as-group g --request-timeout 2m';
    await parsed('hostport', line, (verb) => targetOf(verb, door));
    expect(door.asked).toEqual([
      expect.objectContaining({
        kubeconfig: 'f',
        context: 'mine',
        cluster: 'c',
        user: 'u',
        server: 'https://s',
        tlsServerName: 'n',
        certificateAuthority: 'ca',
        insecureSkipTlsVerify: true,
        as: 'a',
        asUid: '1',
        asGroup: ['g'],
        requestTimeout: 120_000,
      }),
    ]);
  });
});

test("kubectl's form says in its help how it is called", async () => {
  const program = await hostport('kubectl-hostport');
  const doctor = program.commands.find((command) => command.name() === 'doctor') as Verb;
  expect(doctor.helpInformation()).toStartWith('Usage: kubectl hostport doctor ');
});
