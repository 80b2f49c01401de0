import { Option } from 'commander';
import { ownPluginDirectory } from '../../node/apply/own-plugins.ts';
import { readNodeMountsOf } from '../../node/report/mounts.ts';
import { serveRequests } from '../../node/serve/serve.ts';
import { realExec } from '../../sys/exec.ts';
import { linesOf } from '../../sys/lines.ts';
import { enterRoot, openDirectory } from '../../sys/root-directory.ts';
import { absolutePath } from '../option-values.ts';
import { command } from '../verb.ts';

/** `hostport node-serve`: what doctor, heal and break run on a node. Requests on standard input, answers on standard output. */
export function nodeServeVerb() {
  return command('node-serve')
    .description(
      'answer requests about this node until standard input ends\n\nInput and output are lines of JSON.',
    )
    .addOption(
      new Option(
        '--root <dir>',
        "where the node's root directory is mounted: in a container that examines its node",
      ).argParser(absolutePath),
    )
    .action(({ root }: { root?: string }) => {
      // Of the container's own files: they have no name in the node's root.
      const plugins = root === undefined ? undefined : openDirectory(ownPluginDirectory());
      if (root !== undefined) enterRoot(root);
      return serveRequests(
        linesOf(Bun.stdin.stream(), MAX_REQUEST_BYTES),
        (line) => process.stdout.write(line),
        realExec,
        root === undefined
          ? {}
          : { mountsOf: readNodeMountsOf, ...(plugins !== undefined && { ownPlugins: plugins() }) },
      );
    });
}

/** The largest is a plan that writes files. */
const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
