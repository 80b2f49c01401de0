import { statSync } from 'node:fs';
import type { CallCosts } from './adds.ts';
import type { Figures } from './report.ts';
import type { Backend, Subject } from './subjects.ts';

/** A figure that has bounds, in words, and whether it keeps them. */
interface Target {
  what: string;
  ours: string;
  reference: string;
  /** What the bounds are about. */
  measured: string;
  must: string;
  aim: string;
  isMet: boolean;
  isReached: boolean;
}

/** Milliseconds: the least that passed, which what else the machine does changes least, and the median of processors. */
interface Cost {
  least: number;
  cpu: number;
}

type Pair<T> = readonly [ours: T, reference: T];

const BACKENDS: readonly Backend[] = ['iptables', 'nftables'];
/** Chains of others that may cost an ADD little. */
export const FOREIGN = 5000;
/** Milliseconds that they may cost. */
const FOREIGN_MS = 20;
/** Milliseconds that a DEL may be above what the kernel alone takes, and an ADD among ten thousand mappings above one among one. */
const NEAR_MS = 5;
/** How much longer a connection may take. */
const FLAT = 1.15;

/** The figures that have bounds, against the current reference; none where that was not measured. */
export function targetsOf({ subjects, start, calls, bursts, connects, peaks, floor }: Figures): Target[] {
  const own = subjects.find(({ isOurs }) => isOurs)!;
  const reference = subjects.find(({ isOurs, backends }) => !isOurs && backends.includes('nftables'));
  if (reference === undefined) return [];
  const pair = <T>(find: (subject: Subject) => T): Pair<T> => [find(own), find(reference)];
  const call = (verb: 'add' | 'del', backend: Backend, more: Partial<CallCosts>) =>
    pair((subject) => {
      const wanted = { ports: 1, foreign: 0, ...more };
      const keys = Object.keys(wanted) as (keyof typeof wanted)[];
      return calls.find(
        (one) =>
          one.subject === subject && one.backend === backend && keys.every((key) => one[key] === wanted[key]),
      )![verb];
    });
  const peak = (backend: Backend, mappings: number) =>
    pair(
      (subject) =>
        peaks.find((one) => one.subject === subject && one.backend === backend && one.mappings === mappings)!
          .bytes,
    );
  const connect = (mappings: number) =>
    connects.find((one) => one.subject === own && one.backend === 'nftables' && one.mappings === mappings)!
      .least;
  const [alone, among] = [1, 10_000].map((mappings) => call('add', 'nftables', { mappings }));
  return [
    size(
      'executable',
      pair(({ plugin }) => statSync(plugin).size),
      2.5,
      1.5,
    ),
    starting(pair((subject) => start.find((one) => one.subject === subject)!.cost)),
    ...BACKENDS.flatMap((backend) => [
      size(`peak memory, ${backend}, 1 mapping`, peak(backend, 1), 8),
      size(`peak memory, ${backend}, 1 000 mappings`, peak(backend, 1000), 12),
    ]),
    faster('ADD, iptables, 1 mapping', call('add', 'iptables', { mappings: 1 }), 4, 6),
    faster('ADD, iptables, 1 000 mappings', call('add', 'iptables', { mappings: 1000 }), 6, 10),
    faster('ADD, nftables, 1 mapping', alone!, 6, 10),
    faster('ADD, nftables, 10 000 mappings', among!, 6, 10),
    amongMany(among![0], alone![0]),
    nearFloor('DEL, nftables, 1 mapping', call('del', 'nftables', { mappings: 1 }), 3.5, floor.least, true),
    nearFloor('DEL, nftables, 1 000 mappings', call('del', 'nftables', { mappings: 1000 }), 6, floor.least),
    nearFloor('DEL, iptables, 1 mapping', call('del', 'iptables', { mappings: 1 }), 3, floor.least),
    nearFloor('DEL, iptables, 1 000 mappings', call('del', 'iptables', { mappings: 1000 }), 6, floor.least),
    faster('DEL of 100 ports, nftables', call('del', 'nftables', { mappings: 1, ports: 100 }), 3, 6),
    ...BACKENDS.map((backend) =>
      faster(
        `110 pods at once, ${backend}`,
        pair((subject) => {
          const { wall, cpu } = bursts.find(
            (one) => one.subject === subject && one.backend === backend && one.pods === 110,
          )!;
          return { least: wall, cpu };
        }),
        4,
        4,
      ),
    ),
    flat('connect by the last of 10 000 mappings and of 1, nftables', connect(10_000), connect(1), 'µs'),
    ...BACKENDS.map((backend) =>
      amongOthers(
        backend,
        call('add', backend, { mappings: 1, foreign: FOREIGN }),
        call('add', backend, { mappings: 1 }),
      ),
    ),
  ];
}

/** Bytes, with bounds in MB; to be below the reference without an aim. */
function size(what: string, [own, other]: Pair<number>, must: number, aim?: number): Target {
  const said = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  return {
    ...{ what, ours: said(own), reference: said(other), measured: said(own), must: `≤ ${must} MB` },
    aim: aim === undefined ? 'below the reference' : `≤ ${aim} MB`,
    isMet: own <= must * 1e6,
    isReached: own <= (aim === undefined ? other : aim * 1e6),
  };
}

function starting([own, other]: Pair<Cost>): Target {
  return {
    what: 'start (VERSION)',
    ours: ms(own.least),
    reference: ms(other.least),
    measured: `${(own.least / other.least).toFixed(2)} of its time`,
    must: '≤ 1.25',
    aim: '< 1',
    isMet: own.least / other.least <= 1.25,
    isReached: own.least < other.least,
  };
}

/** How many times as fast ours is. */
function faster(what: string, [own, other]: Pair<Cost>, must: number, aim: number): Target {
  const times = other.least / own.least;
  return {
    what,
    ours: ms(own.least),
    reference: ms(other.least),
    measured: `${times.toFixed(1)}x (CPU ${(other.cpu / own.cpu).toFixed(1)}x)`,
    must: `≥ ${must}x`,
    aim: `≥ ${aim}x`,
    isMet: times >= must,
    isReached: times >= aim,
  };
}

/** As {@link faster}; no call can be faster than the kernel. `isBound`: it must not be much slower either. */
function nearFloor(what: string, costs: Pair<Cost>, must: number, floor: number, isBound = false): Target {
  const isReached = costs[0].least - floor <= NEAR_MS;
  const target = faster(what, costs, must, must);
  return {
    ...target,
    must: isBound ? `${target.must}, ≤ ${NEAR_MS} ms above the kernel` : target.must,
    aim: `the kernel, ${ms(floor)}`,
    isMet: target.isMet && (isReached || !isBound),
    isReached: target.isMet && isReached,
  };
}

function flat(what: string, many: number, few: number, unit: string): Target {
  const isFlat = many / few <= FLAT;
  return {
    ...{ what, ours: `${many.toFixed(1)} and ${few.toFixed(1)} ${unit}`, reference: '–' },
    measured: (many / few).toFixed(2),
    ...{ must: `≤ ${FLAT}`, aim: `≤ ${FLAT}`, isMet: isFlat, isReached: isFlat },
  };
}

/** The kernel looks at all verdicts of a table when one is added that jumps. */
function amongMany(many: Cost, few: Cost): Target {
  const more = many.least - few.least;
  return {
    what: 'ADD, nftables, 10 000 mappings and 1',
    ...{ ours: `${ms(many.least)} and ${ms(few.least)}`, reference: '–', measured: `${ms(more)} more` },
    ...{ must: `≤ ${NEAR_MS} ms more`, aim: `≤ ${NEAR_MS} ms more` },
    ...{ isMet: more <= NEAR_MS, isReached: more <= NEAR_MS },
  };
}

function amongOthers(backend: Backend, among: Pair<Cost>, alone: Pair<Cost>): Target {
  const [own, other] = [0, 1].map((i) => among[i]!.least - alone[i]!.least);
  return {
    what: `ADD among ${FOREIGN} chains of others, ${backend}`,
    ours: ms(among[0].least),
    reference: `${ms(among[1].least)}, ${ms(other!)} more`,
    measured: `${ms(own!)} more`,
    ...{ must: `≤ ${FOREIGN_MS} ms more`, aim: `≤ ${FOREIGN_MS} ms more` },
    ...{ isMet: own! <= FOREIGN_MS, isReached: own! <= FOREIGN_MS },
  };
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

/** The targets as a table of Markdown. */
export function targetTable(targets: readonly Target[]): string {
  return [
    '| | ours | reference | measured | must | aim | kept |',
    '|---|---|---|---|---|---|---|',
    ...targets.map(({ what, ours, reference, measured, must, aim, isMet, isReached }) => {
      const kept = isReached ? 'aim' : isMet ? 'must' : '**neither**';
      return `| ${[what, ours, reference, measured, must, aim, kept].join(' | ')} |`;
    }),
    '',
  ].join('\n');
}
