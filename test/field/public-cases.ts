import { diagnose } from '../../src/path/diagnose/diagnose.ts';
import type { World } from '../../src/path/model/world.ts';

/** Stages of which configurations or rules alone can be judged. */
export const JUDGED = {
  configuration: ['configured', 'installed'],
  rules: ['translated', 'forwarded'],
} as const;

/** What somebody has published of a node, and how it is to be judged. */
export interface PublicCase {
  /** Project and number. */
  from: string;
  /** What of it is judged. */
  shows: string;
  /** What was published. */
  of: keyof typeof JUDGED;
  world: World;
  /** What is to be found: severities and codes, without notes. Where nothing is, the stages that it is about are in order. */
  found: readonly string[];
  /** A stage that cannot be judged, and words of the reason. */
  unknown?: { stage: (typeof JUDGED)[keyof typeof JUDGED][number]; says: string };
}

/** How a case is judged: what is found, and the verdicts of the stages that it is about where nothing is. */
export interface Judged {
  found: string[];
  stages: Record<string, string>;
}

/** How it is judged now. */
export function judgedNow({ of, world }: PublicCase): Judged {
  const { findings, paths } = diagnose(world).diagnosis;
  const found = findings.flatMap(({ severity, code }) =>
    severity === 'note' ? [] : [`${severity} ${code}`],
  );
  if (found.length > 0) return { found, stages: {} };
  const stages = JUDGED[of].map((stage) => {
    const { verdict, reason } = paths[0]!.stages[stage];
    return [stage, verdict === 'unknown' ? `unknown: ${reason}` : verdict];
  });
  return { found, stages: Object.fromEntries(stages) };
}

/** How it is to be judged. */
export function judgedRightly({ of, found, unknown }: PublicCase): Judged {
  if (found.length > 0) return { found: [...found], stages: {} };
  const stages = JUDGED[of].map((stage) => [
    stage,
    stage === unknown?.stage ? `unknown: ${unknown.says}` : 'ok',
  ]);
  return { found: [], stages: Object.fromEntries(stages) };
}
