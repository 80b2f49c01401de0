import { useEffect, useState } from 'preact/hooks';
import { Lines } from '../../page/view/marks.tsx';
import { safeText } from '../../util/safe-text.ts';
import type { WatchState } from '../protocol.ts';
import type { Link } from './connection.ts';
import { spanOf, timeOf } from './times.ts';

const LINKS: Readonly<Record<Exclude<Link, 'open'>, string>> = {
  opening: 'Connecting …',
  lost: 'No connection to hostport ui; trying again. What is shown may be old.',
  over: 'hostport ui has ended. What is shown is old; start it again and open the address that it prints.',
};

/** How fresh the page is: whether news comes, what is looked at, and since when nothing could be seen. */
export function Status({ link, watch }: { link: Link; watch: WatchState | undefined }) {
  const isTrouble = link === 'lost' || link === 'over' || watch?.state === 'trouble';
  return (
    <p class={`status ${isTrouble ? 'trouble' : 'live'}`}>
      <span class="pulse" aria-hidden="true" />
      {/* Read out when it becomes bad, and not at each look. */}
      <span role="status">{link === 'open' ? troubleOf(watch) : LINKS[link]}</span>
      {link === 'open' && watch !== undefined ? <Looks watch={watch} /> : null}
    </p>
  );
}

function troubleOf(watch: WatchState | undefined) {
  if (watch?.state !== 'trouble') {
    if (watch?.unwatched === undefined) return 'Live.';
    return (
      <>
        Live, but changes are seen at the next look only: <Lines text={watch.unwatched} />
      </>
    );
  }
  return (
    <>
      Cannot look at the cluster; trying again. <Lines text={watch.detail ?? ''} />
    </>
  );
}

/** When it was looked at. */
function Looks({ watch: { state, detail, lookedAt, changed } }: { watch: WatchState }) {
  const now = useNow();
  return (
    <span class="hint">
      {lookedAt === undefined
        ? ''
        : `Seen ${spanOf(now - Date.parse(lookedAt))} ago, at ${timeOf(lookedAt)}. `}
      {state === 'looking' ? `Looking${detail === undefined ? '' : `: ${safeText(detail)}`} … ` : ''}
      {changed > 0 && state !== 'looking' ? 'Something has changed since; looking again soon.' : ''}
    </span>
  );
}

/** The time, every second. */
function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
