import { render } from 'preact';
import type { PageData } from './data.ts';
import { usePlace } from './view/place.ts';
import { Report } from './view/report.tsx';

/** The report of a file: its data does not change. */
function App({ data }: { data: PageData }) {
  return <Report data={data} {...usePlace(true)} />;
}

const text = document.getElementById('data')?.textContent ?? '';
render(<App data={JSON.parse(text) as PageData} />, document.getElementById('page')!);
