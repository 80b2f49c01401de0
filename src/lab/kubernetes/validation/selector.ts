import { labelValueErrors, qualifiedNameErrors } from '../../../kube/names.ts';
import type { LabelSelector } from '../../../kube/types.ts';
import { type FieldError, forbidden, invalid, required } from './field-error.ts';
import { validateLabels } from './metadata.ts';
import { allInvalid } from './rules.ts';

/** The rules of a label selector's own form. */
export function validateLabelSelector(selector: LabelSelector | undefined, path: string): FieldError[] {
  const errors = validateLabels(selector?.matchLabels, `${path}.matchLabels`);
  for (const [index, { key, operator, values }] of (selector?.matchExpressions ?? []).entries()) {
    const at = `${path}.matchExpressions[${index}]`;
    switch (operator) {
      case 'In':
      case 'NotIn':
        if ((values ?? []).length === 0) {
          errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        break;
      case 'Exists':
      case 'DoesNotExist':
        if ((values ?? []).length > 0) {
          errors.push(
            forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
          );
        }
        break;
      default:
        errors.push(invalid(`${at}.operator`, operator, 'not a valid selector operator'));
    }
    errors.push(...allInvalid(`${at}.key`, key, qualifiedNameErrors(key)));
    for (const [position, value] of (values ?? []).entries()) {
      errors.push(...allInvalid(`${at}.values[${position}]`, value, labelValueErrors(value)));
    }
  }
  return errors;
}

export function selectorIsEmpty(selector: LabelSelector): boolean {
  return (
    Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
  );
}
