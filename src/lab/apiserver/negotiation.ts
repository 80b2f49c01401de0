import { StatusError } from './status-error.ts';

/** How an answer is written. */
export interface Format {
  /** `object` as it is; `table` for `kubectl get`; `metadata` for those that want no spec and status. */
  readonly shape: 'object' | 'table' | 'metadata';
  readonly encoding: 'json' | 'yaml';
}

export const JSON_FORMAT: Format = { shape: 'object', encoding: 'json' };

/** One entry of an Accept header. */
export interface MediaRange {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The entries of an Accept (or Content-Type) header in order of preference: by `q`, then as written. */
export function parseMediaRanges(header: string): MediaRange[] {
  const ranges = header.split(',').map((part) => {
    const [type = '', ...rest] = part.split(';').map((item) => item.trim());
    const parameters: Record<string, string> = {};
    for (const item of rest) {
      const equals = item.indexOf('=');
      if (equals > 0) parameters[item.slice(0, equals).toLowerCase()] = item.slice(equals + 1);
    }
    return { type: type.toLowerCase(), parameters };
  });
  const quality = ({ parameters }: MediaRange) => Number(parameters.q ?? '1');
  return ranges.filter(({ type }) => type !== '').sort((a, b) => quality(b) - quality(a));
}

/**
 * The first format that the client accepts and that is served. Protobuf is not: clients that ask for it name JSON as
 * well. Throws NotAcceptable. `shapes` false where only the object itself can be answered.
 */
export function negotiate(accept: string | undefined, shapes = true): Format {
  if (accept === undefined || accept === '') return JSON_FORMAT;
  for (const { type, parameters } of parseMediaRanges(accept)) {
    const encoding = encodingOf(type);
    if (encoding === undefined) continue;
    const { as, g, v } = parameters;
    if (as === undefined) return { shape: 'object', encoding };
    if (!shapes || g !== 'meta.k8s.io' || v !== 'v1') continue;
    if (as === 'Table') return { shape: 'table', encoding };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList')
      return { shape: 'metadata', encoding };
  }
  throw new StatusError(
    406,
    'NotAcceptable',
    '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml',
    {},
  );
}

function encodingOf(type: string): 'json' | 'yaml' | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*' || type === 'text/*')
    return 'json';
  return type === 'application/yaml' ? 'yaml' : undefined;
}
