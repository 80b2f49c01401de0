import { forbidden, notSupported } from '../kubernetes/validation/field-error.ts';
import { invalidOptions } from './options-errors.ts';
import { isTrue } from './request-info.ts';
import { badRequest, StatusError } from './status-error.ts';

/** Which version of a collection a list or a watch is to show. */
export interface VersionWanted {
  /** 0: any; undefined: the newest. */
  revision: number | undefined;
  exact: boolean;
}

/** Reads a resourceVersion; undefined when there is none. The error for one that is no number is the server's, as in Kubernetes. */
export function parseResourceVersion(text: string | null): number | undefined {
  if (text === null || text === '') return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new StatusError(500, '', versionProblem(text));
}

function versionProblem(text: string): string {
  return `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
}

/** Reads `resourceVersion` and `resourceVersionMatch` of a list. Throws Invalid, or BadRequest for what is no number. */
export function listVersionOf(query: URLSearchParams): VersionWanted {
  const version = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const refuse = (detail: string) =>
    invalidOptions('ListOptions', [forbidden('resourceVersionMatch', detail)]);
  if (match !== '') {
    if (version === '') throw refuse('resourceVersionMatch is forbidden unless resourceVersion is provided');
    if (query.get('continue')) throw refuse('resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      throw invalidOptions('ListOptions', [
        notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']),
      ]);
    }
    if (match === 'Exact' && version === '0') {
      throw refuse('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
    }
  }
  if (version !== '' && !/^\d{1,15}$/.test(version)) {
    throw badRequest(`invalid resource version: ${versionProblem(version)}`);
  }
  return { revision: version === '' ? undefined : Number(version), exact: match === 'Exact' };
}

/** Refuses parameters of a watch that contradict each other. */
export function checkWatchOptions(query: URLSearchParams): void {
  const refuse = (detail: string) =>
    invalidOptions('ListOptions', [forbidden('resourceVersionMatch', detail)]);
  const match = query.get('resourceVersionMatch') ?? '';
  const streamsList = query.get('sendInitialEvents') !== null;
  if (streamsList && match !== 'NotOlderThan') {
    throw refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  }
  if (!streamsList && match !== '') {
    throw refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  }
  if (isTrue(query.get('sendInitialEvents')) && query.get('continue')) {
    throw refuse('resourceVersionMatch is forbidden when continue is provided');
  }
}

/** The `limit` of a list; 0 for none. */
export function limitOf(query: URLSearchParams): number {
  const text = query.get('limit') ?? '';
  if (text === '') return 0;
  if (!/^[+-]?\d+$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  const limit = Number(text);
  return Number.isSafeInteger(limit) && limit > 0 ? limit : 0;
}
