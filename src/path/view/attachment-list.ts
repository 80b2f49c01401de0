import { type NetworkConfigList, parseNetworkConfig } from '../../cni/conflist.ts';
import { byText } from '../../util/by-text.ts';

/** The configuration that an attachment was made with; undefined when it cannot be read, which is the finding of another failure. */
export function listOfAttachment({ config }: { config: string }): NetworkConfigList | undefined {
  return read(config);
}

const read = byText((config): NetworkConfigList | undefined => {
  try {
    return parseNetworkConfig(config, 'cached.conflist');
  } catch {
    return undefined;
  }
});
