import { open } from 'node:fs/promises';
import type { Pod } from '../../kube/types.ts';
import { ignoring } from '../../sys/errno.ts';
import { tailMessage } from './logs/tail-message.ts';
import type { ObservedContainer } from './observe.ts';
import type { PodContext } from './pod-context.ts';
import { terminationMessageFile } from './start-container.ts';

/** https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/ */
const MAX_MESSAGE_BYTES = 4096;
const MAX_LOG_BYTES = 2048;
const MAX_LOG_LINES = 80;

/** What ended containers left as their last words: their message file or, when they ask for it, the end of their log. */
export async function terminationMessages(
  context: Pick<PodContext, 'directories'>,
  pod: Pod,
  containers: readonly ObservedContainer[],
): Promise<Map<string, string>> {
  const result = new Map<string, string>();
  const defined = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  for (const run of containers) {
    if (run.state !== 'exited') continue;
    const path = terminationMessageFile(context, pod.metadata!.uid!, run.name, run.attempt);
    let message = await readStart(path, MAX_MESSAGE_BYTES);
    const policy = defined.find(({ name }) => name === run.name)?.terminationMessagePolicy;
    if (message === '' && policy === 'FallbackToLogsOnError' && run.exitCode !== 0 && run.logPath !== '') {
      message = await tailMessage(run.logPath, MAX_LOG_LINES, MAX_LOG_BYTES);
    }
    result.set(run.id, message);
  }
  return result;
}

async function readStart(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'r').catch(ignoring('ENOENT'));
  if (file === undefined) return '';
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}
