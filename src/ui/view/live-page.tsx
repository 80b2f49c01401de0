import { useMemo } from 'preact/hooks';
import type { PageData } from '../../page/data.ts';
import { Name } from '../../page/view/marks.tsx';
import { PageIndex } from '../../page/view/page-index.ts';
import type { PlaceShown } from '../../page/view/place.ts';
import { DiagnosisView, ThemeChoice } from '../../page/view/report.tsx';
import type { Difference } from '../difference.ts';
import type { Moment } from '../history.ts';
import type { LabOrder } from '../lab-door.ts';
import type { LabState, TrafficShown, UiStart, WatchState } from '../protocol.ts';
import type { Answer, Link } from './connection.ts';
import { HistoryView, LookedAt } from './history.tsx';
import { Status } from './status.tsx';
import { timeOf } from './times.ts';
import { TraceView } from './trace.tsx';
import { traceables } from './traceables.ts';
import { TrafficView } from './traffic.tsx';
import { Workbench } from './workbench.tsx';

/** What has come so far. */
export interface Live {
  link: Link;
  watch: WatchState | undefined;
  traffic: TrafficShown;
  lab: LabState;
  moments: readonly Moment[];
  /** Why something could not be read. */
  problem: string;
}

/** The live page. `pinned`: the moment that is shown instead of what is now. */
export function LivePage({
  start,
  live: { link, watch, traffic, lab, moments, problem },
  data,
  pinned,
  shown,
  onShow,
  onOrder,
  readDifference,
}: {
  start: UiStart;
  live: Live;
  data: PageData | undefined;
  pinned: number | undefined;
  shown: PlaceShown;
  onShow: (id: number | undefined) => void;
  onOrder: (order: LabOrder) => Promise<Answer>;
  readDifference: (from: number, to: number) => Promise<Difference>;
}) {
  const index = useMemo(() => data && new PageIndex(data), [data]);
  const ports = useMemo(() => (index === undefined ? [] : traceables(index)), [index]);
  const nodes = useMemo(() => index?.choices().nodes ?? [], [index]);
  const past = moments.find(({ id }) => id === pinned);
  const { title, version, faults } = start;
  // Drawn again only when something of it is new: what is looked at changes more often, and a large cluster has much to draw.
  const seen = useMemo(
    () =>
      index && (
        <DiagnosisView index={index} {...shown}>
          {faults === undefined ? null : (
            <>
              <TrafficView traffic={traffic} />
              <Workbench faults={faults} nodes={nodes} lab={lab} onOrder={onOrder} />
              <TraceView ports={ports} nodes={nodes} isBusy={lab.running !== undefined} onOrder={onOrder} />
            </>
          )}
          <HistoryView moments={moments} shown={pinned} onShow={onShow} readDifference={readDifference} />
        </DiagnosisView>
      ),
    [index, shown.place, shown.isPrinting, traffic, lab, moments, pinned],
  );
  return (
    <>
      <header class="top">
        <p class="what">
          <Name text={title} />
        </p>
        <p class="hint">hostport {version}</p>
        <ThemeChoice />
      </header>
      <main>
        <Status link={link} watch={watch} />
        {problem === '' ? null : <p role="alert">{problem}</p>}
        {pinned === undefined ? null : (
          <p class="past card risk">
            This is the cluster as it was{past === undefined ? ' then' : ` at ${timeOf(past.from)}`}.{' '}
            <button type="button" onClick={() => onShow(undefined)}>
              Back to now
            </button>
          </p>
        )}
        {index === undefined ? (
          <p>{watch?.state === 'trouble' ? 'Nothing could be seen yet.' : 'Looking at the cluster …'}</p>
        ) : (
          <LookedAt.Provider value={watch?.lookedAt}>{seen}</LookedAt.Provider>
        )}
      </main>
      <footer>
        <p>
          {faults === undefined
            ? 'This page only reads: nothing can be changed on this cluster from it.'
            : 'A cluster of the lab: what is broken here breaks nothing else.'}
        </p>
      </footer>
    </>
  );
}
