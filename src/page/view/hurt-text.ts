import type { CauseData } from '../data.ts';
import { count } from './count.ts';

/** How much a cause hurts: `hurts 2 pods on 1 node`. */
export function hurtText({ pods, nodes, severity }: CauseData): string {
  const where = nodes.length === 0 ? '' : ` on ${count(nodes.length, 'node')}`;
  return severity === 'risk'
    ? `puts ${count(pods, 'pod')}${where} at risk`
    : `hurts ${count(pods, 'pod')}${where}`;
}
