import { stages } from '../../path/model/stages.ts';
import { type Filter, NO_FILTER, states } from './page-index.ts';

/** What the part of an address behind `#` says to show. */
export interface Place {
  /** A cause by its id. */
  cause: string;
  /** A mapping by its key. */
  mapping: string;
  filter: Filter;
}

const FIELDS = ['search', 'state', 'stage', 'code', 'node', 'namespace', 'port'] as const;

/** The link to a place; `#` for the whole page. */
export function linkTo({ cause, mapping, filter = NO_FILTER }: Partial<Place>): string {
  const query = new URLSearchParams();
  if (cause) query.set('cause', cause);
  if (mapping) query.set('mapping', mapping);
  for (const field of FIELDS) if (filter[field] !== '') query.set(field, filter[field]);
  return `#${query}`;
}

/** The place of a link. What it does not know is no condition. */
export function placeOf(hash: string): Place {
  const query = new URLSearchParams(hash.replace(/^#/, ''));
  const text = (field: string) => query.get(field) ?? '';
  const oneOf = <T extends string>(field: string, known: readonly T[]): T | '' =>
    known.find((value) => value === text(field)) ?? '';
  return {
    cause: text('cause'),
    mapping: text('mapping'),
    filter: {
      search: text('search'),
      state: oneOf('state', states),
      stage: oneOf('stage', stages),
      code: text('code'),
      node: text('node'),
      namespace: text('namespace'),
      port: text('port'),
    },
  };
}
