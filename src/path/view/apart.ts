import { parseNetworkConfig } from '../../cni/conflist.ts';
import { conditionsOf, parsePortmapConfig } from '../../portmap/config.ts';
import { areDisjoint, type Conditions } from '../../portmap/disjoint.ts';
import { FAMILIES, FAMILY_NAME } from '../../util/family.ts';
import type { CachedAttachment } from '../model/node-report.ts';
import { portmapIn } from './node-view.ts';
import type { PathView } from './scene.ts';

/**
 * Whether two mappings of one port are beside each other: portmap was given conditions for each when it was attached, and no packet meets both.
 * False where that is not certain.
 */
export function areApart(a: PathView, b: PathView): boolean {
  if (a.attachment === undefined || b.attachment === undefined || a.family !== b.family) return false;
  const [one, other] = [conditionsIn(a.attachment, a), conditionsIn(b.attachment, b)];
  return one !== undefined && other !== undefined && areDisjoint(one, other);
}

/** Undefined when the configuration cannot be read, or has no portmap. */
function conditionsIn(
  { config, networkName }: CachedAttachment,
  { family: name }: PathView,
): Conditions | undefined {
  const family = FAMILIES.find((each) => FAMILY_NAME[each] === name);
  try {
    const entry = portmapIn(parseNetworkConfig(config, 'cached.conflist').plugins);
    return entry === undefined || family === undefined
      ? undefined
      : conditionsOf(parsePortmapConfig({ ...entry.fields, name: networkName }), family);
  } catch {
    // What portmap refuses it was not attached with.
    return undefined;
  }
}
