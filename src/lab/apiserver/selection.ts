import type { KindInfo } from '../../kube/kinds.ts';
import { parseFieldSelector, parseLabelSelector, SelectorError } from '../../kube/selectors/index.ts';
import type { ApiObject } from './objects.ts';
import { badRequest } from './status-error.ts';

export interface Selection {
  matches(object: ApiObject): boolean;
  /** False when everything matches. */
  readonly selective: boolean;
}

/** The selectors of a request. `name` restricts to one object, as a watch of an item's URL does. */
export function selectionOf(info: KindInfo, query: URLSearchParams, name = ''): Selection {
  const labelText = query.get('labelSelector') ?? '';
  const fieldText = query.get('fieldSelector') ?? '';
  try {
    const byLabel = parseLabelSelector(labelText);
    const byField = parseFieldSelector(info, fieldText);
    return {
      selective: labelText !== '' || fieldText !== '' || name !== '',
      matches: (object) =>
        (name === '' || object.metadata.name === name) &&
        (labelText === '' || byLabel(object.metadata.labels ?? {})) &&
        (fieldText === '' || byField(object)),
    };
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}
