import type { KindInfo } from '../kinds.ts';
import type { KubeObject } from '../types.ts';
import { SelectorError } from './label.ts';

/** Reads a dotted path; what is not there is the empty string, as in Kubernetes. */
function valueAt(object: unknown, path: string): string {
  let value = object;
  for (const part of path.split('.')) {
    value =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[part] : undefined;
  }
  return value === undefined || value === null ? '' : String(value);
}

type Reader = (object: unknown) => string;

const paths = (...names: string[]): Record<string, Reader> =>
  Object.fromEntries(names.map((name) => [name, (object: unknown) => valueAt(object, name)]));

/** A boolean that is absent while false. */
const flag =
  (path: string): Reader =>
  (object) =>
    valueAt(object, path) || 'false';

/** Kind -> the field labels it can be selected by beside name and namespace. */
const FIELDS: Readonly<Record<string, Readonly<Record<string, Reader>>>> = {
  '/Pod': {
    ...paths(
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.schedulerName',
      'spec.serviceAccountName',
      'status.phase',
      'status.podIP',
      'status.nominatedNodeName',
    ),
    'spec.host': (object) => valueAt(object, 'spec.nodeName'),
    'spec.hostNetwork': flag('spec.hostNetwork'),
    'status.podIPs': (object) => valueAt(object, 'status.podIPs.0.ip'),
  },
  '/Event': {
    ...paths(
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'reportingComponent',
      'type',
    ),
    source: (object) => valueAt(object, 'source.component') || valueAt(object, 'reportingComponent'),
  },
  '/Node': { 'spec.unschedulable': flag('spec.unschedulable') },
  '/Secret': paths('type'),
  '/Namespace': paths('status.phase'),
  '/Service': paths('spec.clusterIP', 'spec.type'),
};

/** Splits at commas that are not escaped with a backslash. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let current = '';
  for (let index = 0; index < text.length; index++) {
    const letter = text[index]!;
    if (letter === '\\' && index + 1 < text.length) {
      current += letter + text[++index]!;
    } else if (letter === ',') {
      terms.push(current);
      current = '';
    } else {
      current += letter;
    }
  }
  terms.push(current);
  return terms.filter((term) => term !== '');
}

function unescaped(value: string, term: string): string {
  return value.replaceAll(/\\(.?)|[,=]/g, (match, escaped: string | undefined) => {
    if (escaped === ',' || escaped === '=' || escaped === '\\') return escaped;
    throw new SelectorError(
      match.startsWith('\\')
        ? `invalid field selector: invalid escape sequence: ${match}`
        : `invalid field selector: unescaped character in value: ${match} in ${term}`,
    );
  });
}

/**
 * Parses a field selector (`status.phase!=Running,spec.nodeName=kind-worker`) for objects of a kind. Operators are `=`, `==`
 * and `!=`; `\,`, `\=` and `\\` stand for themselves in values. Throws {@link SelectorError}, for a field the kind cannot be
 * selected by too.
 */
export function parseFieldSelector(info: KindInfo, text: string): (object: KubeObject) => boolean {
  const known = info.custom
    ? Object.fromEntries(info.selectable ?? [])
    : FIELDS[`${info.group}/${info.kind}`];
  const readers: Readonly<Record<string, Reader>> = {
    ...paths('metadata.name', 'metadata.namespace'),
    ...known,
  };
  const terms = splitTerms(text).map((term) => {
    const match = /^((?:[^=!\\]|\\.)*?)(==|!=|=)(.*)$/s.exec(term);
    if (match === null) throw new SelectorError(`invalid selector: '${text}'; can't understand '${term}'`);
    const [, field, operator, value] = match as unknown as [string, string, string, string];
    const read = Object.hasOwn(readers, field) ? readers[field] : undefined;
    if (read === undefined) {
      throw new SelectorError(
        known === undefined
          ? `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
          : `field label not supported: ${field}`,
      );
    }
    const wanted = unescaped(value, term);
    return (object: KubeObject) => (read(object) === wanted) === (operator !== '!=');
  });
  return (object) => terms.every((holds) => holds(object));
}
