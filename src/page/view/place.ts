import { options } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { linkTo, type Place, placeOf } from './links.ts';

/** What of a page is shown, how that is chosen, and whether it is being printed. */
export interface PlaceShown {
  place: Place;
  isPrinting: boolean;
  onPlace: (place: Place) => void;
}

/** The place that is in the address. Once there is something to show (`isReady`), what a link leads to comes into view. */
export function usePlace(isReady: boolean): PlaceShown {
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
    if (!isReady || (cause === '' && mapping === '')) return;
    const target = document.getElementById(linkTo(cause === '' ? { mapping } : { cause }).slice(1));
    target?.scrollIntoView({ block: 'start' });
    target?.querySelector<HTMLElement>('a, button')?.focus({ preventScroll: true });
  }, [place, isReady]);
  const onPlace = (next: Place) => {
    // A choice is not a step of the reader's history: each letter of a search would be one.
    history.replaceState(null, '', linkTo(next));
    setPlace(next);
  };
  return { place, isPrinting, onPlace };
}
