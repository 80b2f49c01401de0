import type { Healed } from '../../agent/heal.ts';
import { withoutSubject } from '../../path/diagnose/causes.ts';
import { describeAction, shellCommands } from '../../path/heal/describe-action.ts';
import type { PlannedHeal } from '../../path/heal/plan.ts';
import type { HealStep, NodeAction } from '../../path/model/action.ts';
import type { Subject } from '../../path/model/finding.ts';
import { podPredatesChain } from '../../path/stages/attached/pod-predates-chain.ts';
import { safeText } from '../../util/safe-text.ts';
import { pastable } from '../../util/shell-line.ts';
import { asCalled } from './as-called.ts';
import { describeSubject } from './diagnosis.ts';
import { foldNames } from './fold-names.ts';
import type { Layout } from './layout.ts';
import { wrap, wrapCommand } from './wrap.ts';

/** What stands before a line of a step. */
const STEP = ' '.repeat(6);

/**
 * A plan for people: what is done about each finding and why, by commands that can be pasted into a shell of the node that the comment above
 * them names. What no command does is a comment, too. What is the same on several nodes is shown once.
 */
export function renderPlan(
  plan: readonly PlannedHeal[],
  program: string,
  flags: string,
  { width, isUnfolded, paint }: Layout,
): string {
  const groups = Map.groupBy(plan, (heal) => (isUnfolded ? heal : keyOf(heal)));
  const lines = [...groups.values()].flatMap((group) => {
    const [{ finding, steps, left }] = group as [PlannedHeal, ...PlannedHeal[]];
    const subjects = group.map((heal) => heal.finding.subject);
    const own = (text: string) => safeText(group.length === 1 ? text : withoutSubject(text, finding.subject));
    return [
      ...wrap(aboutAll(subjects, width), width, `${paint('strong', finding.code)}  `, '  '),
      ...steps.flatMap((step) => [
        ...wrap(own(step.why), width, '  - ', '    '),
        ...stepLines(step, subjects, width),
      ]),
      ...(left === undefined
        ? []
        : wrap(
            own(asCalled(left.why, program, flags)),
            width,
            `  ${left.to === 'restart' ? 'needs --restart' : 'by hand'}: `,
            '    ',
          )),
      ...(steps.length === 0 && left === undefined ? ['  fixed together with another'] : []),
    ];
  });
  return lines.map((line) => `${line}\n`).join('');
}

/** Steps that change the chain: pods that were created by another one lack what it adds. */
const OF_THE_CHAIN: ReadonlySet<NodeAction['do']> = new Set(['write-file', 'rename-file', 'rewrite-file']);

/**
 * What a plan cannot show yet, because it follows from its own steps: the pods that lack a mapping get it once the chain is right. Empty where no
 * step changes the chain. `codes`: the only kinds of failure that are fixed; all when empty.
 */
export function renderFurtherRound(
  plan: readonly PlannedHeal[],
  codes: readonly string[],
  program: string,
  flags: string,
  { width }: Layout,
): string {
  const changes = plan.some(({ steps }) =>
    steps.some((step) => step.on === 'node' && OF_THE_CHAIN.has(step.action.do)),
  );
  if (!changes) return '';
  const { code } = podPredatesChain;
  const text =
    codes.length === 0 || codes.includes(code)
      ? 'A further round follows where pods were created before: each gets its missing mapping while it runs.'
      : `Pods that were created before keep lacking their mappings: hostport heal --only ${code} adds them afterwards.`;
  return wrap(asCalled(text, program, flags), width, '', '')
    .map((line) => `${line}\n`)
    .join('');
}

/** What two plans have in common that differ in their node alone. */
function keyOf({ finding, steps, left }: PlannedHeal): string {
  const { subject, code } = finding;
  const same = (text: string) => withoutSubject(text, subject);
  return JSON.stringify([
    ...[code, subject.pod !== undefined, subject.family, left?.to, left && same(left.why)],
    ...steps.map((step) => [
      same(step.why),
      step.on === 'cluster' || step.node !== subject.node ? step : same(JSON.stringify(step.action)),
    ]),
  ]);
}

function stepLines(step: HealStep, subjects: readonly Subject[], width: number): string[] {
  const comment = (text: string) => wrap(safeText(text), width, `${STEP}# `, `${STEP}# `);
  if (step.on === 'cluster') {
    const { namespace, name } = step.action;
    return wrapCommand(
      pastable(['kubectl', '-n', namespace, 'delete', 'pod', name]),
      width,
      STEP,
      `${STEP}  `,
    );
  }
  const nodes = subjects.length === 1 ? [step.node] : subjects.flatMap(({ node }) => node ?? []);
  const where = `on ${foldNames(nodes, width)}:`;
  const commands = shellCommands(step.action);
  if (commands === undefined) return comment(`${where} ${describeAction(step.action)}`);
  return [
    ...comment(where),
    ...commands.flatMap((argv) => wrapCommand(pastable(argv), width, STEP, `${STEP}  `)),
  ];
}

const MARKS: Readonly<Record<Healed['outcome'], string>> = { healed: '✓', failed: '✗', left: '-' };
const STYLES = { healed: 'good', failed: 'bad', left: 'unknown' } as const;

/** What became of each finding, once for those of one kind of which the same became for the same reason. */
export function renderHealed(healed: readonly Healed[], { width, isUnfolded, paint }: Layout): string {
  const groups = Map.groupBy(healed, (entry) => {
    const { finding, outcome, reason } = entry;
    if (isUnfolded) return entry;
    return JSON.stringify([
      ...[finding.code, outcome, reason && withoutSubject(reason, finding.subject)],
      finding.subject.pod !== undefined,
    ]);
  });
  const lines = [...groups.values()].flatMap((group) => {
    const [{ finding, outcome, reason }] = group as [Healed, ...Healed[]];
    const subjects = group.map((entry) => entry.finding.subject);
    const why =
      reason === undefined
        ? ''
        : `: ${safeText(group.length === 1 ? reason : withoutSubject(reason, finding.subject))}`;
    const text = `${aboutAll(subjects, width)}: ${outcome}${why}`;
    return wrap(text, width, `${paint(STYLES[outcome], MARKS[outcome])} ${finding.code}  `, '  ');
  });
  return lines.map((line) => `${line}\n`).join('');
}

function aboutAll(subjects: readonly Subject[], width: number): string {
  const [first] = subjects;
  if (subjects.length === 1) return safeText(describeSubject(first!));
  const nodes = [...new Set(subjects.flatMap(({ node }) => node ?? []))];
  const pods = new Set(subjects.flatMap(({ pod }) => (pod ? `${pod.namespace}/${pod.name}` : [])));
  const names = safeText(foldNames(nodes, width));
  if (pods.size > 0) return `${pods.size} pods on ${names}`;
  return `nodes ${names}`;
}
