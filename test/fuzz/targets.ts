import { byteTargets } from './bytes.ts';
import { clusterTargets } from './clusters.ts';
import { documentTargets } from './documents.ts';
import type { FuzzTarget } from './fuzz.ts';
import { requestTargets } from './requests.ts';
import { secretTargets } from './secrets.ts';
import { strangerTargets } from './strangers.ts';

/** All that is fuzzed, but for portmap, which draws histories of calls: src/portmap/configurations.test.ts. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  ...secretTargets,
  ...documentTargets,
  ...byteTargets,
  ...clusterTargets,
  ...requestTargets,
  ...strangerTargets,
];
