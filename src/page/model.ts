import { adviceOn } from '../path/diagnose/advice.ts';
import { type Cause, causesOf, mappingsBehind } from '../path/diagnose/causes.ts';
import { unknownGroups, unknownReasons } from '../path/diagnose/unknown-groups.ts';
import type { Diagnosis, Finding, PathVerdict, Unknown } from '../path/model/finding.ts';
import { formatPort } from '../path/model/host-ports.ts';
import { stages } from '../path/model/stages.ts';
import type { PacketWay } from '../path/view/packet-way.ts';
import type {
  CauseData,
  CellData,
  FindingColumns,
  PageData,
  PathColumns,
  UnknownData,
  UnknownStageData,
} from './data.ts';

/** What a page is made from. */
export interface PageInput {
  diagnosis: Diagnosis;
  /** The names along its mappings, as far as they are known. */
  ways?: ReadonlyMap<PathVerdict, PacketWay>;
  /** Names what was examined. */
  title: string;
  /** Version of the program. */
  version: string;
  /** How many mappings there are, where the diagnosis is of some that were chosen. Default: as many as it has. */
  examined?: number;
  /** A command of the documentation, as the reader has to type it. Default: as it is. */
  asTyped?: (command: string) => string;
}

/** How many characters of evidence a page has at most, and of rules: a few megabytes each, in a file that is to stay below 15. */
const MAX_EVIDENCE = 3_000_000;
const MAX_NAMES = 4_000_000;
/** How much of one text from outside is shown, in characters. */
const MAX_TEXT = 4000;

/** What the page of a diagnosis shows. Pure: the same diagnosis gives the same page. */
export function pageData(input: PageInput): PageData {
  const { diagnosis, ways, title, version, asTyped = same } = input;
  const { paths, findings, unknowns, observedAt } = diagnosis;
  const texts = new Interned<string>((text) => text);
  const causes = causesOf(findings, paths);
  const placeOf = new Map(paths.map((path, i) => [path, i]));
  const found = findingColumns(causes, texts);
  const lists = new Interned<number[]>(String);
  const cells = new Interned<CellData[]>(JSON.stringify);
  const findingsOf = findingsByPath(paths, found.placeOf);
  const columns: PathColumns = {
    node: paths.map(({ node }) => texts.placeOf(node)),
    namespace: paths.map(({ pod }) => texts.placeOf(pod.namespace)),
    pod: paths.map(({ pod }) => texts.placeOf(pod.name)),
    port: paths.map(({ port }) => texts.placeOf(formatPort(port))),
    family: paths.map(({ family }) => texts.placeOf(family)),
    containerPort: paths.map(({ port }) => port.containerPort),
    cells: paths.map((path) => cells.placeOf(cellsOf(path, texts))),
    findings: paths.map((path) => lists.placeOf(findingsOf.get(path) ?? [])),
    way: wayColumns(paths, ways, texts),
  };
  const named = new Map<string, number>();
  return {
    format: 1,
    title,
    observedAt,
    version,
    examined: input.examined ?? paths.length,
    paths: columns,
    cells: cells.items,
    findingLists: lists.items,
    findings: found.columns,
    evidence: found.evidence,
    evidenceOf: found.evidenceOf,
    causes: causes.map((cause) => {
      const { code } = cause.finding;
      const count = (named.get(code) ?? 0) + 1;
      named.set(code, count);
      return causeData(cause, {
        id: count === 1 ? code : `${code}.${count}`,
        pods: cause.hurtPods,
        asTyped,
        texts,
        paths: cause.hurt.map((path) => placeOf.get(path)!),
        findings: cause.findings.map((finding) => found.placeOf.get(finding)!),
      });
    }),
    unknowns: unknownData(unknowns, texts),
    unknownStages: unknownStageData(paths),
    // Last: it has every text by then.
    texts: texts.items,
  };
}

const same = (command: string) => command;

/** A list in which each thing is once, by a key. */
class Interned<T> {
  readonly items: T[] = [];
  readonly #places = new Map<string, number>();
  readonly #keyOf: (item: T) => string;

  constructor(keyOf: (item: T) => string) {
    this.#keyOf = keyOf;
  }

  /** The place of a thing, which is added where it is new; -1 for nothing. */
  placeOf(item: T | undefined): number {
    if (item === undefined) return -1;
    const key = this.#keyOf(item);
    const place = this.#places.get(key) ?? this.items.push(item) - 1;
    this.#places.set(key, place);
    return place;
  }
}

function cellsOf({ stages: verdicts }: PathVerdict, texts: Interned<string>): CellData[] {
  return stages.map((stage) => {
    const { verdict, codes, reason } = verdicts[stage];
    return { verdict, codes, reason: texts.placeOf(shortened(reason)) };
  });
}

/** The places of the findings behind each mapping. */
function findingsByPath(
  paths: readonly PathVerdict[],
  placeOf: ReadonlyMap<Finding, number>,
): Map<PathVerdict, number[]> {
  const mappings = mappingsBehind(paths);
  const behind = new Map<PathVerdict, number[]>();
  for (const [finding, place] of placeOf) {
    for (const path of mappings(finding)) {
      const places = behind.get(path);
      if (places === undefined) behind.set(path, [place]);
      else places.push(place);
    }
  }
  return behind;
}

function wayColumns(
  paths: readonly PathVerdict[],
  ways: ReadonlyMap<PathVerdict, PacketWay> | undefined,
  texts: Interned<string>,
): PathColumns['way'] {
  const columns: PathColumns['way'] = {};
  let left = MAX_NAMES;
  for (const [i, path] of paths.entries()) {
    for (const [name, text] of Object.entries(ways?.get(path) ?? {}) as [keyof PacketWay, string][]) {
      if (left < text.length) continue;
      const column = columns[name] ?? paths.map(() => -1);
      columns[name] = column;
      const before = texts.items.length;
      column[i] = texts.placeOf(shortened(text));
      if (texts.items.length > before) left -= text.length;
    }
  }
  return columns;
}

interface Found {
  columns: FindingColumns;
  evidence: PageData['evidence'];
  evidenceOf: number;
  placeOf: ReadonlyMap<Finding, number>;
}

function findingColumns(causes: readonly Cause[], texts: Interned<string>): Found {
  const columns: FindingColumns = { cause: [], node: [], pod: [], message: [], evidence: [] };
  const evidence = new Interned<PageData['evidence'][number]>(String);
  const placeOf = new Map<Finding, number>();
  let left = MAX_EVIDENCE;
  let evidenceOf = 0;
  for (const [place, cause] of causes.entries()) {
    for (const finding of cause.findings) {
      const { node, pod } = finding.subject;
      placeOf.set(finding, columns.cause.push(place) - 1);
      columns.node.push(texts.placeOf(node));
      columns.pod.push(texts.placeOf(pod && `${pod.namespace}/${pod.name}`));
      // What one finding says is said of its cause.
      columns.message.push(cause.findings.length === 1 ? -1 : texts.placeOf(shortened(finding.message)));
      const before = texts.items.length;
      const own =
        left <= 0
          ? []
          : finding.evidence.map(({ kind, where, saw }) =>
              evidence.placeOf([
                texts.placeOf(kind),
                texts.placeOf(shortened(where)),
                texts.placeOf(shortened(saw)),
              ]),
            );
      for (const text of texts.items.slice(before)) left -= text.length;
      columns.evidence.push(own);
      if (left > 0) evidenceOf = placeOf.size;
    }
  }
  return { columns, evidence: evidence.items, evidenceOf, placeOf };
}

function causeData(
  { finding, nodes, example }: Cause,
  {
    texts,
    asTyped,
    ...rest
  }: Pick<CauseData, 'id' | 'pods' | 'paths' | 'findings'> & {
    texts: Interned<string>;
    asTyped: (command: string) => string;
  },
): CauseData {
  const { code, stage, severity, message } = finding;
  return {
    ...{ code, stage, severity },
    message: shortened(message),
    ...(example.message !== undefined && { example: example.message }),
    advice: adviceOn(finding, asTyped),
    nodes: nodes.map((node) => texts.placeOf(node)),
    ...rest,
  };
}

function unknownData(unknowns: readonly Unknown[], texts: Interned<string>): UnknownData[] {
  return unknownGroups(unknowns).map(({ kind, what, why, nodes }) => ({
    ...{ kind, what },
    why: shortened(why),
    nodes: nodes.map((node) => texts.placeOf(node)),
  }));
}

function unknownStageData(paths: readonly PathVerdict[]): UnknownStageData[] {
  return unknownReasons(paths).map(({ stages: at, why, paths: of }) => ({
    stages: [...at],
    why: shortened(why),
    paths: of.length,
  }));
}

function shortened(text: string): string;
function shortened(text: string | undefined): string | undefined;
function shortened(text: string | undefined): string | undefined {
  if (text === undefined || text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT)} … (${text.length} characters)`;
}
