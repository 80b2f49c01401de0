import { parseNetworkConfig } from '../../cni/conflist.ts';
import type { CachedAttachment } from '../model/node-report.ts';
import { DELEGATING } from './delegates.ts';
import { portmapIn } from './node-view.ts';

/** By attachment, which says the same for each of its hundreds of ports: the configuration read, and whether it chained portmap. */
const read = new WeakMap<CachedAttachment, { config: string; isChained: boolean | undefined }>();

/**
 * Whether portmap was in the chain, with the portMappings capability, when an attachment was made; undefined when its configuration cannot
 * be read.
 */
export function chainedPortmap(attachment: CachedAttachment): boolean | undefined {
  const { config } = attachment;
  const before = read.get(attachment);
  if (before?.config === config) return before.isChained;
  const isChained = readChained(config);
  read.set(attachment, { config, isChained });
  return isChained;
}

function readChained(config: string): boolean | undefined {
  try {
    const { plugins } = parseNetworkConfig(config, 'cached.conflist');
    const portmap = portmapIn(plugins);
    // What it delegates to is not in its configuration, or has an attachment of its own.
    if (portmap === undefined && plugins.some(({ type }) => DELEGATING.has(type))) return undefined;
    return portmap?.capabilities.portMappings === true;
  } catch {
    return undefined;
  }
}

/** Whether portmap mapped ports for an attachment when it was made. */
export function mappedByPortmap(attachment: CachedAttachment | undefined): boolean {
  return (
    attachment !== undefined && attachment.portMappings.length > 0 && chainedPortmap(attachment) === true
  );
}
