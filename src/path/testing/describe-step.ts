import { shellLine } from '../../util/shell-line.ts';
import { describeAction } from '../heal/describe-action.ts';
import type { HealStep } from '../model/action.ts';

/** A step in one line, with its node: what recorded texts have. */
export function describeStep(step: HealStep): string {
  if (step.on === 'cluster') {
    return shellLine(['kubectl', '-n', step.action.namespace, 'delete', 'pod', step.action.name]);
  }
  return `${step.node}: ${describeAction(step.action)}`;
}
