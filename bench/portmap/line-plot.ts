/** One line of a plot. */
export interface Series {
  name: string;
  /** Lines of one owner have one colour, 0 to 3; a dashed line is another kind of the same. */
  colour: number;
  dashed?: boolean;
  points: readonly { x: number; y: number }[];
}

export interface Plot {
  title: string;
  x: { label: string; scale: 'log' | 'linear' };
  y: { label: string; scale: 'log' | 'linear' };
  series: readonly Series[];
}

const WIDTH = 780;
const HEIGHT = 360;
/** Where the lines are; their names stand to the right. */
const area = { left: 64, top: 40, right: 540, bottom: 312 };
/** Distinguishable on white and on black, and with red-green colour blindness (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];
const GAP = 15;

/** A plot as an SVG document, readable on a light and on a dark page. No value in it is outside text but names and labels. */
export function svgOf({ title, x, y, series }: Plot): string {
  const all = series.flatMap(({ points }) => points);
  const ticks = [...new Set(all.map((point) => point.x))].sort((a, b) => a - b);
  const across = scaleOf(x.scale, Math.min(...ticks), Math.max(...ticks), area.left, area.right);
  const largest = Math.max(...all.map((point) => point.y));
  const smallest = Math.min(...all.map((point) => point.y));
  const marks = y.scale === 'log' ? decades(smallest, largest) : steps(largest);
  const up = scaleOf(y.scale, marks[0]!, marks.at(-1)!, area.bottom, area.top);
  const ends = spread(series.map(({ points }) => up(points.at(-1)!.y)));
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    '<style>',
    'text { font: 12px system-ui, sans-serif; fill: #1f2328 } .grid { stroke: #d1d9e0 } .title { font-weight: 600; font-size: 14px }',
    '@media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .grid { stroke: #3d444d } }',
    ...colours.map(
      (colour, i) => `.c${i} { stroke: ${colour}; fill: none; stroke-width: 2 } .d${i} { fill: ${colour} }`,
    ),
    '</style>',
    text(area.left, 20, title, 'class="title"'),
    text(area.left, area.top - 6, y.label, ''),
    text((area.left + area.right) / 2, HEIGHT - 10, x.label, 'text-anchor="middle"'),
    ...marks.flatMap((mark) => [
      `<line class="grid" x1="${area.left}" x2="${area.right}" y1="${round(up(mark))}" y2="${round(up(mark))}"/>`,
      text(area.left - 8, up(mark) + 4, String(mark), 'text-anchor="end"'),
    ]),
    ...ticks.map((tick) =>
      text(across(tick), area.bottom + 18, tick.toLocaleString('en'), 'text-anchor="middle"'),
    ),
    ...series.flatMap(({ name, colour, dashed, points }, i) => {
      const places = points.map((point) => `${round(across(point.x))},${round(up(point.y))}`);
      const dash = dashed === true ? ' stroke-dasharray="6 4"' : '';
      return [
        `<polyline class="c${colour}"${dash} points="${places.join(' ')}"/>`,
        ...points.map((point) => {
          const place = `cx="${round(across(point.x))}" cy="${round(up(point.y))}"`;
          return `<circle class="d${colour}" r="3" ${place}><title>${escaped(name)}, ${point.x}: ${round(point.y)}</title></circle>`;
        }),
        text(area.right + 10, ends[i]! + 4, `${name}${dashed === true ? ' (dashed)' : ''}`, ''),
      ];
    }),
    '</svg>',
    '',
  ];
  return lines.join('\n');
}

function scaleOf(kind: 'log' | 'linear', low: number, high: number, from: number, to: number) {
  const place = kind === 'log' ? Math.log10 : (value: number) => value;
  const range = place(high) - place(low) || 1;
  return (value: number) => from + ((place(value) - place(low)) / range) * (to - from);
}

function decades(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** About five round numbers from nothing to the largest. */
function steps(largest: number): number[] {
  const rough = largest / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough)!;
  return Array.from({ length: Math.ceil(largest / step) + 1 }, (_, i) => i * step);
}

/** Moves overlapping names apart and keeps their order. */
function spread(places: readonly number[]): number[] {
  const order = places.map((place, i) => ({ place, i })).sort((a, b) => a.place - b.place);
  const result: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const { place, i } of order) {
    last = Math.max(place, last + GAP);
    result[i] = last;
  }
  // What was moved below the plot goes up again, and takes with it what is in its way.
  let next = area.bottom + GAP;
  for (const { i } of order.reverse()) {
    next = Math.min(result[i]!, next - GAP);
    result[i] = next;
  }
  return result;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
