import type { Pod } from '../../kube/types.ts';
import { CONTAINER } from './manifests.ts';

/** What becomes of a pod: it runs, it will not, or it is not known yet; with what was seen. */
export type PodState =
  | { is: 'running' }
  | { is: 'failed'; why: string }
  | { is: 'waiting'; why: string; reason?: string };

/** Reasons of a waiting container that do not pass within the time that a diagnosis has. Source: k8s.io/kubernetes/pkg/kubelet. */
const FINAL: ReadonlySet<string> = new Set([
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'CreateContainerConfigError',
  'CreateContainerError',
  'RunContainerError',
  'CrashLoopBackOff',
]);

/** How long a message of a runtime may be in a reason. */
const MAX_WHY = 500;

/** What the kubelet says of a pod: the doctor's, or another by the name of its container. */
export function stateOf({ metadata, status }: Pod, name: string = CONTAINER): PodState {
  if (metadata?.deletionTimestamp !== undefined) return { is: 'failed', why: 'its pod was deleted' };
  const phase = status?.phase ?? 'Pending';
  const found = status?.containerStatuses?.find((entry) => entry.name === name);
  const container = found?.state;
  if (phase === 'Failed' || phase === 'Succeeded') {
    const ended = container?.terminated;
    const said = [status?.reason ?? ended?.reason, status?.message ?? ended?.message];
    return { is: 'failed', why: worded(`its pod ended (${phase})`, said) };
  }
  if (phase === 'Running' && container?.running !== undefined) return { is: 'running' };
  const { reason, message } = container?.waiting ?? {};
  // A container that ends again and again says why by its last words.
  const last = found?.lastState?.terminated?.message?.trim();
  const said = worded('its pod has not started', [reason ?? phase, message ?? status?.message, last]);
  const why = reason?.includes('Image') ? `${said}; give --image with one that is on the node` : said;
  if (reason !== undefined && FINAL.has(reason)) return { is: 'failed', why };
  return { is: 'waiting', why, ...(reason !== undefined && { reason }) };
}

function worded(what: string, said: readonly (string | undefined)[]): string {
  const words = said.filter((text) => text !== undefined && text !== '').join(': ');
  return (words === '' ? what : `${what}: ${words}`).slice(0, MAX_WHY);
}
