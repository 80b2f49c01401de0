/** A list whose beginning others share: from its last item back to its first. */
export interface Link<T> {
  item: T;
  previous: Link<T> | undefined;
  length: number;
  /** A link far behind, by which any of them is found in few steps: branches of thousands of assumptions are compared thousands of times. */
  jump: Link<T> | undefined;
}

/**
 * The list with one more item at its end; the list itself stays as it is. The jumps are those of Myers, "An applicative random-access stack" (1983):
 * each as long as the two before it together and one more.
 */
export function push<T>(list: Link<T> | undefined, item: T): Link<T> {
  const [one, two] = [list?.jump, list?.jump?.jump];
  const length = lengthOf(list);
  const isPair = length - lengthOf(one) === lengthOf(one) - lengthOf(two);
  return { item, previous: list, length: length + 1, jump: isPair ? two : list };
}

function lengthOf(list: Link<unknown> | undefined): number {
  return list?.length ?? 0;
}

/** The beginning of a list that has this length; all of a list that is shorter. */
function beginning<T>(list: Link<T> | undefined, length: number): Link<T> | undefined {
  let link = list;
  while (link !== undefined && link.length > length) {
    link = lengthOf(link.jump) >= length ? link.jump : link.previous;
  }
  return link;
}

/** The items of a list, the first one first. */
export function toArray<T>(list: Link<T> | undefined): T[] {
  const items: T[] = [];
  for (let link = list; link !== undefined; link = link.previous) items.push(link.item);
  return items.reverse();
}

/** The longest beginning that is the same links of both, found in steps that grow with the logarithm of their lengths. */
export function commonPart<T>(a: Link<T> | undefined, b: Link<T> | undefined): Link<T> | undefined {
  const length = Math.min(lengthOf(a), lengthOf(b));
  let [x, y] = [beginning(a, length), beginning(b, length)];
  // Of the same length their jumps are as long, too.
  while (x !== y) {
    if (x!.jump === y!.jump) [x, y] = [x!.previous, y!.previous];
    else [x, y] = [x!.jump, y!.jump];
  }
  return x;
}
