import { useEffect, useMemo, useState } from 'preact/hooks';
import type { PageData } from '../../page/data.ts';
import { usePlace } from '../../page/view/place.ts';
import type { Moment } from '../history.ts';
import type { LabOrder } from '../lab-door.ts';
import type { LabState, Traffic, UiStart, WatchState } from '../protocol.ts';
import { follow, type Link, readDifference, readMoment, readMoments, send } from './connection.ts';
import { LivePage } from './live-page.tsx';
import { withNewest } from './moments.ts';

/** The live page with its connection: what comes is shown, what is chosen is sent. */
export function LiveApp({ start }: { start: UiStart }) {
  const [link, setLink] = useState<Link>('opening');
  const [watch, setWatch] = useState<WatchState>();
  const [traffic, setTraffic] = useState<Traffic[]>([]);
  const [lab, setLab] = useState<LabState>({ injected: [] });
  const [moments, setMoments] = useState<Moment[]>([]);
  const [data, setData] = useState<PageData>();
  const [pinned, setPinned] = useState<{ id: number; data: PageData }>();
  const [problem, setProblem] = useState('');
  const shown = usePlace((pinned?.data ?? data) !== undefined);
  const newest = useMemo(() => new Newest(start, setData, setProblem), []);
  useEffect(() => {
    let known: Moment[] = [];
    const onMoment = async (moment: Moment) => {
      newest.want(moment.id);
      const more = withNewest(known, moment);
      try {
        const read = more ?? (await readMoments(start));
        // Of two that are read at once, the one that began first may come last.
        if ((read.at(-1)?.id ?? 0) < (known.at(-1)?.id ?? 0)) return;
        known = read;
        setMoments(known);
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
      }
    };
    return follow(start, {
      link: setLink,
      topic(topic, value) {
        if (topic === 'watch') setWatch(value as WatchState);
        else if (topic === 'traffic') setTraffic(value as Traffic[]);
        else if (topic === 'lab') setLab(value as LabState);
        else onMoment(value as Moment);
      },
    });
  }, []);
  const show = (id: number | undefined) => {
    setProblem('');
    if (id === undefined) return setPinned(undefined);
    readMoment(start, id).then(
      (seen) => setPinned({ id, data: seen }),
      (error: Error) => setProblem(error.message),
    );
  };
  return (
    <LivePage
      start={start}
      live={{ link, watch, traffic, lab, moments, problem }}
      data={pinned?.data ?? data}
      pinned={pinned?.id}
      shown={shown}
      onShow={show}
      onOrder={(order: LabOrder) => send(start, order)}
      readDifference={(from, to) => readDifference(start, from, to)}
    />
  );
}

/** Reads the newest moment, one at a time: of those that come meanwhile, the last. */
class Newest {
  readonly #start: UiStart;
  readonly #show: (data: PageData) => void;
  readonly #fail: (why: string) => void;
  #wanted: number | undefined;
  #isReading = false;

  constructor(start: UiStart, show: (data: PageData) => void, fail: (why: string) => void) {
    this.#start = start;
    this.#show = show;
    this.#fail = fail;
  }

  want(id: number): void {
    this.#wanted = id;
    if (!this.#isReading) this.#read();
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    while (this.#wanted !== undefined) {
      const id = this.#wanted;
      this.#wanted = undefined;
      try {
        this.#show(await readMoment(this.#start, id));
      } catch (error) {
        this.#fail(error instanceof Error ? error.message : String(error));
      }
    }
    this.#isReading = false;
  }
}
