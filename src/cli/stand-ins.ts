import { foreground } from '../sys/foreground.ts';
import { VERSION } from '../util/version.ts';
import { command } from './verb.ts';
import { clusterVerbs } from './verbs/cluster.ts';
import { cp, execVerb, ps } from './verbs/node.ts';
import { versionVerb } from './verbs/version.ts';

/** Shows that this is not the program whose name it has. */
const STAND_IN_VERSION = `hostport ${VERSION}`;

/** `docker`, as far as the how-to uses it: exec, cp and ps, which act on the lab's nodes. */
export function dockerCommand() {
  return command('docker')
    .description("run docker exec, cp and ps on the lab's nodes")
    .version(`stand-in for docker: ${STAND_IN_VERSION}`)
    .addCommand(execVerb())
    .addCommand(cp())
    .addCommand(ps());
}

/** `kind`: create, delete, get, load, export with kind's grammar. */
export function kindCommand() {
  const version = `stand-in for kind: ${STAND_IN_VERSION}`;
  const program = command('kind')
    .description("create and manage the lab's clusters with kind's commands")
    .version(version);
  for (const verb of [...clusterVerbs(), versionVerb(version)]) program.addCommand(verb);
  return program;
}

/** `sudo` on a machine that has none, where the lab already runs as root: runs the command as it is. */
export function sudo(argv: string[]): Promise<number> {
  return foreground(argv);
}
