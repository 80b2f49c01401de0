import { formatLabelSelector } from '../../../kube/selectors/format.ts';
import type { KubeObject, LabelSelector } from '../../../kube/types.ts';
import { formatAge } from '../../../util/duration.ts';

/** One column of meta.k8s.io/v1 Table. */
export interface TableColumn {
  readonly name: string;
  /** An OpenAPI type: `string`, `integer`, `date`. */
  readonly type: string;
  /** `name` marks the column that names the object. */
  readonly format: string;
  readonly description: string;
  /** 0 always shown, 1 only when wide. */
  readonly priority: number;
}

export interface Printer<T extends KubeObject = KubeObject> {
  readonly columns: readonly TableColumn[];
  row(object: T, now: number): unknown[];
}

export const NONE = '<none>';
const UNKNOWN = '<unknown>';

export function column(name: string, description: string, type = 'string'): TableColumn {
  return { name, type, format: name === 'Name' ? 'name' : '', description, priority: 0 };
}

/** A column that only `-o wide` shows. */
export function wide(name: string, description: string, type = 'string'): TableColumn {
  return { ...column(name, description, type), priority: 1 };
}

export const NAME = column('Name', 'Name of the object, unique within its namespace');
export const AGE = column('Age', 'Time since the object was created');

/** How long ago a timestamp was; `<unknown>` without one. */
export function since(timestamp: string | undefined | null, now: number): string {
  if (!timestamp) return UNKNOWN;
  return formatAge(now - Date.parse(timestamp));
}

export function ageOf(object: KubeObject, now: number): string {
  return since(object.metadata?.creationTimestamp, now);
}

export function nameOf(object: KubeObject): string {
  return object.metadata?.name ?? '';
}

/** Labels as `a=b,c=d`, sorted. */
export function formatLabels(labels: Record<string, string> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? NONE : pairs.sort().join(',');
}

/** A selector in the form `-l` takes. */
export function formatSelector(selector: LabelSelector | undefined): string {
  const text = formatLabelSelector(selector);
  return text === '' ? NONE : (text ?? '<error>');
}

/** The first three of a list, and how many more there are. */
export function firstThree(items: readonly string[], empty: string): string {
  if (items.length === 0) return empty;
  const shown = items.slice(0, 3).join(',');
  return items.length > 3 ? `${shown} + ${items.length - 3} more...` : shown;
}
