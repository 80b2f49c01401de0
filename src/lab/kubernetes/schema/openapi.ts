import { createHash } from 'node:crypto';
import { groupVersionOf, KINDS, type KindInfo } from '../../../kube/kinds.ts';
import { RELEASE } from '../release.ts';
import { reachableFrom, referenceTo, type Schema, schemas, schemasOfCustom } from './openapi-model.ts';
import { allPaths, type Operation, type Parameter, type Path } from './openapi-paths.ts';
import { encodeOpenApiV2 } from './openapi-protobuf.ts';

const INFO = { title: 'Kubernetes', version: RELEASE.version };

function parametersV2(parameters: readonly Parameter[]): Schema[] {
  return parameters.map(({ name, in: place, type, description }) => ({
    uniqueItems: true,
    type,
    description,
    name,
    in: place,
    ...(place === 'path' ? { required: true } : {}),
  }));
}

function operationV2(operation: Operation): Schema {
  const { answer, body } = operation;
  const ok =
    answer === undefined ? { description: 'OK' } : { description: 'OK', schema: referenceTo(answer, 2) };
  const bodyParameter = {
    name: 'body',
    in: 'body',
    required: operation.method !== 'delete',
    // A patch has the form its content type says, not the kind's.
    schema: operation.method === 'patch' ? { type: 'object' } : referenceTo(body ?? '', 2),
  };
  return {
    consumes: operation.consumes.length === 0 ? ['*/*'] : operation.consumes,
    description: operation.description,
    operationId: operation.id,
    parameters: [...(body === undefined ? [] : [bodyParameter]), ...parametersV2(operation.parameters)],
    produces: ['application/json'],
    responses: { 200: ok, 401: { description: 'Unauthorized' } },
    schemes: ['https'],
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.kind,
  };
}

function parametersV3(parameters: readonly Parameter[]): Schema[] {
  return parameters.map(({ name, in: place, type, description }) => ({
    name,
    in: place,
    description,
    ...(place === 'path' ? { required: true } : {}),
    schema: { type, uniqueItems: true },
  }));
}

function operationV3(operation: Operation): Schema {
  const { answer, body } = operation;
  const bodySchema = operation.method === 'patch' ? { type: 'object' } : referenceTo(body ?? '', 3);
  const ok =
    answer === undefined
      ? { description: 'OK' }
      : { description: 'OK', content: { 'application/json': { schema: referenceTo(answer, 3) } } };
  return {
    description: operation.description,
    operationId: operation.id,
    parameters: parametersV3(operation.parameters),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            content: Object.fromEntries(operation.consumes.map((type) => [type, { schema: bodySchema }])),
          },
        }),
    responses: { 200: ok, 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action,
    'x-kubernetes-group-version-kind': operation.kind,
  };
}

function pathItem(
  path: Path,
  operation: (operation: Operation) => Schema,
  parameters: (parameters: readonly Parameter[]) => Schema[],
): Schema {
  return {
    ...Object.fromEntries(path.operations.map((item) => [item.method, operation(item)])),
    ...(path.parameters.length === 0 ? {} : { parameters: parameters(path.parameters) }),
  };
}

/** The OpenAPI 2 document of the whole API, served at `/openapi/v2`. */
export function openApiV2Json(kinds: readonly KindInfo[] = KINDS): object {
  return {
    swagger: '2.0',
    info: INFO,
    paths: Object.fromEntries(
      allPaths(kinds).map((path) => [path.path, pathItem(path, operationV2, parametersV2)]),
    ),
    definitions: { ...schemas(2), ...schemasOfCustom(2, kinds) },
  };
}

/** The same document in gnostic's protobuf encoding, which kubectl asks for. */
export function openApiV2Protobuf(kinds: readonly KindInfo[] = KINDS): Uint8Array {
  return encodeOpenApiV2(openApiV2Json(kinds));
}

/** Definitions that the operations of a group and version name, with all they need. */
function definitionsOf(groupVersionPath: string): string[] {
  const roots = new Set(['meta.v1.Status', 'meta.v1.DeleteOptions']);
  for (const info of KINDS) {
    const path = `${info.group === '' ? 'api' : 'apis'}/${info.group === '' ? '' : `${info.group}/`}${info.version}`;
    if (path !== groupVersionPath) continue;
    roots.add(info.definition);
    if (info.role === 'stored') roots.add(`${info.definition}List`);
  }
  // Every object has metadata, and every list, those of custom kinds too.
  roots.add('meta.v1.ObjectMeta').add('meta.v1.ListMeta');
  // Subresources may speak kinds of other groups.
  for (const { definition } of KINDS.filter(({ role }) => role === 'subresource')) roots.add(definition);
  return reachableFrom(roots);
}

const groupVersionPaths = (kinds: readonly KindInfo[]): string[] => [
  ...new Set(
    kinds.map(({ group, version }) => (group === '' ? `api/${version}` : `apis/${group}/${version}`)),
  ),
];

/**
 * The OpenAPI 3 document of one group and version (`api/v1`, `apis/apps/v1`), served at `/openapi/v3/<path>`; undefined when
 * nothing is served there.
 */
export function openApiV3(groupVersionPath: string, kinds: readonly KindInfo[] = KINDS): object | undefined {
  if (!groupVersionPaths(kinds).includes(groupVersionPath)) return undefined;
  const paths = allPaths(kinds).filter((path) => path.groupVersionPath === groupVersionPath);
  const own = kinds.filter((info) => info.custom && `apis/${groupVersionOf(info)}` === groupVersionPath);
  return {
    openapi: '3.0.0',
    info: INFO,
    paths: Object.fromEntries(paths.map((path) => [path.path, pathItem(path, operationV3, parametersV3)])),
    components: {
      schemas: { ...schemas(3, definitionsOf(groupVersionPath)), ...schemasOfCustom(3, own) },
    },
  };
}

/**
 * The index of OpenAPI 3 documents, served at `/openapi/v3`. The hash in each URL changes with the document, so that clients
 * may keep what they have read.
 */
export function openApiV3Index(kinds: readonly KindInfo[] = KINDS): object {
  return {
    paths: Object.fromEntries(
      groupVersionPaths(kinds).map((path) => {
        const hash = createHash('sha256')
          .update(JSON.stringify(openApiV3(path, kinds)))
          .digest('hex')
          .toUpperCase();
        return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }];
      }),
    ),
  };
}
