import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { PageData } from '../../page/data.ts';
import { usePlace } from '../../page/view/place.ts';
import type { Moment } from '../history.ts';
import type { LabOrder } from '../lab-door.ts';
import type { LabState, TrafficShown, UiStart, WatchState } from '../protocol.ts';
import { follow, type Link, readDifference, readMoment, readMoments, send } from './connection.ts';
import { LivePage } from './live-page.tsx';
import { withNewest } from './moments.ts';
import { Newest } from './newest.ts';

/** The live page with its connection: what comes is shown, what is chosen is sent. */
export function LiveApp({ start }: { start: UiStart }) {
  const [link, setLink] = useState<Link>('opening');
  const [watch, setWatch] = useState<WatchState>();
  const [traffic, setTraffic] = useState<TrafficShown>({ ports: [], leftOut: 0 });
  const [lab, setLab] = useState<LabState>({ injected: [] });
  const [moments, setMoments] = useState<Moment[]>([]);
  const [data, setData] = useState<PageData>();
  const [pinned, setPinned] = useState<{ id: number; data: PageData }>();
  const [problem, setProblem] = useState('');
  const [pinProblem, setPinProblem] = useState('');
  const shown = usePlace((pinned?.data ?? data) !== undefined);
  // The list that is shown, and the moment that has come last.
  const seenMoments = useRef<{ known: Moment[]; came: Moment | undefined }>({ known: [], came: undefined });
  const newest = useMemo(
    () =>
      new Newest(
        (id) => {
          const { known, came } = seenMoments.current;
          // Moments may have come and gone while there was no connection: then all are read.
          const more = came === undefined ? undefined : withNewest(known, came);
          return Promise.all([readMoment(start, id), more ?? readMoments(start)]);
        },
        (_, [seen, all]) => {
          seenMoments.current.known = all;
          setData(seen);
          setMoments(all);
        },
        setProblem,
      ),
    [],
  );
  const pin = useMemo(
    () =>
      new Newest(
        (id) => readMoment(start, id),
        (id, seen) => setPinned({ id, data: seen }),
        setPinProblem,
      ),
    [],
  );
  useEffect(() => {
    return follow(start, {
      link: setLink,
      topic(topic, value) {
        if (topic === 'watch') setWatch(value as WatchState);
        else if (topic === 'traffic') setTraffic(value as TrafficShown);
        else if (topic === 'lab') setLab(value as LabState);
        else {
          seenMoments.current.came = value as Moment;
          newest.want((value as Moment).id);
        }
      },
    });
  }, []);
  const show = (id: number | undefined) => {
    setPinProblem('');
    if (id !== undefined) return pin.want(id);
    pin.forget();
    setPinned(undefined);
  };
  return (
    <LivePage
      start={start}
      live={{ link, watch, traffic, lab, moments, problem: [problem, pinProblem].filter(Boolean).join('; ') }}
      data={pinned?.data ?? data}
      pinned={pinned?.id}
      shown={shown}
      onShow={show}
      onOrder={(order: LabOrder) => send(start, order)}
      readDifference={(from, to) => readDifference(start, from, to)}
    />
  );
}
