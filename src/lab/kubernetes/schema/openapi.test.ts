import { describe, expect, test } from 'bun:test';
import { groupVersionOf, KINDS } from '../../../kube/kinds.ts';
import { openApiV2Json, openApiV2Protobuf, openApiV3, openApiV3Index } from './openapi.ts';

// biome-ignore lint/suspicious/noExplicitAny: documents are read as a client reads them, by path.
type Any = any;

const index = openApiV3Index() as Any;
const v2 = openApiV2Json() as Any;
const documents = new Map<string, Any>(Object.keys(index.paths).map((path) => [path, openApiV3(path)]));
const core = documents.get('api/v1');

/** Every `$ref` in a document. */
function references(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, item] of Object.entries(value)) {
    // The schema of schemas has a property of that name.
    if (key === '$ref' && typeof item === 'string') found.add(item);
    else references(item, found);
  }
  return found;
}

function lookUp(document: Any, reference: string): unknown {
  return reference
    .slice(2)
    .split('/')
    .reduce((value, part) => value?.[part], document);
}

describe('version 3', () => {
  test('the index has every group and version, with a hash of the document', () => {
    const expected = KINDS.map((info) => (info.group === '' ? 'api/v1' : `apis/${groupVersionOf(info)}`));
    expect(Object.keys(index.paths).sort()).toEqual([...new Set(expected)].sort());
    for (const [path, { serverRelativeURL }] of Object.entries<Any>(index.paths)) {
      expect(serverRelativeURL).toMatch(new RegExp(`^/openapi/v3/${path}\\?hash=[0-9A-F]{64}$`));
    }
    expect(openApiV3('apis/none/v1')).toBeUndefined();
  });

  test('every reference leads somewhere', () => {
    for (const [path, document] of documents) {
      const dangling = [...references(document)].filter(
        (reference) => lookUp(document, reference) === undefined,
      );
      expect(dangling, path).toEqual([]);
    }
  });

  test('every stored kind can be patched, and the patch names the kind and fieldValidation', () => {
    for (const info of KINDS.filter(({ role }) => role === 'stored')) {
      const path = info.group === '' ? 'api/v1' : `apis/${groupVersionOf(info)}`;
      const scope = info.namespaced ? '/namespaces/{namespace}' : '';
      const patch = documents.get(path).paths[`/${path}${scope}/${info.plural}/{name}`].patch;
      expect(patch['x-kubernetes-group-version-kind']).toEqual({
        group: info.group,
        kind: info.kind,
        version: info.version,
      });
      expect(patch.parameters.map((parameter: Any) => parameter.name)).toContain('fieldValidation');
    }
  });

  test('fields are described, typed and say how they merge', () => {
    const schemas = core.components.schemas;
    expect(schemas['io.k8s.api.core.v1.ContainerPort'].properties.hostPort).toEqual({
      description: expect.stringContaining('Number of port to expose on the host'),
      type: 'integer',
      format: 'int32',
    });
    expect(schemas['io.k8s.api.core.v1.ContainerPort'].required).toEqual(['containerPort']);
    expect(schemas['io.k8s.api.core.v1.Container'].properties.ports).toMatchObject({
      type: 'array',
      items: { $ref: '#/components/schemas/io.k8s.api.core.v1.ContainerPort' },
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'containerPort',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
    });
    expect(schemas['io.k8s.api.core.v1.Pod']['x-kubernetes-group-version-kind']).toEqual([
      { group: '', kind: 'Pod', version: 'v1' },
    ]);
    expect(schemas['io.k8s.api.core.v1.Pod'].properties.spec).toMatchObject({
      allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.PodSpec' }],
    });
  });

  test('almost every field of the published types is described', () => {
    const fields = Object.values<Any>(core.components.schemas).flatMap((schema) =>
      Object.values<Any>(schema.properties ?? {}),
    );
    const described = fields.filter(({ description }) => description !== undefined);
    expect(described.length / fields.length).toBeGreaterThan(0.98);
  });

  test('extensions/v1beta1 does not ask for a selector', () => {
    const schemas = documents.get('apis/extensions/v1beta1').components.schemas;
    expect(schemas['io.k8s.api.extensions.v1beta1.DeploymentSpec'].required).toEqual(['template']);
  });
});

describe('version 2', () => {
  test('every reference leads somewhere', () => {
    expect([...references(v2)].filter((reference) => lookUp(v2, reference) === undefined)).toEqual([]);
  });

  test('both versions have the same paths and operations', () => {
    const paths = Object.assign({}, ...[...documents.values()].map((document) => document.paths));
    expect(Object.keys(v2.paths).sort()).toEqual(Object.keys(paths).sort());
    for (const [path, item] of Object.entries<Any>(v2.paths)) {
      for (const [method, operation] of Object.entries<Any>(item)) {
        if (method !== 'parameters') expect(paths[path][method].operationId).toBe(operation.operationId);
      }
    }
  });

  test('operation ids are unique', () => {
    const ids = Object.values<Any>(v2.paths).flatMap((item) =>
      Object.values<Any>(item).flatMap(({ operationId }) => operationId ?? []),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** The fields of an encoded message: number -> values, strings and messages as bytes. */
function fieldsOf(bytes: Uint8Array): Map<number, (Uint8Array | number)[]> {
  const fields = new Map<number, (Uint8Array | number)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    expect([0, 2]).toContain(wire);
    const value = varint();
    const field = Math.floor(tag / 8);
    const item = wire === 0 ? value : bytes.subarray(at, at + value);
    if (wire === 2) at += value;
    fields.set(field, [...(fields.get(field) ?? []), item]);
  }
  expect(at).toBe(bytes.length);
  return fields;
}

const text = (value: Uint8Array | number | undefined): string => Buffer.from(value as Uint8Array).toString();
const message = (value: Uint8Array | number | undefined) => fieldsOf(value as Uint8Array);

/** The named pairs of a map message. */
function pairs(bytes: Uint8Array | number | undefined, field: number): Map<string, Uint8Array> {
  const items = message(bytes).get(field) ?? [];
  return new Map(
    items.map((item) => {
      const pair = message(item);
      return [text(pair.get(1)?.[0]), pair.get(2)![0] as Uint8Array];
    }),
  );
}

test('the protobuf encoding, read by the field numbers of gnostic', () => {
  const document = fieldsOf(openApiV2Protobuf());
  expect(text(document.get(1)?.[0])).toBe('2.0');
  expect([...pairs(document.get(8)?.[0], 2).keys()]).toEqual(Object.keys(v2.paths));
  const definitions = pairs(document.get(9)?.[0], 1);
  expect([...definitions.keys()]).toEqual(Object.keys(v2.definitions));

  const container = message(definitions.get('io.k8s.api.core.v1.Container'));
  expect(container.get(19)!.map(text)).toEqual(['name']);
  const ports = message(pairs(container.get(25)?.[0], 1).get('ports'));
  expect(text(message(ports.get(22)?.[0]).get(1)?.[0])).toBe('array');
  const item = message(message(ports.get(23)?.[0]).get(1)?.[0]);
  expect(text(item.get(1)?.[0])).toBe('#/definitions/io.k8s.api.core.v1.ContainerPort');
  const extensions = ports.get(31)!.map((extension) => {
    const pair = message(extension);
    return [text(pair.get(1)?.[0]), text(message(pair.get(2)?.[0]).get(2)?.[0])];
  });
  expect(Object.fromEntries(extensions)).toEqual({
    'x-kubernetes-list-map-keys': '["containerPort","protocol"]',
    'x-kubernetes-list-type': '"map"',
    'x-kubernetes-patch-merge-key': '"containerPort"',
    'x-kubernetes-patch-strategy': '"merge"',
  });
});
