import { z } from 'zod';
import type { PluginConfigInList } from '../../cni/conflist.ts';
import { boundedText } from '../../util/bounded.ts';
import { listOfAttachment } from './attachment-list.ts';
import type { PathView } from './scene.ts';

/** The plugin that gave a pod its device, as far as its configuration matters here. */
export interface PrimaryPlugin {
  type: string;
  /** The device of the node that the pod's is a part of, of macvlan and ipvlan; undefined where it is that of the default route. */
  master?: string | undefined;
  mode?: string | undefined;
  /** The master is in the pod. */
  linkInContainer: boolean;
  hairpinMode: boolean;
}

const fieldsSchema = z.object({
  master: boundedText({ least: 1 }).optional().catch(undefined),
  mode: z.string().optional().catch(undefined),
  linkInContainer: z.boolean().catch(false),
  hairpinMode: z.boolean().catch(false),
});

/** By the entry of a list, which thousands of attachments have in common. */
const read = new WeakMap<PluginConfigInList, PrimaryPlugin>();

/** By the configuration that a pod was attached with; undefined where that is not known. */
export function primaryPlugin({ attachment }: PathView): PrimaryPlugin | undefined {
  const first = attachment && listOfAttachment(attachment)?.plugins[0];
  if (first === undefined) return undefined;
  const before = read.get(first);
  if (before !== undefined) return before;
  const plugin = pluginOf(first);
  read.set(first, plugin);
  return plugin;
}

function pluginOf(first: PluginConfigInList): PrimaryPlugin {
  const { delegate } = first.fields;
  // flannel has bridge attach the pod, unless its configuration names another.
  return first.type === 'flannel' && typeof delegate === 'object' && delegate !== null
    ? { ...fieldsSchema.parse(delegate), type: 'type' in delegate ? String(delegate.type) : 'bridge' }
    : { ...fieldsSchema.parse(first.fields), type: first.type };
}
