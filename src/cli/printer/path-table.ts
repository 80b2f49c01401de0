import type { PathVerdict, StageVerdict } from '../../path/model/finding.ts';
import { formatPort } from '../../path/model/host-ports.ts';
import { type Stage, stages } from '../../path/model/stages.ts';
import { podName } from '../../path/view/pod-name.ts';
import { safeText } from '../../util/safe-text.ts';
import type { Style } from './colour.ts';
import { foldNames } from './fold-names.ts';
import type { Layout } from './layout.ts';
import { table } from './table.ts';
import { columns, elide } from './wrap.ts';

/** How a verdict is shown in a cell. */
export const MARKS: Readonly<Record<StageVerdict['verdict'], string>> = {
  ok: '✓',
  broken: '✗',
  risk: '!',
  unknown: '?',
  muted: '·',
};

/** What the colour of a mark stands for. */
export const MARK_STYLES: Readonly<Record<StageVerdict['verdict'], Style>> = {
  ok: 'good',
  broken: 'bad',
  risk: 'warning',
  unknown: 'unknown',
  muted: 'faint',
};

/** The stages in two letters, where there is no room for more. */
const SHORT: Readonly<Record<Stage, string>> = {
  declared: 'DE',
  scheduled: 'SC',
  configured: 'CO',
  installed: 'IN',
  attached: 'AT',
  translated: 'TR',
  forwarded: 'FO',
  answered: 'AN',
};

/** So many mappings with the same verdicts, and more, are one line. */
const MANY = 6;
/** Between two columns of a table that has little room. */
const GAP = '  ';
/** No name is shortened to less than this. */
const MIN_NAME = 8;

interface Row {
  node: string;
  pod: string;
  port: string;
  verdicts: readonly StageVerdict['verdict'][];
}

/**
 * One line a mapping and one cell a stage. Mappings of one port with the same verdicts are one line where they are many. Where the names of the
 * stages do not fit, they are two letters each, with a legend; where names do not, they lose their middle.
 */
export function pathTable(paths: readonly PathVerdict[], layout: Layout): string {
  const rows = layout.isUnfolded ? paths.map(rowOf) : foldedRows(paths);
  const full = table(
    ['NODE', 'POD', 'PORT', ...stages.map((stage) => stage.toUpperCase())],
    rows.map(({ node, pod, port, verdicts }) => [
      ...[node, pod, port],
      ...verdicts.map((verdict) => ({ value: MARKS[verdict], style: MARK_STYLES[verdict] })),
    ]),
    { width: Number.POSITIVE_INFINITY, paint: layout.paint },
  );
  const fits = full.split('\n').every((line) => columns(line) <= layout.width);
  return fits ? full : shortTable(rows, layout);
}

function rowOf({ node, pod, port, family, stages: verdicts }: PathVerdict): Row {
  return {
    node: node ?? '<none>',
    pod: podName(pod),
    port: [formatPort(port), family].filter((part) => part !== undefined).join(' '),
    verdicts: stages.map((stage) => verdicts[stage].verdict),
  };
}

function foldedRows(paths: readonly PathVerdict[]): Row[] {
  const rows = paths.map(rowOf);
  const groups = Map.groupBy(rows, (row) => `${row.port} ${row.verdicts.join()}`);
  return [...groups.values()].flatMap((group): Row[] => {
    if (group.length < MANY) return group;
    const nodes = [...new Set(group.map(({ node }) => node))];
    const pods = [...new Set(group.map(({ pod }) => pod))];
    return [
      {
        ...group[0]!,
        node: nodes.length === 1 ? nodes[0]! : (inShort(nodes) ?? `${nodes.length} nodes`),
        pod: pods.length === 1 ? pods[0]! : podsInShort(pods),
      },
    ];
  });
}

/** How long folded names in a cell may be, in characters. */
const FOLDED = 24;

/** All names in a few characters; undefined where that is not possible. */
function inShort(names: readonly string[]): string | undefined {
  const folded = foldNames(names, FOLDED);
  return folded.length <= FOLDED && !folded.includes(' more') ? folded : undefined;
}

/** Pods of one owner by what their names have in common, and how many. */
function podsInShort(pods: readonly string[]): string {
  const owners = [...new Set(pods.map((pod) => pod.replace(/-[^-/]*$/, '-*')))];
  return owners.length === 1 ? `${owners[0]} (${pods.length})` : `${pods.length} pods`;
}

function shortTable(rows: readonly Row[], { width, paint }: Pick<Layout, 'width' | 'paint'>): string {
  const cells = [
    ['NODE', 'POD', 'PORT'],
    ...rows.map(({ node, pod, port }) => [node, pod, port].map(safeText)),
  ];
  const marks = [
    Object.values(SHORT).map((name) => paint('strong', name)),
    ...rows.map(({ verdicts }) => verdicts.map((verdict) => paint(MARK_STYLES[verdict], MARKS[verdict]))),
  ];
  const widths = [0, 1, 2].map((column) => widestOf(cells, column));
  const room = width - (GAP.length + 2) * stages.length + GAP.length - GAP.length * 3;
  // The widest gives way, as long as it is wider than the next.
  while (widths[0]! + widths[1]! + widths[2]! > room && Math.max(widths[0]!, widths[1]!) > MIN_NAME) {
    widths[widths[0]! >= widths[1]! ? 0 : 1]!--;
  }
  const lines = cells.map((row, line) =>
    [
      ...row.map((cell, i) => {
        const text = padded(elide(cell, widths[i]!), widths[i]!);
        return line === 0 ? paint('strong', text) : text;
      }),
      ...marks[line]!.map((mark) => padded(mark, 2)),
    ]
      .join(GAP)
      .trimEnd(),
  );
  const legend = stages.map((stage) => `${SHORT[stage]} ${stage}`);
  const half = legend.length / 2;
  const legends = [legend.slice(0, half), legend.slice(half)].map((part) => part.join('   '));
  return `${[...lines, '', ...legends].join('\n')}\n`;
}

function widestOf(cells: readonly (readonly string[])[], column: number): number {
  return cells.reduce((widest, row) => Math.max(widest, columns(row[column]!)), 0);
}

function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - columns(text)));
}
