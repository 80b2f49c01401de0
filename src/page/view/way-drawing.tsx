import { type Stage, stages } from '../../path/model/stages.ts';
import { safeText } from '../../util/safe-text.ts';
import type { CellData } from '../data.ts';
import type { PageIndex } from './page-index.ts';
import { SIGNS } from './signs.ts';
import { isReplied, linksOf } from './way-links.ts';

type Verdict = CellData['verdict'];

/** Stages that hold once, when the pod starts; the others are every packet's. */
const OF_START = 5;

/** Characters of a name that fit below a station. */
const NAME = 18;
/** Pixels of the drawing: of a station, of the whole, and where the line of stations is. */
const STEP = 140;
const WIDTH = stages.length * STEP;
const LINE = 62;
/** Pixels of a line of names below a station; and of the drawing with two such lines. */
const NAME_STEP = 16;
const HEIGHT = 196;

/** What is said at each stage of a mapping: real names where they are known. */
export function stationNames(index: PageIndex, path: number): Record<Stage, string[]> {
  const name = (key: Parameters<PageIndex['name']>[1]) => index.name(path, key);
  const file = name('list');
  const { containerPort } = index.data.paths;
  return {
    declared: [index.pod(path), `${index.port(path)} → ${containerPort[path]}`],
    scheduled: [index.node(path)],
    configured: [file.slice(file.lastIndexOf('/') + 1), name('plugins')],
    installed: [name('binary')],
    attached: [name('network'), name('sandbox')],
    translated: [name('address'), name('chain').split(' ').at(-1) ?? ''],
    forwarded: [name('route'), name('device')],
    answered: [name('pod'), name('probes')],
  };
}

/** The same for the drawing, in which there is room for short names: each outcome of the probes has a line. */
function shortNames(index: PageIndex, path: number): Record<Stage, string[]> {
  const names = stationNames(index, path);
  const counts = new Map<string, number>();
  for (const probe of index.name(path, 'probes').split(', ').filter(Boolean)) {
    const outcome = probe.slice(probe.indexOf(': ') + 2);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  const probes = [...counts].map(([outcome, number]) => `${number} ${outcome}`);
  const pod = index.pod(path);
  return {
    ...names,
    declared: [pod.slice(pod.indexOf('/') + 1), ...names.declared.slice(1)],
    answered: [...names.answered.slice(0, -1), ...probes],
  };
}

/** A name that is too long, without its middle: beginning and end are what tells names apart. */
export function fitted(text: string, length = NAME): string {
  const safe = safeText(text);
  if (safe.length <= length) return safe;
  const half = Math.floor((length - 1) / 2);
  return `${safe.slice(0, length - 1 - half)}…${safe.slice(-half)}`;
}

/** The drawing in a sentence, for screen readers. */
export function describeWay(cells: readonly CellData[]): string {
  const words = stages.map((stage, i) => `${stage} ${SIGNS[cells[i]!.verdict].word}`);
  return `The way of a packet in eight stages: ${words.join(', ')}.`;
}

/** The eight stages as the way of a packet, and the way of its answer. */
export function WayDrawing({ index, path }: { index: PageIndex; path: number }) {
  const cells = index.cells(path);
  const names = shortNames(index, path);
  const x = (stage: number) => STEP / 2 + stage * STEP;
  const reply = index.name(path, 'reply');
  const verdicts = cells.map(({ verdict }) => verdict);
  const links = linksOf(verdicts);
  const entry = index.name(path, 'entry');
  const lines = Math.max(...stages.map((stage) => names[stage].filter((name) => name !== '').length));
  const below = Math.max(0, lines - 2) * NAME_STEP;
  return (
    <svg class="way" viewBox={`0 0 ${WIDTH} ${HEIGHT + below}`} role="img" aria-label={describeWay(cells)}>
      <Group from={x(0)} to={x(OF_START - 1)} text="once, when the pod starts" />
      <Group
        from={x(OF_START)}
        to={x(stages.length - 1)}
        text={entry === '' ? 'every packet' : `every packet, in by ${fitted(entry)}`}
      />
      {links.map((verdict, i) => (
        <Link key={stages[i]} from={x(i)} to={x(i + 1)} verdict={verdict} />
      ))}
      {stages.map((stage, i) => (
        <Station key={stage} x={x(i)} stage={stage} verdict={verdicts[i]!} names={names[stage]} />
      ))}
      <g
        class={`reply ${isReplied(verdicts, OF_START) ? 'ok' : 'muted'}`}
        transform={`translate(0 ${below})`}
      >
        <path d={`M${x(stages.length - 1)} 152V162H${x(OF_START)}`} />
        <path class="head" d={`M${x(OF_START) + 8} 157L${x(OF_START)} 162L${x(OF_START) + 8} 167`} />
        <text x={WIDTH - 12} y={184} text-anchor="end">
          {reply === '' ? 'the answer: its way is not known' : `the answer: ${fitted(reply, 110)}`}
        </text>
      </g>
    </svg>
  );
}

function Group({ from, to, text }: { from: number; to: number; text: string }) {
  return (
    <g class="group">
      <path d={`M${from - STEP / 2 + 10} 24V18H${to + STEP / 2 - 10}V24`} />
      <text x={(from + to) / 2} y={12} text-anchor="middle">
        {text}
      </text>
    </g>
  );
}

/** A link between two stations: whole, broken apart, dashed or dotted. */
function Link({ from, to, verdict }: { from: number; to: number; verdict: Verdict }) {
  const [a, b] = [from + 15, to - 15];
  const middle = (a + b) / 2;
  if (verdict !== 'broken') return <path class={`link ${verdict}`} d={`M${a} ${LINE}H${b}`} />;
  return (
    <g class="link broken">
      <path d={`M${a} ${LINE}H${middle - 14}M${middle + 14} ${LINE}H${b}`} />
      <path
        d={`M${middle - 8} ${LINE - 8}L${middle + 8} ${LINE + 8}M${middle + 8} ${LINE - 8}L${middle - 8} ${LINE + 8}`}
      />
    </g>
  );
}

/** Shapes by verdict, so that they differ without colour, around the origin. */
const SHAPES: Readonly<Record<Verdict, string>> = {
  ok: 'M-12 0A12 12 0 1 0 12 0A12 12 0 1 0 -12 0Z',
  broken: 'M-11 -11H11V11H-11Z',
  risk: 'M0 -14L13 10H-13Z',
  unknown: 'M0 -14L14 0L0 14L-14 0Z',
  muted: 'M-6 0A6 6 0 1 0 6 0A6 6 0 1 0 -6 0Z',
};

function Station({
  x,
  stage,
  verdict,
  names,
}: {
  x: number;
  stage: Stage;
  verdict: Verdict;
  names: readonly string[];
}) {
  return (
    <g class={`station ${verdict}`} transform={`translate(${x} ${LINE})`}>
      <path d={SHAPES[verdict]} />
      <text class="sign" y={5} text-anchor="middle">
        {verdict === 'muted' ? '' : SIGNS[verdict].sign}
      </text>
      <text class="title" y={34} text-anchor="middle">
        {stage}
      </text>
      {names
        .filter((name) => name !== '')
        .map((name, i) => (
          <text key={name} class="real" y={54 + NAME_STEP * i} text-anchor="middle">
            <title>{safeText(name)}</title>
            {fitted(name)}
          </text>
        ))}
    </g>
  );
}
