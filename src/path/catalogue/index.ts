import type { Failure } from '../failure.ts';

/** Every failure that the doctor knows, in the order of the path's stages. */
export const catalogue: readonly Failure[] = [];
