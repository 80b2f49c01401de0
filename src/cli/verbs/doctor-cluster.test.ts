import { expect, test } from 'bun:test';
import { InputError } from '../../util/errors.ts';
import { hostport } from '../command-line.ts';
import type { Verb } from '../verb.ts';
import { refuseReaderOptions } from './doctor-cluster.ts';

/** The command of a command line that is parsed and not run. */
async function parsed(line: string): Promise<Verb> {
  const program = await hostport('hostport', 'doctor');
  const verb = program.commands.find((command) => command.name() === 'doctor') as Verb;
  verb.action(() => {});
  await program.parseAsync(['doctor', ...line.split(' ').filter(Boolean)], { from: 'user' });
  return verb;
}

const REFUSED: Readonly<Record<string, string>> = {
  '--parallel': '2',
  '--timeout': '5s',
  '--image': 'busybox',
  '--image-pull-secret': 'x --work-namespace y',
  '--work-namespace': 'y',
  '--dry-run': 'client',
  '--cleanup': '',
};

test.each(Object.entries(REFUSED))('%s is refused where no pods are created', async (option, value) => {
  const verb = await parsed(`${option} ${value}`);
  const refused = () => refuseReaderOptions(verb, { name: 'kind' });
  expect(refused).toThrow(
    `cannot use ${option}: cluster "kind" is examined from the lab, without pods; to examine it by pods, name it by --context or --kubeconfig`,
  );
  expect(refused).toThrow(InputError);
});

test('all options of the pods are among them, and no others are refused', async () => {
  const verb = await parsed('--no-probe --watch 5s --reports x --max-age 1h --request-timeout 5s -o wide');
  expect(() => refuseReaderOptions(verb, { name: 'kind' })).not.toThrow();
  const ofPods = verb.options.filter(({ helpGroupHeading }) => helpGroupHeading?.startsWith('Pods on'));
  expect(ofPods.map(({ long }) => long).sort() as unknown).toEqual(Object.keys(REFUSED).sort());
});
