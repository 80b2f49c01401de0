import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

type Plain = { [key: string]: unknown };

type FieldType = 'string' | 'bool' | MessageName;
type Message = Readonly<Record<string, readonly [number: number, type: string]>>;

/**
 * The part of gnostic's `openapi.v2` messages that the document uses, by their published field numbers
 * (github.com/google/gnostic-models/openapiv2/OpenAPIv2.proto). Maps are lists of named pairs there; a field whose value
 * is a list is a repeated one.
 */
const MESSAGES = {
  Any: { yaml: [2, 'string'] },
  NamedAny: { name: [1, 'string'], value: [2, 'Any'] },
  Info: { title: [1, 'string'], version: [2, 'string'] },
  Document: {
    swagger: [1, 'string'],
    info: [2, 'Info'],
    paths: [8, 'Paths'],
    definitions: [9, 'Definitions'],
  },
  Paths: { path: [2, 'NamedPathItem'] },
  NamedPathItem: { name: [1, 'string'], value: [2, 'PathItem'] },
  PathItem: {
    get: [2, 'Operation'],
    put: [3, 'Operation'],
    post: [4, 'Operation'],
    delete: [5, 'Operation'],
    patch: [8, 'Operation'],
    parameters: [9, 'ParametersItem'],
  },
  Operation: {
    description: [3, 'string'],
    operation_id: [5, 'string'],
    produces: [6, 'string'],
    consumes: [7, 'string'],
    parameters: [8, 'ParametersItem'],
    responses: [9, 'Responses'],
    schemes: [10, 'string'],
    vendor_extension: [13, 'NamedAny'],
  },
  ParametersItem: { parameter: [1, 'Parameter'] },
  Parameter: { body_parameter: [1, 'BodyParameter'], non_body_parameter: [2, 'NonBodyParameter'] },
  BodyParameter: { name: [2, 'string'], in: [3, 'string'], required: [4, 'bool'], schema: [5, 'Schema'] },
  NonBodyParameter: {
    query_parameter_sub_schema: [3, 'QueryParameterSubSchema'],
    path_parameter_sub_schema: [4, 'PathParameterSubSchema'],
  },
  QueryParameterSubSchema: {
    in: [2, 'string'],
    description: [3, 'string'],
    name: [4, 'string'],
    type: [6, 'string'],
    unique_items: [20, 'bool'],
  },
  PathParameterSubSchema: {
    required: [1, 'bool'],
    in: [2, 'string'],
    description: [3, 'string'],
    name: [4, 'string'],
    type: [5, 'string'],
    unique_items: [19, 'bool'],
  },
  Responses: { response_code: [1, 'NamedResponseValue'] },
  NamedResponseValue: { name: [1, 'string'], value: [2, 'ResponseValue'] },
  ResponseValue: { response: [1, 'Response'] },
  Response: { description: [1, 'string'], schema: [2, 'SchemaItem'] },
  SchemaItem: { schema: [1, 'Schema'] },
  Definitions: { additional_properties: [1, 'NamedSchema'] },
  Properties: { additional_properties: [1, 'NamedSchema'] },
  NamedSchema: { name: [1, 'string'], value: [2, 'Schema'] },
  AdditionalPropertiesItem: { schema: [1, 'Schema'] },
  ItemsItem: { schema: [1, 'Schema'] },
  TypeItem: { value: [1, 'string'] },
  Schema: {
    _ref: [1, 'string'],
    format: [2, 'string'],
    description: [4, 'string'],
    required: [19, 'string'],
    additional_properties: [21, 'AdditionalPropertiesItem'],
    type: [22, 'TypeItem'],
    items: [23, 'ItemsItem'],
    properties: [25, 'Properties'],
    vendor_extension: [31, 'NamedAny'],
  },
} as const satisfies Record<string, Message>;

type MessageName = keyof typeof MESSAGES;

function encode(name: MessageName, message: Plain): Uint8Array {
  const fields: Message = MESSAGES[name];
  const writer = new BinaryWriter();
  for (const [key, value] of Object.entries(message)) {
    if (value === undefined) continue;
    const field = fields[key];
    if (field === undefined) throw new Error(`OpenAPI ${name}: no protobuf field for ${key}`);
    const [number, type] = field as [number, FieldType];
    for (const item of Array.isArray(value) ? value : [value]) {
      if (type === 'bool') writer.tag(number, WireType.Varint).bool(item as boolean);
      else if (type === 'string') writer.tag(number, WireType.LengthDelimited).string(item as string);
      else writer.tag(number, WireType.LengthDelimited).bytes(encode(type, item as Plain));
    }
  }
  return writer.finish();
}

const isExtension = (key: string): boolean => key.startsWith('x-');

/** Extensions carry their value as YAML text, which JSON is. */
function extensions(object: Plain): Plain[] {
  return Object.entries(object)
    .filter(([key]) => isExtension(key))
    .map(([name, value]) => ({ name, value: { yaml: JSON.stringify(value) } }));
}

function refuseUnknown(object: Plain, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).filter((key) => !isExtension(key) && !known.includes(key));
  if (unknown.length > 0) throw new Error(`OpenAPI ${what}: no protobuf field for ${unknown.join(', ')}`);
}

function named(map: unknown, convert: (value: Plain) => Plain): Plain[] {
  return Object.entries((map ?? {}) as Record<string, Plain>).map(([name, value]) => ({
    name,
    value: convert(value),
  }));
}

const SCHEMA_FIELDS = [
  '$ref',
  'additionalProperties',
  'description',
  'format',
  'items',
  'properties',
  'required',
  'type',
];

function schema(object: Plain): Plain {
  refuseUnknown(object, SCHEMA_FIELDS, 'schema');
  const { $ref, description, format, items, properties, required, type, additionalProperties } = object;
  return {
    ...($ref === undefined ? {} : { _ref: $ref }),
    ...(format === undefined ? {} : { format }),
    ...(description === undefined ? {} : { description }),
    ...(required === undefined ? {} : { required }),
    ...(additionalProperties === undefined
      ? {}
      : { additional_properties: { schema: schema(additionalProperties as Plain) } }),
    ...(type === undefined ? {} : { type: { value: [type] } }),
    ...(items === undefined ? {} : { items: { schema: [schema(items as Plain)] } }),
    ...(properties === undefined ? {} : { properties: { additional_properties: named(properties, schema) } }),
    vendor_extension: extensions(object),
  };
}

function parameter(object: Plain): Plain {
  if (object.in === 'body') {
    refuseUnknown(object, ['name', 'in', 'required', 'schema'], 'body parameter');
    return { parameter: { body_parameter: { ...object, schema: schema(object.schema as Plain) } } };
  }
  refuseUnknown(object, ['name', 'in', 'required', 'type', 'description', 'uniqueItems'], 'parameter');
  const { uniqueItems, ...rest } = object;
  const value = { ...rest, unique_items: uniqueItems };
  return {
    parameter: {
      non_body_parameter:
        object.in === 'path' ? { path_parameter_sub_schema: value } : { query_parameter_sub_schema: value },
    },
  };
}

const parameters = (list: unknown): Plain[] => ((list ?? []) as Plain[]).map(parameter);

function response(object: Plain): Plain {
  const answer = object.schema;
  return {
    response: {
      description: object.description,
      ...(answer === undefined ? {} : { schema: { schema: schema(answer as Plain) } }),
    },
  };
}

const OPERATION_FIELDS = [
  'consumes',
  'description',
  'operationId',
  'parameters',
  'produces',
  'responses',
  'schemes',
];

function operation(object: Plain): Plain {
  refuseUnknown(object, OPERATION_FIELDS, 'operation');
  const { consumes, description, produces, schemes } = object;
  return {
    consumes,
    description,
    produces,
    schemes,
    operation_id: object.operationId,
    parameters: parameters(object.parameters),
    responses: { response_code: named(object.responses, response) },
    vendor_extension: extensions(object),
  };
}

function pathItem(object: Plain): Plain {
  const item: Plain = { parameters: parameters(object.parameters) };
  for (const method of ['get', 'put', 'post', 'delete', 'patch']) {
    if (object[method] !== undefined) item[method] = operation(object[method] as Plain);
  }
  return item;
}

/**
 * Encodes an OpenAPI 2 document as gnostic's `openapi.v2.Document`, which is what
 * `application/com.github.proto-openapi.spec.v2…+protobuf` means. Throws on a member that it has no field for, so that nothing
 * is left out silently.
 */
export function encodeOpenApiV2(document: object): Uint8Array {
  const { swagger, info, paths, definitions, ...rest } = document as Plain;
  refuseUnknown(rest, [], 'document');
  return encode('Document', {
    swagger,
    info,
    paths: { path: named(paths, pathItem) },
    definitions: { additional_properties: named(definitions, schema) },
  });
}
