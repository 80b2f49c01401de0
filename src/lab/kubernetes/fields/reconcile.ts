import { type Atom, fieldType, isDeducedMap, type TypeRef } from './atoms.ts';
import { FieldSet } from './field-set.ts';
import { fieldName, type PathElement } from './path-element.ts';

/**
 * A set of fields brought up to date with a type that has changed since it was written: who owned something within a list or
 * an object that has become one value owns that value. The set itself where nothing has.
 */
export function reconcile(set: FieldSet, atom: Atom): FieldSet {
  const atomic: PathElement[][] = [];
  visit(set, atom, false, [], atomic);
  if (atomic.length === 0) return set;
  const values = FieldSet.of(...atomic);
  return set.recursiveDifference(values).union(values);
}

function visit(
  set: FieldSet | undefined,
  atom: Atom,
  isOneValue: boolean,
  path: PathElement[],
  atomic: PathElement[][],
): void {
  let next: (element: PathElement) => TypeRef | undefined;
  if (atom.map !== undefined) {
    const map = atom.map;
    if (isDeducedMap(map)) return;
    if (!isOneValue && map.atomic) {
      if (set !== undefined && !set.isEmpty) atomic.push([...path]);
      return;
    }
    next = (element) => fieldType(map, fieldName(element) ?? '');
  } else if (atom.scalar === undefined && atom.list !== undefined) {
    const list = atom.list;
    if (!isOneValue && !list.associative) {
      atomic.push([...path]);
      return;
    }
    next = () => list.element;
  } else return;
  if (set === undefined) return;
  for (const element of set.members.union(new Set(set.children.keys()))) {
    const type = next(element);
    if (type === undefined) continue;
    const below = set.children.get(element);
    path.push(element);
    visit(below, type(), set.members.has(element) && below === undefined, path, atomic);
    path.pop();
  }
}
