import { causesOf } from '../../path/diagnose/causes.ts';
import { countMappings } from '../../path/diagnose/count-mappings.ts';
import type { Diagnosis, Severity, StageVerdict } from '../../path/model/finding.ts';
import { type Stage, stages } from '../../path/model/stages.ts';
import { type Layout, WIDE } from './layout.ts';
import { table } from './table.ts';
import { paragraph } from './wrap.ts';

type Verdict = StageVerdict['verdict'];
const VERDICTS = ['ok', 'broken', 'risk', 'unknown', 'muted'] as const satisfies Verdict[];

/** A diagnosis in numbers: `hostport doctor --summary -o json` prints this document. */
export interface Summary {
  apiVersion: 'hostport/v1';
  kind: 'Summary';
  observedAt: string;
  /** Mappings by the worst of their stages. */
  mappings: Record<'total' | 'good' | 'risk' | 'broken' | 'unknown', number>;
  /** Mappings by the verdict of each stage. */
  stages: Record<Stage, Record<Verdict, number>>;
  /** Failures, in the order of their causes. */
  codes: {
    code: string;
    stage: Stage;
    severity: Severity;
    causes: number;
    nodes: number;
    pods: number;
    mappings: number;
  }[];
  /** How many things could not be observed. */
  unknowns: number;
}

export function summaryOf(diagnosis: Diagnosis): Summary {
  const { paths, findings, unknowns, observedAt } = diagnosis;
  const byCode = Map.groupBy(causesOf(findings, paths), ({ finding }) => finding.code);
  return {
    apiVersion: 'hostport/v1',
    kind: 'Summary',
    observedAt,
    mappings: { total: paths.length, ...countMappings(diagnosis) },
    stages: Object.fromEntries(
      stages.map((stage) => [
        stage,
        Object.fromEntries(
          VERDICTS.map((verdict) => [
            verdict,
            paths.filter((path) => path.stages[stage].verdict === verdict).length,
          ]),
        ),
      ]),
    ) as Summary['stages'],
    codes: [...byCode.values()].map((causes) => {
      const { code, stage, severity } = causes[0]!.finding;
      const hurt = new Set(causes.flatMap((cause) => cause.hurt));
      const pods = new Set([...hurt].map(({ pod }) => pod.uid));
      const nodes = new Set([
        ...causes.flatMap((cause) => cause.nodes),
        ...[...hurt].flatMap(({ node }) => node ?? []),
      ]);
      return {
        ...{ code, stage, severity, causes: causes.length },
        ...{ nodes: nodes.size, pods: pods.size, mappings: hurt.size },
      };
    }),
    unknowns: unknowns.length,
  };
}

/** The same for people. */
export function renderSummary(
  { mappings, stages: byStage, codes, unknowns }: Summary,
  layout: Layout = WIDE,
): string {
  const { total, good, risk, broken, unknown } = mappings;
  const parts = [
    table(
      ['STAGE', 'OK', 'BROKEN', 'AT RISK', 'UNKNOWN', 'FOLLOWS'],
      stages.map((stage) => [stage, ...VERDICTS.map((verdict) => byStage[stage][verdict])]),
      layout,
    ),
    ...(codes.length === 0
      ? []
      : [
          table(
            ['CODE', 'STAGE', 'SEVERITY', 'NODES', 'PODS', 'MAPPINGS'],
            codes.map(({ code, stage, severity, nodes, pods, mappings: hurt }) => [
              ...[code, stage, severity],
              ...[nodes, pods, hurt],
            ]),
            layout,
          ),
        ]),
    paragraph(
      `${total} ${total === 1 ? 'mapping' : 'mappings'}: ${good} good, ${risk} at risk, ${broken} broken, ${unknown} unknown${unknowns === 0 ? '' : `; ${unknowns} not observed`}`,
      layout,
    ),
  ];
  return parts.join('\n');
}
