import { z } from 'zod';
import { Backups } from '../../node/apply/backup.ts';
import { ownPluginDirectory } from '../../node/apply/own-plugins.ts';
import { performActions } from '../../node/apply/perform.ts';
import { nodeActionSchema } from '../../path/model/action.ts';
import { realExec } from '../../sys/exec.ts';
import { command, exitWith } from '../verb.ts';

/** `hostport node-apply`: what `heal` runs on a node. Actions on standard input, a line of JSON for each on standard output. */
export function nodeApplyVerb() {
  return command('node-apply')
    .description(
      'apply the actions on standard input to this node\n\nInput and output are JSON; one line of output for each action.\nExit status: 0 all done or unchanged, 1 one failed.',
    )
    .action(async () => {
      const actions = z
        .array(nodeActionSchema)
        .max(1000)
        .parse(JSON.parse(await Bun.stdin.text()));
      const context = {
        exec: realExec,
        backups: new Backups(new Date()),
        ownPlugins: ownPluginDirectory(),
      };
      for await (const result of performActions(actions, context)) {
        process.stdout.write(`${JSON.stringify(result)}\n`);
        if (result.outcome === 'failed') exitWith(1);
      }
    });
}
