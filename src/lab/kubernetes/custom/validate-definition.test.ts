import { expect, test } from 'bun:test';
import { validateDefinition } from './validate-definition.ts';

test.each([
  ['a definition', {}, ['spec.group', 'spec.scope', 'spec.names.plural', 'spec.names.kind', 'spec.versions']],
  ['names', { group: 'a.b', scope: 'Cluster', names: {} }, ['spec.names.plural', 'spec.names.kind']],
  ['a version', { group: 'a.b', versions: [{}] }, ['spec.versions[0].name']],
])('%s without what it must have is refused, field by field', (_, spec, fields) => {
  const errors = validateDefinition({ metadata: { name: 'x' }, spec } as never).map(({ field }) => field);
  expect(errors).toEqual(expect.arrayContaining(fields));
  const none = validateDefinition({ metadata: {} } as never).map(({ field }) => field);
  expect(none).toEqual(expect.arrayContaining(['metadata.name', 'spec.group']));
});
