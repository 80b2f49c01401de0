import type { AttachmentKey } from '../cni/result-cache.ts';
import type { Attachments } from './attachments.ts';
import { chainOf, type Owner } from './layout.ts';

/**
 * An attachment as the backends take it: by which name its mappings are kept, and which interface they lead to.
 * docs/decisions/mappings-of-one-interface.md says why there are two kinds of name.
 */
export interface Attached extends Owner {
  interface: string;
}

/** Whether a mapping by the container's name leads to one of these addresses. */
type LeadsTo = (owner: Owner, addresses: ReadonlySet<string>) => Promise<boolean>;

/**
 * By which name the mappings of an attachment are, or will be: the one that it has already; else that of its container, as the
 * reference plugin has it, unless another interface of the container has that; else one of its own.
 */
export async function attachedAs(
  key: AttachmentKey,
  attachments: Attachments,
  leadsTo: LeadsTo,
): Promise<Attached> {
  const [byContainer, byInterface] = namesOf(key);
  const isOwn =
    attachments.interfaceOf(chainOf(byInterface)) !== undefined ||
    (await isAnothers(key, attachments, leadsTo));
  return { ...(isOwn ? byInterface : byContainer), interface: key.ifName };
}

/** Every name under which mappings of an attachment may be: for what removes them. */
export async function everyNameOf(
  key: AttachmentKey,
  attachments: Attachments,
  leadsTo: LeadsTo,
): Promise<Owner[]> {
  const [byContainer, byInterface] = namesOf(key);
  return (await isAnothers(key, attachments, leadsTo)) ? [byInterface] : [byContainer, byInterface];
}

/** The name of the container and that of the interface. */
export function namesOf({ networkName, containerId, ifName }: AttachmentKey): [Owner, Owner] {
  return [
    { networkName, containerId },
    { networkName, containerId, ifName },
  ];
}

/** Whether mappings under the name of an interface belong to an attachment that is about to replace them. */
export function isSuperseded(
  owner: Owner,
  { networkName, containerId, interface: ifName }: Attached,
): boolean {
  return owner.networkName === networkName && owner.containerId === containerId && owner.ifName === ifName;
}

/** The owner of mappings, in words; with the interface where the container alone is ambiguous. */
export function inWords(owner: Owner, seenBy: Attached, attachments: Attachments): string {
  const { networkName, containerId } = owner;
  const ifName =
    owner.ifName ??
    (containerId === seenBy.containerId ? attachments.interfaceOf(chainOf(owner)) : undefined);
  return `${ifName === undefined ? '' : `interface ${ifName} of `}container ${containerId} of network ${networkName}`;
}

/**
 * Whether the mappings under the container's name belong to another interface. Mappings without a record (of the reference plugin, or on
 * a machine whose /run was emptied) do when they lead to an address that the runtime's cache has for another interface.
 */
async function isAnothers(key: AttachmentKey, attachments: Attachments, leadsTo: LeadsTo): Promise<boolean> {
  const [byContainer] = namesOf(key);
  const chain = chainOf(byContainer);
  const recorded = attachments.interfaceOf(chain);
  if (recorded !== undefined) {
    return recorded !== key.ifName && attachments.sandboxState(chain, byContainer) !== 'gone';
  }
  const others = attachments.addressesOfOthers(key, 'network');
  return others.size > 0 && (await leadsTo(byContainer, others));
}
