import { andMore } from '../../util/and-more.ts';

/** How many names are shown where not all fit. */
export const FEW = 3;

/**
 * Many names in few words: those that differ in a number only as a range (`worker-[1-200]`, `node-[001-003,007]`), and where that is still
 * too long, the first of them and how many more. In the order of the first of each.
 */
export function foldNames(names: readonly string[], room: number): string {
  const all = names.join(', ');
  if (all.length <= room) return all;
  const folded = ranges(names);
  const text = folded.join(', ');
  if (text.length <= room) return text;
  for (let shown = FEW; shown > 0; shown--) {
    const some = andMore(names, shown);
    if (some.length <= room || shown === 1) return some;
  }
  return text;
}

interface Numbered {
  before: string;
  after: string;
  numbers: string[];
}

/** Names that differ only in their last number, as one each. */
function ranges(names: readonly string[]): string[] {
  const groups = Map.groupBy(names, (name) => {
    const { before, after, numbers } = split(name);
    // `01` and `1` are different names; `9` and `10` are the same kind of number.
    const digits = /^0\d/.test(numbers[0] ?? '') ? numbers[0]!.length : 0;
    return numbers.length === 0 ? name : JSON.stringify([before, after, digits]);
  });
  // Numbers of a fixed width have a leading zero only up to 09, 099, …
  const merged = [...groups.values()].map((group) => ({ ...split(group[0]!), group }));
  for (const padded of merged.filter(({ numbers }) => /^0\d/.test(numbers[0] ?? ''))) {
    const width = padded.numbers[0]!.length;
    const same = merged.find(
      (other) =>
        other !== padded &&
        other.before === padded.before &&
        other.after === padded.after &&
        other.group.length > 0,
    );
    if (same === undefined || /^0\d/.test(same.numbers[0] ?? '')) continue;
    const longer = same.group.filter((name) => split(name).numbers[0]?.length === width);
    padded.group.push(...longer);
    same.group = same.group.filter((name) => !longer.includes(name));
  }
  return merged
    .filter(({ group }) => group.length > 0)
    .map(({ before, after, group }) =>
      group.length === 1
        ? group[0]!
        : `${before}[${runs(group.map((name) => split(name).numbers[0]!))}]${after}`,
    );
}

/** A name around its last number: that of a domain's host, before the first dot. */
function split(name: string): Numbered {
  const [, before = '', number, after = ''] = /^([^.]*?)(\d{1,15})(\D*(?:\..*)?)$/s.exec(name) ?? [];
  return number === undefined
    ? { before: name, after: '', numbers: [] }
    : { before, after, numbers: [number] };
}

/** `1-3,7` */
function runs(numbers: readonly string[]): string {
  const sorted = [...new Set(numbers)].toSorted((a, b) => Number(a) - Number(b));
  const found: [first: string, last: string][] = [];
  for (const number of sorted) {
    const last = found.at(-1);
    if (last !== undefined && Number(number) === Number(last[1]) + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(',');
}
