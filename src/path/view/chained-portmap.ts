import type { CachedAttachment } from '../model/node-report.ts';
import { listOfAttachment } from './attachment-list.ts';
import { DELEGATING } from './delegates.ts';
import { portmapIn } from './node-view.ts';

/**
 * Whether portmap was in the chain, with the portMappings capability, when an attachment was made; undefined when its configuration cannot
 * be read.
 */
export function chainedPortmap(attachment: CachedAttachment): boolean | undefined {
  const list = listOfAttachment(attachment);
  if (list === undefined) return undefined;
  const portmap = portmapIn(list.plugins);
  // What it delegates to is not in its configuration, or has an attachment of its own.
  if (portmap === undefined && list.plugins.some(({ type }) => DELEGATING.has(type))) return undefined;
  return portmap?.capabilities.portMappings === true;
}

/** Whether portmap mapped ports for an attachment when it was made. */
export function mappedByPortmap(attachment: CachedAttachment | undefined): boolean {
  return (
    attachment !== undefined && attachment.portMappings.length > 0 && chainedPortmap(attachment) === true
  );
}
