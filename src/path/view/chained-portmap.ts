import { parseNetworkConfig } from '../../cni/conflist.ts';
import type { CachedAttachment } from '../model/node-report.ts';
import { portmapIn } from './node-view.ts';

/**
 * Whether portmap was in the chain, with the portMappings capability, when an attachment was made; undefined when its configuration cannot
 * be read.
 */
export function chainedPortmap({ config }: CachedAttachment): boolean | undefined {
  try {
    return (
      portmapIn(parseNetworkConfig(config, 'cached.conflist').plugins)?.capabilities.portMappings === true
    );
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
