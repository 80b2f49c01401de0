/** What an expression of a selector or of a node affinity requires of labels. Source: k8s.io/apimachinery/pkg/labels, Requirement.Matches. */
export interface Requirement {
  key: string;
  operator: string;
  values?: readonly string[];
}

export type Labels = Readonly<Record<string, string>> | undefined;

const INTEGER = /^[+-]?\d+$/;

/** Whether labels have each of these pairs: `matchLabels`, a Service's `selector`, `nodeSelector`. */
export function hasLabels(wanted: Labels, labels: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([key, value]) => labelOf(labels, key) === value);
}

/** Whether labels are as an expression requires; no labels are so for an operator that does not exist. */
export function meets({ key, operator, values = [] }: Requirement, labels: Labels): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const [bound = ''] = values;
      if (value === undefined || !isInteger(value) || !isInteger(bound)) return false;
      return operator === 'Gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound);
    }
    default:
      return false;
  }
}

/** Whether a text is a whole number, as `Gt` and `Lt` compare them. */
export function isInteger(text: string): boolean {
  return INTEGER.test(text);
}

function labelOf(labels: Labels, key: string): string | undefined {
  return labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
}
