import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { count } from './count.ts';
import { Mark, Name } from './marks.tsx';
import { type NodeRow, OTHER_PORTS, type PageIndex, type State, states } from './page-index.ts';
import { SIGNS } from './signs.ts';

/** Height of a row in pixels: as in page.css. */
const ROW = 36;
/** Rows that are drawn above and below those that can be seen. */
const MARGIN = 8;
/** Rows of which all are drawn. */
const ALL = 60;
/** Rows that are printed. */
const PRINTED = 500;
/** With more nodes the map begins with a picture of all. */
const OVERVIEW_FROM = 25;

/** Nodes as rows, hostPorts as columns, in each cell its worst mapping. `onChoose`: a node, and a port where one was chosen. */
export function NodeMapView({
  index,
  paths,
  choice,
  isPrinting,
  onChoose,
}: {
  index: PageIndex;
  paths: readonly number[];
  /** Names what was chosen: with another choice the map begins at its top, while other data leaves readers where they are. */
  choice: string;
  isPrinting: boolean;
  onChoose: (node: string, port: string) => void;
}) {
  const map = useMemo(() => index.mapOf(paths), [index, paths]);
  const { columns, rows } = map;
  const scroller = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [moved, setMoved] = useState({ row: 0, column: 0 });
  const isMoved = useRef(false);
  const isWhole = rows.length <= ALL || isPrinting;
  const first = isWhole ? 0 : Math.max(0, Math.floor(top / ROW) - MARGIN);
  const last = isWhole
    ? Math.min(rows.length, isPrinting ? PRINTED : rows.length)
    : Math.min(rows.length, Math.ceil((top + height) / ROW) + MARGIN);
  // Where Tab leads to: a cell that is drawn, wherever a mouse has scrolled.
  const at = {
    row: moved.row >= first && moved.row < last ? moved.row : Math.max(0, Math.min(first + MARGIN, last - 1)),
    column: Math.min(moved.column, columns.length),
  };
  useLayoutEffect(() => {
    setMoved({ row: 0, column: 0 });
    setTop(0);
    if (scroller.current !== null) scroller.current.scrollTop = 0;
  }, [choice]);
  useLayoutEffect(() => {
    if (!isMoved.current) return;
    isMoved.current = false;
    scroller.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
  }, [moved]);
  const move = (row: number, column: number) => {
    const next = {
      row: Math.max(0, Math.min(rows.length - 1, row)),
      column: Math.max(0, Math.min(columns.length, column)),
    };
    isMoved.current = true;
    const box = scroller.current;
    if (box !== null && !isWhole) {
      const y = next.row * ROW;
      if (y < box.scrollTop) box.scrollTop = y;
      else if (y + 2 * ROW > box.scrollTop + box.clientHeight) box.scrollTop = y + 2 * ROW - box.clientHeight;
      setTop(box.scrollTop);
    }
    setMoved(next);
  };
  const keys = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(height / ROW) - 2);
    const { row, column } = at;
    const steps: Record<string, [row: number, column: number]> = {
      ArrowDown: [row + 1, column],
      ArrowUp: [row - 1, column],
      ArrowRight: [row, column + 1],
      ArrowLeft: [row, column - 1],
      PageDown: [row + page, column],
      PageUp: [row - page, column],
      Home: event.ctrlKey ? [0, 0] : [row, 0],
      End: event.ctrlKey ? [rows.length - 1, columns.length] : [row, columns.length],
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    move(...step);
  };
  const onScroll = () => {
    setTop(scroller.current!.scrollTop);
    setHeight(scroller.current!.clientHeight);
  };
  if (rows.length === 0) return <p>No hostPort matches.</p>;
  return (
    <>
      {rows.length > OVERVIEW_FROM ? <Overview rows={rows} onChoose={onChoose} /> : null}
      <div class="map" ref={scroller} onScroll={onScroll}>
        <table
          // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: the grid of WAI-ARIA, which arrow keys move in.
          role="grid"
          aria-label="Nodes and hostPorts"
          aria-rowcount={rows.length + 1}
          aria-colcount={columns.length + 1}
          onKeyDown={keys}
        >
          <thead>
            <tr aria-rowindex={1}>
              <th scope="col">Node</th>
              {columns.map((column) => (
                <th key={column} scope="col">
                  <Name text={column} />
                </th>
              ))}
            </tr>
          </thead>
          <Space columns={columns.length} height={first * ROW} />
          <tbody>
            {rows.slice(first, last).map((row, i) => (
              <MapRow
                key={row.node}
                row={row}
                place={first + i}
                columns={columns}
                index={index}
                at={at}
                onChoose={onChoose}
              />
            ))}
          </tbody>
          <Space columns={columns.length} height={isPrinting ? 0 : (rows.length - last) * ROW} />
        </table>
      </div>
      {isPrinting && last < rows.length ? <p>And {count(rows.length - last, 'more node')}.</p> : null}
    </>
  );
}

/** In the place of rows that are not drawn. */
function Space({ columns, height }: { columns: number; height: number }) {
  if (height === 0) return null;
  return (
    <tbody aria-hidden="true" class="space">
      <tr>
        <td colSpan={columns + 1} style={{ height: `${height}px` }} />
      </tr>
    </tbody>
  );
}

function MapRow({
  row,
  place,
  columns,
  index,
  at,
  onChoose,
}: {
  row: NodeRow;
  place: number;
  columns: readonly string[];
  index: PageIndex;
  at: { row: number; column: number };
  onChoose: (node: string, port: string) => void;
}) {
  const tab = (column: number) => (at.row === place && at.column === column ? 0 : -1);
  const name = row.node === '' ? 'no node yet' : row.node;
  return (
    <tr aria-rowindex={place + 2}>
      <th scope="row">
        <button type="button" tabIndex={tab(0)} onClick={() => onChoose(row.node, '')}>
          <Mark kind={row.state} /> <Name text={name} />
        </button>
      </th>
      {row.cells.map((paths, i) => {
        const column = columns[i]!;
        const state = index.worst(paths);
        // Arrow keys lead to every cell, so that an empty one is focused as a whole: its text cannot be seen.
        return paths.length === 0 ? (
          <td
            key={column}
            // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a cell of the grid, which arrow keys lead to.
            role="gridcell"
            tabIndex={tab(i + 1)}
          >
            <span class="unseen">none</span>
          </td>
        ) : (
          <td key={column}>
            <button
              type="button"
              tabIndex={tab(i + 1)}
              onClick={() => onChoose(row.node, column === OTHER_PORTS ? '' : column)}
            >
              <Mark kind={state} />
              {paths.length > 1 ? <span class="many">{paths.length}</span> : null}
            </button>
          </td>
        );
      })}
    </tr>
  );
}

/** Pixels of a square of the overview, with the space around it. */
const SQUARE = 14;
const PER_LINE = 64;

/** Every node as a square, worst first: how much of the cluster it is, at a glance. The table below says the same in words. */
function Overview({
  rows,
  onChoose,
}: {
  rows: readonly NodeRow[];
  onChoose: (node: string, port: string) => void;
}) {
  const counts = states.flatMap((state): [State, number][] => {
    const number = rows.filter((row) => row.state === state).length;
    return number === 0 ? [] : [[state, number]];
  });
  const words = counts.map(([state, number]) => `${number.toLocaleString('en')} ${SIGNS[state].word}`);
  const perLine = Math.min(PER_LINE, Math.max(24, Math.ceil(Math.sqrt(rows.length * 4))));
  const height = Math.ceil(rows.length / perLine) * SQUARE;
  const choose = (event: MouseEvent) => {
    const svg = event.currentTarget as SVGSVGElement;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      svg.getScreenCTM()!.inverse(),
    );
    const column = Math.floor(x / SQUARE);
    const row = column < perLine && x >= 0 ? rows[Math.floor(y / SQUARE) * perLine + column] : undefined;
    if (row !== undefined) onChoose(row.node, '');
  };
  return (
    <figure class="overview">
      <figcaption>
        {count(rows.length, 'node')}: {words.join(', ')}
      </figcaption>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the table of the same nodes is for keys. */}
      <svg
        viewBox={`0 0 ${perLine * SQUARE} ${height}`}
        role="img"
        aria-label={`${count(rows.length, 'node')}: ${words.join(', ')}`}
        onClick={choose}
      >
        {counts.map(([state]) => (
          <Squares key={state} state={state} places={placesOf(rows, state, perLine)} />
        ))}
      </svg>
    </figure>
  );
}

/** Where the nodes of a state are in the overview. */
function placesOf(rows: readonly NodeRow[], state: State, perLine: number): { x: number; y: number }[] {
  return rows.flatMap((row, i) =>
    row.state === state ? { x: (i % perLine) * SQUARE, y: Math.floor(i / perLine) * SQUARE } : [],
  );
}

const SIZE = SQUARE - 2;
/** What is drawn in a square, relative to its corner. What is good has no sign. */
const INSIDE: Readonly<Record<State, string>> = {
  broken: `m3 3l${SIZE - 6} ${SIZE - 6}m0 ${6 - SIZE}l${6 - SIZE} ${SIZE - 6}`,
  risk: `m${SIZE / 2} 2.5v4.5m0 1.6v1`,
  unknown: `m${SIZE / 2 - 2} ${SIZE / 2}h4`,
  good: '',
};

/** All squares of a state: two shapes for any number of nodes, in the state's colour, and with a sign that is not a colour. */
function Squares({ state, places }: { state: State; places: readonly { x: number; y: number }[] }) {
  const at = (shape: string) => places.map(({ x, y }) => `M${x} ${y}${shape}`).join('');
  return (
    <g class={`square ${state}`}>
      <path class="box" d={at(`h${SIZE}v${SIZE}h-${SIZE}z`)} />
      {INSIDE[state] === '' ? null : <path class="inner" d={at(INSIDE[state])} />}
    </g>
  );
}
