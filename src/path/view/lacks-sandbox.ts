import type { PathView } from './scene.ts';

/** Whether it is seen that the pod of a mapping has no sandbox that is ready: it has no network, and the runtime tries again by itself. */
export function lacksSandbox({ node, sandbox }: PathView): boolean {
  return sandbox === undefined && node?.sandboxes !== undefined;
}
