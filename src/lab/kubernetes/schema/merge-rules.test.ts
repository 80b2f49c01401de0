import { expect, test } from 'bun:test';
import { MERGE_RULES } from './merge-rules.ts';
import { definitionNames, definitionOf } from './schema.ts';

test('every list of objects in the schema has a rule, and every rule has a field', () => {
  const lists: string[] = [];
  const fields = new Set<string>();
  for (const name of definitionNames()) {
    for (const [field, { type }] of definitionOf(name)) {
      fields.add(`${name}.${field}`);
      const ofObjects = type.form === 'list' && type.of.form === 'struct';
      if (ofObjects && field !== 'items' && !name.startsWith('extensions.')) lists.push(`${name}.${field}`);
      if (ofObjects && field === 'items' && !name.endsWith('List')) lists.push(`${name}.${field}`);
    }
  }
  expect(lists.filter((field) => MERGE_RULES[field] === undefined)).toEqual([]);
  expect(Object.keys(MERGE_RULES).filter((field) => !fields.has(field))).toEqual([]);
});

test('merge keys and map keys are scalar fields of the items', () => {
  for (const [path, rule] of Object.entries(MERGE_RULES)) {
    const dot = path.lastIndexOf('.');
    const type = definitionOf(path.slice(0, dot)).get(path.slice(dot + 1))!.type;
    const keys = [...(rule.mergeKey === undefined ? [] : [rule.mergeKey]), ...(rule.mapKeys ?? [])];
    if (keys.length === 0) continue;
    expect(type.form, path).toBe('list');
    const item =
      type.form === 'list' && type.of.form === 'struct' ? definitionOf(type.of.definition) : undefined;
    for (const key of keys) expect(item?.get(key)?.type.form, `${path}: ${key}`).toBe('scalar');
  }
});
