import type { Json } from '../../../util/json.ts';
import { type Printer, since, type TableColumn } from '../table/column.ts';
import type { CustomColumn, CustomKind } from './custom-kind.ts';
import { parseJsonPath } from './json-path.ts';

const NAME: TableColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description:
    'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names',
  priority: 0,
};

/** Prints custom resources by the columns of their definition. */
export function customPrinter(info: CustomKind): Printer {
  const cells = info.columns.map((column) => cellOf(column));
  return {
    columns: [
      NAME,
      ...info.columns.map(({ name, type, format = '', description, priority = 0, jsonPath }) => ({
        name,
        type,
        format,
        description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}`,
        priority,
      })),
    ],
    row: (object, now) => [
      object.metadata?.name ?? '',
      ...cells.map((cell) => cell(object as unknown as Json, now)),
    ],
  };
}

function cellOf({ type, jsonPath }: CustomColumn): (object: Json, now: number) => unknown {
  const find = parseJsonPath(jsonPath);
  return (object, now) => {
    const [value] = find?.(object) ?? [];
    if (value === undefined || value === null) return null;
    switch (type) {
      case 'integer':
        return typeof value === 'number' ? Math.trunc(value) : null;
      case 'number':
        return typeof value === 'number' ? value : null;
      case 'boolean':
        return typeof value === 'boolean' ? value : null;
      case 'date':
        if (typeof value !== 'string') return null;
        return Number.isNaN(Date.parse(value)) ? '<invalid>' : since(value, now);
      default:
        return typeof value === 'object' ? JSON.stringify(value) : String(value);
    }
  };
}
