import { type NatTarget, type Rule, refusing } from '../../netfilter/index.ts';
import { familyOf, NFT_FAMILY } from '../../util/family.ts';
import { mappingFor, ownedMappings } from './owned-mappings.ts';
import type { PathView, Scene } from './scene.ts';
import { neighbourOf, podAddress, translatesTo } from './traces.ts';

/** A translation to a pod that portmap wrote in the chain of its sandbox. */
export interface OwnTranslation {
  rule: Rule;
  to: NatTarget;
  /** Whether it may take packets to the mapping's address and port, were they to come to it. */
  takes(scene: Scene): boolean;
}

/** The translations to a mapping's pod that its own chain has; those that are elements of a map are not among them. */
export function ownTranslations(path: PathView): OwnTranslation[] {
  const { node, sandbox, attachment, address, port } = path;
  const pod = podAddress(path);
  const owned = node && ownedMappings(node);
  if (owned === undefined || sandbox === undefined || pod === undefined || address === undefined) return [];
  const own = mappingFor(owned, sandbox, attachment?.ifName)?.translations ?? [];
  const destination = {
    family: NFT_FAMILY[familyOf(address)],
    protocol: port.protocol.toLowerCase(),
    address,
    port: port.hostPort,
    local: true,
  };
  return own
    .filter(({ to }) => translatesTo(to, pod))
    .map(({ rule, to }) => ({
      rule,
      to,
      takes: (scene) =>
        refusing([rule], destination, { source: neighbourOf(path, scene) ?? address }) === undefined,
    }));
}
