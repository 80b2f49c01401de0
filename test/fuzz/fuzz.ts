import fc from 'fast-check';

/** Something that reads what strangers write. `check` throws where it did what it must not. */
export interface FuzzTarget {
  name: string;
  /** Of how many runs: the share of one that costs a tenth of a millisecond. */
  share: number;
  run(parameters: fc.Parameters<unknown>): Promise<number>;
}

/** A target that draws values, and says how often it did. */
export function target<T>(
  name: string,
  share: number,
  arbitrary: fc.Arbitrary<T>,
  check: (value: T) => void | Promise<void>,
): FuzzTarget {
  return {
    name,
    share,
    async run(parameters) {
      let runs = 0;
      const property = fc.asyncProperty(arbitrary, async (value) => {
        runs++;
        await check(value);
      });
      await fc.assert(property, parameters as fc.Parameters<[T]>);
      return runs;
    },
  };
}

const HOSTILE: readonly unknown[] = [
  ...[null, true, 0, -1, 0.5, 65_536, 2 ** 53, 1e308, '', ' ', '\0', 'x'.repeat(5000)],
  ...[
    '__proto__',
    '../../../etc/shadow',
    '/dev/zero',
    '\u001b]0;x\u0007',
    '999.1.1.1',
    '::ffff:1.2.3.4',
    '-',
  ],
  ...[
    [],
    {},
    [[]],
    [null],
    { toString: 1 },
    { length: 1e9 },
    { length: { toString: 1 } },
    { size: { toString: 1 } },
    '('.repeat(2000),
    '{"a":'.repeat(2000),
  ],
];

/** How a document is changed in one place: what is there is replaced, doubled or removed. */
const change = fc.record({
  at: fc.nat(),
  how: fc.oneof(
    { arbitrary: fc.constantFrom('double' as const, 'remove' as const, 'swap' as const), weight: 1 },
    { arbitrary: fc.constantFrom(...HOSTILE).map((value) => ({ value })), weight: 3 },
    { arbitrary: fc.jsonValue({ maxDepth: 2 }).map((value) => ({ value: value as unknown })), weight: 1 },
  ),
});

/** Documents of a corpus, changed in some places. */
export function changedDocument(corpus: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...corpus), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([document, changes]) => changes.reduce(changedAt, structuredClone(document)));
}

function changedAt(
  document: unknown,
  { at, how }: typeof change extends fc.Arbitrary<infer T> ? T : never,
): unknown {
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const visit = (holder: unknown) => {
    if (typeof holder !== 'object' || holder === null) return;
    for (const key of Object.keys(holder)) {
      places.push({ holder: holder as Record<string, unknown>, key });
      visit((holder as Record<string, unknown>)[key]);
    }
  };
  visit(document);
  const place = places[at % places.length];
  if (place === undefined) return document;
  const { holder, key } = place;
  if (typeof how === 'object') holder[key] = structuredClone(how.value);
  else if (how === 'remove') delete holder[key];
  else if (how === 'double' && Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
  else {
    const other = places[(at * 7919) % places.length]!;
    holder[key] = structuredClone(other.holder[other.key]);
  }
  return document;
}

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.oneof(fc.nat(8), fc.nat(400)),
  how: fc.constantFrom('remove', 'repeat', 'insert', 'splice', 'cut'),
  word: fc.nat(),
  text: fc.string({ unit: 'binary', maxLength: 6 }),
});

/** Texts of a corpus with parts removed, repeated, inserted from `words` or at random, or spliced from another one. */
export function changedText(corpus: readonly string[], words: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom(...corpus),
      fc.constantFrom(...corpus),
      fc.array(edit, { minLength: 1, maxLength: 6 }),
    )
    .map(([text, other, edits]) =>
      edits.reduce((changed, each) => edited(changed, other, words, each), text),
    );
}

function edited(
  text: string,
  other: string,
  words: readonly string[],
  { at, length, how, word, text: random }: typeof edit extends fc.Arbitrary<infer T> ? T : never,
): string {
  const start = Math.floor(at * text.length);
  const [before, part, after] = [
    text.slice(0, start),
    text.slice(start, start + length),
    text.slice(start + length),
  ];
  switch (how) {
    case 'remove':
      return before + after;
    case 'repeat':
      return before + part.repeat(1 + (word % 40)) + after;
    case 'insert':
      return before + (word % 2 === 0 ? random : words[word % words.length]!) + part + after;
    case 'splice': {
      const from = Math.floor(at * other.length);
      return before + other.slice(from, from + length) + after;
    }
    default:
      return before;
  }
}

/** Bytes of a corpus, changed in some places, and bytes at random. */
export function changedBytes(corpus: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const texts = corpus.map((bytes) => Buffer.from(bytes).toString('latin1'));
  const words = [
    '\0',
    '\xff',
    '\xff\xff\xff\xff',
    '\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01',
    '\x7f',
    '\0\0\0\0',
  ];
  return fc.oneof(
    {
      arbitrary: changedText(texts, words).map((text) => new Uint8Array(Buffer.from(text, 'latin1'))),
      weight: 4,
    },
    { arbitrary: fc.uint8Array({ maxLength: 300 }), weight: 1 },
  );
}

/** What a parser may throw: an error of one of these kinds, and nothing that shows a mistake of its own. */
export function refuses(work: () => unknown, ...kinds: readonly (new (...args: never[]) => Error)[]): void {
  try {
    work();
  } catch (error) {
    if (!kinds.some((kind) => error instanceof kind)) throw error;
  }
}
