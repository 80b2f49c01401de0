import { CommanderError } from 'commander';
import { dockerCommand, kindCommand, sudo } from './stand-ins.ts';
import { command } from './verb.ts';
import { answersVerb } from './verbs/answers.ts';
import { clusterVerbs } from './verbs/cluster.ts';
import { nodeVerbs } from './verbs/node.ts';
import { tourVerb } from './verbs/tour.ts';
import { VERSION } from './version.ts';

/**
 * Parses and runs one command line. Returns the exit status: 0 done, 1 failed, 2 the words could not be understood;
 * commands that run another program (`exec`, `run`, `shell`) return that program's.
 */
export async function commandLine(name: string, argv: string[]): Promise<number> {
  if (name === 'sudo') return sudo(argv);
  const program = name === 'docker' ? dockerCommand() : name === 'kind' ? kindCommand() : hostport();
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // commander has printed its own message; help that was asked for is no failure.
    return error.exitCode === 0 ? 0 : 2;
  }
  return Number(process.exitCode ?? 0);
}

function hostport() {
  const program = command('hostport')
    .description('hostPort on any CNI: a cluster to see it in, a portmap plugin that serves it')
    .version(VERSION)
    .addHelpText('after', '\nExample:\n  hostport create cluster\n  hostport run -- kubectl get nodes');
  for (const verb of [...clusterVerbs(), ...nodeVerbs(), answersVerb(), tourVerb()]) program.addCommand(verb);
  return program;
}
