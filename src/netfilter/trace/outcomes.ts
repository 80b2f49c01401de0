import { type AddressValue, formatAddress } from '../../util/address.ts';
import type { Branch, Ended } from './branch.ts';
import { toArray } from './shared-list.ts';
import type { Known, Outcome, Trace, Translation } from './trace-types.ts';

/** What became of a packet by all of its branches: each outcome, and what they agree in. */
export function summarise(ended: readonly Ended[]): Trace {
  const outcomes = ended.map(outcomeOf);
  const [first] = outcomes;
  if (outcomes.length === 1 && first!.verdict !== 'unknown') {
    const { verdict, translation, sourceTranslation } = first!;
    return {
      outcomes,
      verdict: { known: true, value: verdict },
      translation: { known: true, value: translation },
      sourceTranslation: { known: true, value: sourceTranslation },
    };
  }
  const settled = (bound: (branch: Branch) => boolean) => (_: Outcome, i: number) =>
    ended[i]!.verdict !== 'unknown' || bound(ended[i]!.branch);
  return {
    outcomes,
    verdict: agreed(
      outcomes,
      ({ verdict }) => verdict,
      String,
      (_, i) => ended[i]!.verdict !== 'unknown',
    ),
    translation: agreed(
      outcomes,
      ({ translation }) => translation,
      translationKey,
      settled((branch) => branch.destinationBound),
    ),
    sourceTranslation: agreed(
      outcomes,
      ({ sourceTranslation }) => sourceTranslation,
      translationKey,
      settled((branch) => branch.sourceBound),
    ),
  };
}

function outcomeOf({ branch, verdict, decision }: Ended): Outcome {
  return {
    verdict,
    decision,
    translation: branch.translation,
    sourceTranslation: branch.sourceTranslation,
    delivery: branch.delivery,
    source: textOf(branch.source),
    destination: textOf(branch.destination),
    destinationPort: branch.destinationPort,
    mark: branch.mark,
    connectionMark: branch.connectionMark,
    notrack: branch.notrack,
    steps: toArray(branch.steps),
    several: branch.several,
    assumed: toArray(branch.assumed),
  };
}

function textOf(value: AddressValue | undefined): string | undefined {
  return value === undefined ? undefined : formatAddress(value);
}

/** What all outcomes agree in; otherwise what they differ by. */
function agreed<T>(
  outcomes: readonly Outcome[],
  value: (outcome: Outcome) => T,
  key: (value: T) => string,
  settled: (outcome: Outcome, index: number) => boolean,
): Known<T> {
  const first = value(outcomes[0]!);
  const firstKey = outcomes.length === 1 ? '' : key(first);
  const same = outcomes.every(
    (outcome, i) => settled(outcome, i) && (i === 0 || key(value(outcome)) === firstKey),
  );
  if (same) return { known: true, value: first };
  const unknowns = outcomes.flatMap(({ assumed }) => assumed.map(({ unknown }) => unknown));
  return { known: false, because: [...new Set(unknowns)] };
}

function translationKey(translation: Translation | undefined): string {
  if (translation === undefined) return '';
  const { kind, to } = translation;
  return [kind, to.address?.from, to.address?.to, to.port?.from, to.port?.to].join(' ');
}
