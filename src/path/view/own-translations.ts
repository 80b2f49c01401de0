import { type NatTarget, type Rule, refusing, rulesForPort } from '../../netfilter/index.ts';
import { familyOf, NFT_FAMILY } from '../../util/family.ts';
import { memoKey, remembered } from './memory.ts';
import { mappingFor, ownedMappings } from './owned-mappings.ts';
import type { PathView, Scene } from './scene.ts';
import { neighbourOf, podAddress, translatesTo } from './traces.ts';

/** A translation to a pod that portmap wrote in the chain of its sandbox. */
export interface OwnTranslation {
  rule: Rule;
  to: NatTarget;
}

/** The translations to an address of a pod that its own chain has, as they are found by a port: it may have thousands. */
interface OwnChain {
  rules: readonly Rule[];
  byRule: ReadonlyMap<Rule, readonly OwnTranslation[]>;
}

const CHAINS = memoKey<Map<string, OwnChain>>();
const NOTHING: OwnChain = { rules: [], byRule: new Map() };

/** The first translation to a mapping's pod that its own chain has, for whichever port; those that are elements of a map are not among them. */
export function firstOwnTranslation(path: PathView): OwnTranslation | undefined {
  const { rules, byRule } = ownChain(path);
  return rules[0] && byRule.get(rules[0])![0];
}

/** Those among all of them that may be for the mapping's port. */
export function ownTranslations(path: PathView): readonly OwnTranslation[] {
  const chain = ownChain(path);
  const rules = new Set(rulesForPort(chain, path.port.hostPort));
  return [...rules].flatMap((rule) => chain.byRule.get(rule)!);
}

/** Whether its own chain may take packets to the mapping's address and port, were they to come to it. */
export function takesOwn(path: PathView, scene: Scene): boolean {
  const { address, port } = path;
  if (address === undefined) return false;
  const destination = {
    family: NFT_FAMILY[familyOf(address)],
    protocol: port.protocol.toLowerCase(),
    address,
    port: port.hostPort,
    local: true,
  };
  const source = neighbourOf(path, scene) ?? address;
  return ownTranslations(path).some(({ rule }) => refusing([rule], destination, { source }) === undefined);
}

function ownChain(path: PathView): OwnChain {
  const { node, sandbox, attachment, address } = path;
  const pod = podAddress(path);
  const owned = node && ownedMappings(node);
  if (owned === undefined || sandbox === undefined || pod === undefined || address === undefined)
    return NOTHING;
  const chains = remembered(node!, CHAINS, () => new Map());
  const key = `${sandbox.id} ${attachment?.ifName ?? ''} ${pod}`;
  let chain = chains.get(key);
  if (chain === undefined) {
    const own = mappingFor(owned, sandbox, attachment?.ifName)?.translations ?? [];
    const byRule = Map.groupBy(
      own.filter(({ to }) => translatesTo(to, pod)),
      ({ rule }) => rule,
    );
    chain = { rules: [...byRule.keys()], byRule };
    chains.set(key, chain);
  }
  return chain;
}
