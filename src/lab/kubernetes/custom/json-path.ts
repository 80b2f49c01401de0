import { setOwn } from '../../../kube/patch/json.ts';
import { isObject, type Json, type JsonObject } from '../../../util/json.ts';

/** A step of a path: a field, an index, or all items. */
type Step = string | number | '*';

/**
 * The steps of a simple JSONPath as columns and selectable fields have them: `.spec.ports[0].name`,
 * `.status.conditions[?(@.type=="Ready")].status`, `.metadata.labels['a\.b']`. Undefined for one that is not understood.
 */
export function parseJsonPath(text: string): ((value: Json) => Json[]) | undefined {
  const steps: ((values: Json[]) => Json[])[] = [];
  let rest = text;
  while (rest !== '') {
    const match =
      /^\.((?:[\w-]|\\.)+)|^\[(-?\d+)\]|^\[(\*)\]|^\.(\*)|^\['((?:[^'\\]|\\.)*)'\]|^\[\?\(\s*@((?:\.[\w-]+)+)\s*==\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\s*\)\]/.exec(
        rest,
      );
    if (match === null) return undefined;
    rest = rest.slice(match[0].length);
    const [, field, index, all, star, quoted, by, double, single, bare] = match;
    if (field !== undefined) steps.push(step(field.replaceAll(/\\(.)/g, '$1')));
    else if (quoted !== undefined) steps.push(step(quoted.replaceAll(/\\(.)/g, '$1')));
    else if (index !== undefined) steps.push(step(Number(index)));
    else if (all !== undefined || star !== undefined) steps.push(step('*'));
    else steps.push(filter(by!.slice(1).split('.'), double ?? single ?? bare ?? ''));
  }
  return (value) => steps.reduce((values, next) => next(values), [value]);
}

function step(name: Step): (values: Json[]) => Json[] {
  return (values) =>
    values.flatMap((value) => {
      if (name === '*')
        return Array.isArray(value)
          ? value
          : isObject(value)
            ? Object.values(value as Record<string, Json>)
            : [];
      const found = Array.isArray(value)
        ? typeof name === 'number'
          ? value.at(name)
          : undefined
        : isObject(value) && Object.hasOwn(value, name)
          ? (value as Record<string, Json>)[name]
          : undefined;
      return found === undefined ? [] : [found];
    });
}

function filter(path: string[], wanted: string): (values: Json[]) => Json[] {
  return (values) =>
    values
      .flatMap((value) => (Array.isArray(value) ? value : []))
      .filter((item) => {
        const [found] = path.reduce<Json[]>((current, name) => step(name)(current), [item]);
        return found !== undefined && String(found) === wanted;
      });
}

/** The value at a path of plain fields (`.spec.replicas`); undefined when there is none. */
export function valueAt(object: Json, path: string): Json | undefined {
  return fieldsOfPath(path).reduce<Json | undefined>((value, name) => {
    return isObject(value) && Object.hasOwn(value, name) ? (value as Record<string, Json>)[name] : undefined;
  }, object);
}

/** Sets the value at a path of plain fields, with the objects that lead there. Changes `object`. */
export function setValueAt(object: { [field: string]: unknown }, path: string, value: Json): void {
  const names = fieldsOfPath(path);
  let inner = object as JsonObject;
  for (const name of names.slice(0, -1)) {
    if (!Object.hasOwn(inner, name) || !isObject(inner[name])) setOwn(inner, name, {});
    inner = inner[name] as JsonObject;
  }
  setOwn(inner, names.at(-1)!, value);
}

/** The names in a path of plain fields. */
function fieldsOfPath(path: string): string[] {
  return path.replace(/^\./, '').split('.');
}
