import { type ApplyResult, applyResultSchema } from '../../node/apply/result.ts';
import type { NodeAction } from '../../path/model/action.ts';
import { type Exec, ExecError, realExec } from '../../sys/exec.ts';
import { nodeArgv } from '../cluster/node-exec.ts';

/** How long a node may take over a list of actions, in milliseconds: an `attach` runs plugins. */
const APPLY_DEADLINE_MS = 120_000;
/** A line an action, with the error of one that failed. */
const APPLY_MAX_BYTES = 1024 * 1024;

/**
 * Has a node of the lab do the actions, in their order; those after one that failed are skipped. Rejects only when the node could
 * not be asked.
 */
export async function applyOnNode(
  node: string,
  actions: readonly NodeAction[],
  exec: Exec = realExec,
): Promise<ApplyResult[]> {
  const argv = await nodeArgv(exec, node, ['hostport', 'node-apply']);
  const result = await exec.run(argv, {
    stdin: JSON.stringify(actions),
    timeoutMs: APPLY_DEADLINE_MS,
    maxBytes: APPLY_MAX_BYTES,
  });
  const lines = result.stdout.split('\n').filter((line) => line !== '');
  // Status 1 means that an action failed, and its line says which; no lines mean that no action was started.
  if (lines.length !== actions.length) throw new ExecError(argv, result);
  return lines.map((line) => applyResultSchema.parse(JSON.parse(line)));
}
