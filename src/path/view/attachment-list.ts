import { type NetworkConfigList, parseNetworkConfig } from '../../cni/conflist.ts';

/** How many configurations are remembered: all attachments of a cluster have one of a few. */
const MAX_LISTS = 64;
/** Longer ones are read again, in characters. */
const MAX_LENGTH = 64 * 1024;

const lists = new Map<string, NetworkConfigList | undefined>();

/**
 * The configuration that an attachment was made with; undefined when it cannot be read, which is the finding of another failure. The same text is read
 * once: thousands of attachments have it.
 */
export function listOfAttachment({ config }: { config: string }): NetworkConfigList | undefined {
  if (lists.has(config)) return lists.get(config);
  const list = read(config);
  if (config.length <= MAX_LENGTH) {
    if (lists.size === MAX_LISTS) lists.clear();
    lists.set(config, list);
  }
  return list;
}

function read(config: string): NetworkConfigList | undefined {
  try {
    return parseNetworkConfig(config, 'cached.conflist');
  } catch {
    return undefined;
  }
}
