/** The package `@hostport/diagnosis`: what is wrong with the hostPorts of a cluster, from what was observed of it. Pure. docs/doctor.md */
export { type Case, type Diagnosed, diagnose } from './diagnose/diagnose.ts';
export { type HealScope, type PlannedHeal, planHeal } from './heal/plan.ts';
export type { ClusterAction, HealStep, NodeAction } from './model/action.ts';
export type {
  Diagnosis,
  Evidence,
  Finding,
  HostPort,
  PathVerdict,
  Restart,
  Severity,
  StageVerdict,
  Subject,
  Unknown,
} from './model/finding.ts';
export { hostPortsOf } from './model/host-ports.ts';
export { type NodeReport, nodeReportSchema } from './model/node-report.ts';
export { known, type Observed } from './model/observed.ts';
export { type ProbeResult, probeResultSchema, type Vantage, vantages } from './model/probe.ts';
export { type Stage, stageQuestions, stages } from './model/stages.ts';
export type { NetworkPolicy, World } from './model/world.ts';
export type { Failure } from './stages/failure.ts';
export { catalogue } from './stages/index.ts';
