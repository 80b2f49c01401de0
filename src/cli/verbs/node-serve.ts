import { serveRequests } from '../../node/serve/serve.ts';
import { realExec } from '../../sys/exec.ts';
import { linesOf } from '../../sys/lines.ts';
import { command } from '../verb.ts';

/** `hostport node-serve`: what the lab's doctor, heal and break run on a node. Requests on standard input, answers on standard output. */
export function nodeServeVerb() {
  return command('node-serve')
    .description(
      'answer requests about this node until standard input ends\n\nInput and output are lines of JSON.',
    )
    .action(() =>
      serveRequests(
        linesOf(Bun.stdin.stream(), MAX_REQUEST_BYTES),
        (line) => process.stdout.write(line),
        realExec,
      ),
    );
}

/** The largest is a plan that writes files. */
const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
