import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import { count } from '../../page/view/count.ts';
import { Mark, Section } from '../../page/view/marks.tsx';
import { type State, states } from '../../page/view/page-index.ts';
import { SIGNS } from '../../page/view/signs.ts';
import type { Difference } from '../difference.ts';
import type { Moment } from '../history.ts';
import { DifferenceView } from './difference.tsx';
import { timeOf } from './times.ts';

/** The least and the most time that the line shows, in milliseconds. */
const LEAST_MS = 60 * 1000;
const MOST_MS = 60 * 60 * 1000;
/** Width of the line, in its own units. */
const WIDTH = 1000;
const HEIGHT = 28;
/** Of a moment, however short. */
const LEAST_WIDTH = 3;
/** Moments that are listed. */
const LISTED = 30;

/** The last hour: when verdicts changed, and what was different. `shown`: the moment that the page shows; undefined for what is now. */
export function HistoryView({
  moments,
  shown,
  onShow,
  readDifference,
}: {
  moments: readonly Moment[];
  shown: number | undefined;
  onShow: (id: number | undefined) => void;
  readDifference: (from: number, to: number) => Promise<Difference>;
}) {
  const newest = moments.at(-1);
  if (newest === undefined) return null;
  const listed = moments.slice(-LISTED).reverse();
  return (
    <Section id="history" title="The last hour">
      <Line moments={moments} />
      {moments.length === 1 ? (
        <p class="hint">No verdict has changed since {timeOf(newest.from)}.</p>
      ) : (
        <>
          <ol class="moments" reversed>
            {listed.map((moment) => {
              const isNow = moment.id === newest.id;
              const isShown = moment.id === (shown ?? newest.id);
              return (
                <li key={moment.id}>
                  <button
                    type="button"
                    aria-pressed={isShown}
                    onClick={() => onShow(isNow ? undefined : moment.id)}
                  >
                    <Mark kind={worstOf(moment)} />
                    <time dateTime={moment.from}>{timeOf(moment.from)}</time>
                    <span>{isNow ? 'now' : ''}</span>
                    <span class="hint">{countsText(moment)}</span>
                  </button>
                </li>
              );
            })}
          </ol>
          {moments.length > LISTED ? <p class="hint">And {moments.length - LISTED} earlier.</p> : null}
          <Compare moments={moments} readDifference={readDifference} />
        </>
      )}
    </Section>
  );
}

/** When the last look ended that succeeded. Not a property, since it changes at each look, and nothing but the line needs to be drawn again then. */
export const LookedAt = createContext<string | undefined>(undefined);

function Line({ moments }: { moments: readonly Moment[] }) {
  const { until } = moments.at(-1)!;
  // A look that saw nothing new makes no moment, and none of the last one's news.
  const end = Math.max(Date.parse(until), Date.parse(useContext(LookedAt) ?? until));
  const span = Math.min(MOST_MS, Math.max(LEAST_MS, end - Date.parse(moments[0]!.from)));
  const at = (time: string) => Math.max(0, WIDTH * (1 - (end - Date.parse(time)) / span));
  return (
    <>
      <svg
        class="hour"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${count(moments.length, 'moment')} of the last hour; the list has them`}
      >
        {moments.map((moment, i) => {
          const from = at(moment.from);
          const to = i + 1 < moments.length ? at(moments[i + 1]!.from) : WIDTH;
          const state = worstOf(moment);
          // Height says what colour says.
          const height = HEIGHT * { broken: 1, unknown: 0.75, risk: 0.5, good: 0.25 }[state];
          return (
            <rect
              key={moment.id}
              class={state}
              x={Math.min(from, WIDTH - LEAST_WIDTH)}
              y={HEIGHT - height}
              width={Math.max(LEAST_WIDTH, to - from)}
              height={height}
            />
          );
        })}
      </svg>
      <p class="ends hint" aria-hidden="true">
        <span>{timeOf(new Date(end - span).toISOString())}</span>
        <span>{timeOf(new Date(end).toISOString())}</span>
      </p>
    </>
  );
}

/** What is different between two moments that the reader chooses; the last two while nothing is chosen, or what was chosen is not kept any more. */
function Compare({
  moments,
  readDifference,
}: {
  moments: readonly Moment[];
  readDifference: (from: number, to: number) => Promise<Difference>;
}) {
  const [chosen, setChosen] = useState<{ from: number; to: number }>();
  const isKept = (id: number | undefined) => moments.some((moment) => moment.id === id);
  const { from, to } =
    chosen !== undefined && isKept(chosen.from) && isKept(chosen.to)
      ? chosen
      : { from: moments.at(-2)!.id, to: moments.at(-1)!.id };
  const [seen, setSeen] = useState<Difference | string>();
  useEffect(() => {
    let isWanted = true;
    readDifference(from, to).then(
      (difference) => isWanted && setSeen(difference),
      (error: Error) => isWanted && setSeen(error.message),
    );
    return () => {
      isWanted = false;
    };
  }, [from, to]);
  const choice = (label: string, which: 'from' | 'to') => (
    <label>
      {label}
      <select
        value={{ from, to }[which]}
        onChange={(event) => setChosen({ from, to, [which]: Number(event.currentTarget.value) })}
      >
        {moments.map((moment) => (
          <option key={moment.id} value={moment.id}>
            {timeOf(moment.from)}: {countsText(moment)}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <div class="compare">
      <h3>What changed</h3>
      <div class="filters">
        {choice('From', 'from')}
        {choice('To', 'to')}
      </div>
      {typeof seen === 'object' ? <DifferenceView difference={seen} /> : <p class="hint">{seen}</p>}
    </div>
  );
}

/** The worst that there was at a moment. */
export function worstOf({ mappings }: Pick<Moment, 'mappings'>): State {
  return states.find((state) => mappings[state] > 0) ?? 'good';
}

function countsText({ mappings }: Moment): string {
  const parts = states
    .filter((state) => mappings[state] > 0)
    .map((state) => `${mappings[state]} ${SIGNS[state].word}`);
  return parts.length === 0 ? 'no hostPorts' : parts.join(', ');
}
