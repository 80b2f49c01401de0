import type { PlannedPatch } from '../../agent/source.ts';
import type { ChangeAtSource, Durability, TemporaryFix } from '../../path/source/at-source.ts';
import { safeText } from '../../util/safe-text.ts';
import { pastable } from '../../util/shell-line.ts';
import { foldNames } from './fold-names.ts';
import type { Layout } from './layout.ts';
import { wrap, wrapCommand } from './wrap.ts';

/**
 * What of a plan does not last, and which change at its source does: commands that can be pasted, and, with `patches`, what `--at-source` changes
 * itself. `offer`: the command that does. Nothing where everything lasts.
 */
export function renderDurability(
  { changes, temporary }: Durability,
  patches: readonly PlannedPatch[] | undefined,
  offer: string,
  { width }: Layout,
): string {
  const part = (label: string, { codes, nodes }: Pick<TemporaryFix, 'codes' | 'nodes'>, text: string) => [
    ...wrap(safeText(`${codes.join(', ')} on ${foldNames(nodes, width)}`), width, `${label}: `, '  '),
    ...wrap(safeText(text), width, '  ', '  '),
  ];
  const lines = [
    ...temporary.flatMap((fix) => part('temporary', fix, fix.why)),
    ...changes.flatMap((change) => [
      ...part('at the source', change, titleOf(change)),
      ...commandsOf(change, patches, offer, width),
    ]),
  ];
  return lines.length === 0 ? '' : `\n${lines.map((line) => `${line}\n`).join('')}`;
}

function titleOf({ cni: { cni, version, evidence }, change }: ChangeAtSource): string {
  const known = version === undefined ? cni.name : `${cni.name} ${version}`;
  return `${change.what} (${known}: ${evidence.join(', ')})`;
}

function commandsOf(
  change: ChangeAtSource,
  patches: readonly PlannedPatch[] | undefined,
  offer: string,
  width: number,
): string[] {
  const { commands, patch, afterwards = [] } = change.change;
  const line = (argv: readonly string[]) => wrapCommand(pastable(argv), width, '      ', '        ');
  const said = (text: string) => wrap(safeText(text), width, '      # ', '      # ');
  const planned = patches?.find((one) => one.change === change);
  if (planned === undefined) {
    const offered = patch === undefined ? [] : said(`${offer} changes it`);
    return [...commands.flatMap(line), ...offered, ...(commands.length > 0 ? afterwards.flatMap(line) : [])];
  }
  const { patched, target } = planned;
  const name = `${target.kind} ${target.namespace}/${target.name}`;
  if (patched.is === 'done') return said(`${name} has it already`);
  if (patched.is === 'refused')
    return [...said(`not changed by --at-source: ${patched.why}`), ...commands.flatMap(line)];
  const { plural, group, namespace } = target;
  const resource = group === '' ? 'configmap' : `${plural}.${group}`;
  return [
    ...line([
      'kubectl',
      '-n',
      namespace,
      'patch',
      resource,
      target.name,
      '--type=merge',
      '-p',
      patched.shown,
    ]),
    ...(afterwards.length === 0
      ? []
      : said('done by --at-source; it takes effect with, which is left to you:')),
    ...afterwards.flatMap(line),
  ];
}
