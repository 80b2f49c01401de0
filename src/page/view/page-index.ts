import {
  type MappingState as State,
  mappingStates as states,
  worstVerdict,
} from '../../path/diagnose/count-mappings.ts';
import { type Stage, stages } from '../../path/model/stages.ts';
import type { CauseData, CellData, PageData, Text } from '../data.ts';

export { type State, states };

/** What of the mappings is shown; an empty text is no condition. */
export interface Filter {
  /** Words that all occur in the names of node, pod, port or code. */
  search: string;
  state: State | '';
  /** Where the mapping does not hold. */
  stage: Stage | '';
  code: string;
  node: string;
  namespace: string;
  /** `TCP 80`. */
  port: string;
}

export const NO_FILTER: Filter = {
  search: '',
  state: '',
  stage: '',
  code: '',
  node: '',
  namespace: '',
  port: '',
};

/** A row of the map: a node, or the pods without one. */
export interface NodeRow {
  /** Empty for pods without a node. */
  node: string;
  state: State;
  /** By column: the mappings there. */
  cells: number[][];
}

/** The map: nodes as rows, hostPorts as columns. */
export interface NodeMap {
  columns: string[];
  rows: NodeRow[];
}

/** Columns of the map; what is over goes into one of all others. */
const MAX_COLUMNS = 12;
export const OTHER_PORTS = 'other ports';

/** The data of a page with what follows from it, worked out once. */
export class PageIndex {
  readonly data: PageData;
  /** By mapping: a place in {@link states}. */
  readonly #states: Uint8Array;
  readonly #counts: Record<State, number>;
  readonly #haystacks: (string | undefined)[];
  readonly #places = new Map<string, number>();
  readonly #codes: string[][];

  constructor(data: PageData) {
    this.data = data;
    const stateOfCells = data.cells.map(worstVerdict);
    this.#codes = data.cells.map((cells) => [...new Set(cells.flatMap(({ codes }) => codes))]);
    this.#states = Uint8Array.from(data.paths.cells, (cells) => states.indexOf(stateOfCells[cells]!));
    this.#counts = { broken: 0, unknown: 0, risk: 0, good: 0 };
    for (const state of this.#states) this.#counts[states[state]!]++;
    this.#haystacks = Array.from({ length: this.length });
    for (let path = 0; path < this.length; path++) this.#places.set(this.keyOf(path), path);
  }

  /** How many mappings there are. */
  get length(): number {
    return this.#states.length;
  }

  /** The number of mappings in each state. */
  get counts(): Readonly<Record<State, number>> {
    return this.#counts;
  }

  text(place: Text | undefined): string {
    return this.data.texts[place ?? -1] ?? '';
  }

  stateOf(path: number): State {
    return states[this.#states[path]!]!;
  }

  node(path: number): string {
    return this.text(this.data.paths.node[path]);
  }

  namespace(path: number): string {
    return this.text(this.data.paths.namespace[path]);
  }

  /** `namespace/name`. */
  pod(path: number): string {
    return `${this.namespace(path)}/${this.text(this.data.paths.pod[path])}`;
  }

  /** `TCP 80`, with the address family where there are two. */
  port(path: number): string {
    const { port, family } = this.data.paths;
    return [this.text(port[path]), this.text(family[path])].filter((part) => part !== '').join(' ');
  }

  cells(path: number): readonly CellData[] {
    return this.data.cells[this.data.paths.cells[path]!]!;
  }

  codes(path: number): readonly string[] {
    return this.#codes[this.data.paths.cells[path]!]!;
  }

  /** A real name along a mapping; empty where it is not known. */
  name(path: number, name: keyof PageData['paths']['way']): string {
    return this.text(this.data.paths.way[name]?.[path]);
  }

  findings(path: number): readonly number[] {
    return this.data.findingLists[this.data.paths.findings[path]!] ?? [];
  }

  /** What a mapping is called in links. The same pod, port and node are the same mapping in another diagnosis. */
  keyOf(path: number): string {
    return [this.node(path), this.pod(path), this.port(path)].join(' ');
  }

  /** The mapping of a key; undefined when there is none. */
  pathOf(key: string): number | undefined {
    return this.#places.get(key);
  }

  cause(id: string): CauseData | undefined {
    return this.data.causes.find((cause) => cause.id === id);
  }

  /** The mappings that a filter lets through, worst first, then in the order of the diagnosis: that of the causes. */
  matching(filter: Filter): number[] {
    const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
    const stage = filter.stage === '' ? -1 : stages.indexOf(filter.stage);
    const found: number[] = [];
    for (let path = 0; path < this.length; path++) {
      if (filter.state !== '' && this.stateOf(path) !== filter.state) continue;
      if (filter.node !== '' && this.node(path) !== filter.node) continue;
      if (filter.port !== '' && this.#portOnly(path) !== filter.port) continue;
      if (filter.namespace !== '' && this.namespace(path) !== filter.namespace) continue;
      if (filter.code !== '' && !this.codes(path).includes(filter.code)) continue;
      if (stage >= 0 && !isOff(this.cells(path)[stage]!)) continue;
      if (words.length > 0 && !words.every((word) => this.#haystack(path).includes(word))) continue;
      found.push(path);
    }
    return found.sort((a, b) => this.#states[a]! - this.#states[b]! || a - b);
  }

  /** Nodes and ports of mappings, nodes with the worst first. */
  mapOf(paths: readonly number[]): NodeMap {
    const ports = new Map<string, number>();
    for (const path of paths) {
      const port = this.#portOnly(path);
      ports.set(port, (ports.get(port) ?? 0) + 1);
    }
    const byUse = [...ports].sort((a, b) => b[1] - a[1]).map(([port]) => port);
    const isFolded = byUse.length > MAX_COLUMNS;
    const shown = byUse.slice(0, isFolded ? MAX_COLUMNS - 1 : MAX_COLUMNS).sort(compareNames);
    const columns = isFolded ? [...shown, OTHER_PORTS] : shown;
    const columnOf = new Map(shown.map((port, i) => [port, i]));
    const rows = new Map<string, NodeRow>();
    for (const path of paths) {
      const node = this.node(path);
      const row = rows.get(node) ?? { node, state: 'good', cells: columns.map((): number[] => []) };
      rows.set(node, row);
      const column = columnOf.get(this.#portOnly(path)) ?? columns.length - 1;
      row.cells[column]!.push(path);
      row.state = worse(row.state, this.stateOf(path));
    }
    return {
      columns,
      rows: [...rows.values()].sort(
        (a, b) => states.indexOf(a.state) - states.indexOf(b.state) || compareNames(a.node, b.node),
      ),
    };
  }

  /** The worst of mappings. */
  worst(paths: readonly number[]): State {
    return paths.reduce<State>((state, path) => worse(state, this.stateOf(path)), 'good');
  }

  /** What a filter's lists offer, each sorted. */
  choices(): { nodes: string[]; namespaces: string[]; ports: string[]; codes: string[] } {
    const { paths, causes } = this.data;
    const distinct = (places: readonly Text[]) =>
      [...new Set(places)].flatMap((place) => (place < 0 ? [] : this.text(place))).sort(compareNames);
    return {
      nodes: distinct(paths.node),
      namespaces: distinct(paths.namespace),
      ports: distinct(paths.port),
      codes: [...new Set(causes.map(({ code }) => code))].sort(),
    };
  }

  /** `TCP 80`, of both families. */
  #portOnly(path: number): string {
    return this.text(this.data.paths.port[path]);
  }

  #haystack(path: number): string {
    this.#haystacks[path] ??= [this.node(path), this.pod(path), this.port(path), ...this.codes(path)]
      .join('\n')
      .toLowerCase();
    return this.#haystacks[path];
  }
}

const collator = new Intl.Collator('en', { numeric: true });

/** `worker-2` before `worker-10`. */
export function compareNames(a: string, b: string): number {
  return a === b ? 0 : collator.compare(a, b) || (a < b ? -1 : 1);
}

function worse(a: State, b: State): State {
  return states.indexOf(a) < states.indexOf(b) ? a : b;
}

/** Whether a stage is something to look at. What follows from another stage is not. */
function isOff({ verdict }: CellData): boolean {
  return verdict === 'broken' || verdict === 'risk' || verdict === 'unknown';
}
