import type { HealStep } from './action.ts';
import type { Sandbox } from './node-report.ts';
import type { NodeView } from './node-view.ts';

/**
 * The step that runs portmap of the configuration in use on a running sandbox. portmap's ADD puts everything of a mapping in its place, whatever
 * was there of it before: it is both how a mapping is made late and how a damaged one is mended.
 */
export function attachPortmap(node: NodeView, sandbox: Sandbox, why: string): HealStep {
  return {
    on: 'node',
    node: node.name,
    why,
    action: { do: 'attach', sandbox: sandbox.id, config: node.active!.path, plugin: 'portmap' },
  };
}
