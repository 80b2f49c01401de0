import { options, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { PageData } from './data.ts';
import { linkTo, type Place, placeOf } from './view/links.ts';
import { Report } from './view/report.tsx';

/** The report of a file: its data does not change, and its place is in the address. */
function App({ data }: { data: PageData }) {
  const [place, setPlace] = useState(placeOf(location.hash));
  const [isPrinting, setPrinting] = useState(false);
  useEffect(() => {
    const onHash = () => setPlace(placeOf(location.hash));
    // What is printed is what the page is when these events have ended, so that it must be drawn at once.
    const print = (now: boolean) => () => {
      const { debounceRendering } = options;
      options.debounceRendering = (draw) => draw();
      setPrinting(now);
      options.debounceRendering = debounceRendering;
    };
    const [before, after] = [print(true), print(false)];
    addEventListener('hashchange', onHash);
    addEventListener('beforeprint', before);
    addEventListener('afterprint', after);
    return () => {
      removeEventListener('hashchange', onHash);
      removeEventListener('beforeprint', before);
      removeEventListener('afterprint', after);
    };
  }, []);
  useEffect(() => {
    const { cause, mapping } = place;
    if (cause === '' && mapping === '') return;
    const target = document.getElementById(linkTo(cause === '' ? { mapping } : { cause }).slice(1));
    target?.scrollIntoView({ block: 'start' });
    target?.querySelector<HTMLElement>('a, button')?.focus({ preventScroll: true });
  }, [place]);
  const onPlace = (next: Place) => {
    // A choice is not a step of the reader's history: each letter of a search would be one.
    history.replaceState(null, '', linkTo(next));
    setPlace(next);
  };
  return <Report data={data} place={place} isPrinting={isPrinting} onPlace={onPlace} />;
}

const text = document.getElementById('data')?.textContent ?? '';
render(<App data={JSON.parse(text) as PageData} />, document.getElementById('page')!);
