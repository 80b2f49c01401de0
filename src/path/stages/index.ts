import { type Stage, stages } from '../model/stages.ts';
import type { Failure } from './failure.ts';
import { failures } from './index.gen.ts';

/** Every failure that the doctor knows, in the order of the path's stages. */
export const catalogue: readonly Failure[] = stages.flatMap((stage: Stage) =>
  failures.filter((failure) => failure.stage === stage),
);
