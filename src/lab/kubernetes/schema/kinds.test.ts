import { expect, test } from 'bun:test';
import {
  groupVersionOf,
  KINDS,
  kindByName,
  kindByPlural,
  SUBRESOURCES,
  subresourceOf,
} from '../../../kube/kinds.ts';
import * as resources from '../../../kube/resources.ts';
import { definitionOf } from './schema.ts';

test('every kind and list has a definition, with metadata where objects have it', () => {
  for (const info of KINDS) {
    expect(definitionOf(info.definition).has('kind'), info.definition).toBe(true);
    if (info.role === 'stored') {
      expect(definitionOf(info.definition).has('metadata')).toBe(true);
      expect(definitionOf(`${info.definition}List`).get('items')?.required).toBe(true);
    }
  }
});

test('kinds are found by their URLs and by their names, and only there', () => {
  for (const info of KINDS) {
    expect(kindByName(groupVersionOf(info), info.kind)).toBe(info);
    const found = kindByPlural(info.group, info.version, info.plural);
    expect(found).toBe(info.role === 'subresource' ? undefined : info);
  }
  expect(kindByName('v2', 'Pod')).toBeUndefined();
  expect(kindByPlural('', 'v1', 'Pod')).toBeUndefined();
});

test('what clients of this program address is served', () => {
  for (const resource of Object.values(resources)) {
    if (typeof resource !== 'object') continue;
    const info = kindByPlural(resource.group, resource.version, resource.plural);
    expect(info).toMatchObject({ kind: resource.kind, namespaced: resource.namespaced, role: 'stored' });
  }
});

test('every subresource says what it speaks, and belongs to a kind', () => {
  for (const info of KINDS) {
    for (const name of info.subresources)
      expect(subresourceOf(info, name), `${info.plural}/${name}`).toBeDefined();
  }
  const named = KINDS.flatMap((info) => info.subresources.map((name) => `${info.plural}/${name}`));
  expect(SUBRESOURCES.filter(({ parent, name }) => !named.includes(`${parent}/${name}`))).toEqual([]);
});

test('names do not collide within a group', () => {
  const names = KINDS.filter(({ role }) => role !== 'subresource').flatMap((info) =>
    [info.plural, ...info.shortNames].map((name) => `${groupVersionOf(info)} ${name}`),
  );
  expect(new Set(names).size).toBe(names.length);
});

test('the second name of a kind shares its storage and speaks itself', () => {
  const legacy = kindByName('extensions/v1beta1', 'Deployment')!;
  const current = kindByName('apps/v1', 'Deployment')!;
  expect([legacy.storageGroup, legacy.storageVersion]).toEqual([
    current.storageGroup,
    current.storageVersion,
  ]);
  expect(subresourceOf(legacy, 'status')).toMatchObject({ group: 'extensions', version: 'v1beta1' });
  expect(subresourceOf(legacy, 'scale')).toMatchObject({
    group: 'autoscaling',
    version: 'v1',
    kind: 'Scale',
  });
  expect(subresourceOf(current, 'log')).toBeUndefined();
});
