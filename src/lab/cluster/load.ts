import { resolve } from 'node:path';
import type { Exec } from '../../sys/exec.ts';
import { messageOf } from '../../util/errors.ts';
import { runInNode } from './node-exec.ts';
import type { Progress } from './progress.ts';
import { type ClusterRecord, requireNodes } from './record.ts';

/**
 * Imports an image archive into the containerd of the named nodes (all when none is named), where pods find it. Returns their names.
 * When the signal aborts, the current node is finished first, since containerd keeps for a day what half an import left, and no other is started.
 */
export async function loadArchive(
  record: ClusterRecord,
  file: string,
  names: readonly string[] | undefined,
  exec: Exec,
  progress: Progress,
  signal: AbortSignal,
): Promise<readonly string[]> {
  requireNodes('load the image archive', record, names ?? []);
  const path = resolve(file);
  const chosen = names ?? record.nodes.map((node) => node.name);
  for (const node of chosen) {
    signal.throwIfAborted();
    const tell = () => progress.note(`${messageOf(signal.reason)}; finishing ${node} first`);
    signal.addEventListener('abort', tell, { once: true });
    try {
      await progress.step(`Loading ${file} into ${node}`, () => importInto(node, path, exec));
    } finally {
      signal.removeEventListener('abort', tell);
    }
  }
  return chosen;
}

async function importInto(node: string, path: string, exec: Exec): Promise<void> {
  const command = ['ctr', '-n', 'k8s.io', 'images', 'import', '--all-platforms', '-'];
  await runInNode(exec, node, command, { stdinFile: path, timeoutMs: 300_000 });
}
