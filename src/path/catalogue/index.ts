import type { Failure } from '../failure.ts';
import { applicationNotListening } from './application-not-listening.ts';
import { attachmentDoubled } from './attachment-doubled.ts';
import { attachmentLeaked } from './attachment-leaked.ts';
import { backendsMixed } from './backends-mixed.ts';
import { capabilityMissing } from './capability-missing.ts';
import { cniVersionUnsupported } from './cni-version-unsupported.ts';
import { conflistInvalid } from './conflist-invalid.ts';
import { conflistNotLoaded } from './conflist-not-loaded.ts';
import { conflistRenamed } from './conflist-renamed.ts';
import { conflistShadowed } from './conflist-shadowed.ts';
import { conflistTooEarly } from './conflist-too-early.ts';
import { conntrackStaleUdp } from './conntrack-stale-udp.ts';
import { deleteAborted } from './delete-aborted.ts';
import { entryJumpMissing } from './entry-jump-missing.ts';
import { forwardPolicyDrop } from './forward-policy-drop.ts';
import { hairpinUnmasqueraded } from './hairpin-unmasqueraded.ts';
import { hostListenerHijacked } from './host-listener-hijacked.ts';
import { hostipFamilyMismatch } from './hostip-family-mismatch.ts';
import { hostipNotOnNode } from './hostip-not-on-node.ts';
import { hostportConflict } from './hostport-conflict.ts';
import { ipForwardOff } from './ip-forward-off.ts';
import { mappingMissing } from './mapping-missing.ts';
import { mappingShadowed } from './mapping-shadowed.ts';
import { mappingStale } from './mapping-stale.ts';
import { markBitShared } from './mark-bit-shared.ts';
import { masqueradeMissing } from './masquerade-missing.ts';
import { netfilterBypassed } from './netfilter-bypassed.ts';
import { netfilterToolMissing } from './netfilter-tool-missing.ts';
import { noListeningSocket } from './no-listening-socket.ts';
import { noNodeWithFreePort } from './no-node-with-free-port.ts';
import { nodeportCollision } from './nodeport-collision.ts';
import { notAnswering } from './not-answering.ts';
import { offNodeBlocked } from './off-node-blocked.ts';
import { pluginMissing } from './plugin-missing.ts';
import { pluginNotExecutable } from './plugin-not-executable.ts';
import { pluginOrderWrong } from './plugin-order-wrong.ts';
import { pluginTooOld } from './plugin-too-old.ts';
import { pluginWrongArchitecture } from './plugin-wrong-architecture.ts';
import { podPredatesChain } from './pod-predates-chain.ts';
import { podRouteMissing } from './pod-route-missing.ts';
import { policyDenied } from './policy-denied.ts';
import { portmapNotChained } from './portmap-not-chained.ts';
import { routeLocalnetOff } from './route-localnet-off.ts';
import { rpFilterStrict } from './rp-filter-strict.ts';
import { setMarkChainMissing } from './set-mark-chain-missing.ts';
import { sourceAddressLost } from './source-address-lost.ts';
import { v6Loopback } from './v6-loopback.ts';

/** Every failure that the doctor knows, in the order of the path's stages. */
export const catalogue: readonly Failure[] = [
  hostipNotOnNode,
  hostipFamilyMismatch,
  hostportConflict,
  nodeportCollision,
  noNodeWithFreePort,
  portmapNotChained,
  capabilityMissing,
  conflistShadowed,
  conflistRenamed,
  conflistInvalid,
  conflistNotLoaded,
  pluginOrderWrong,
  cniVersionUnsupported,
  conflistTooEarly,
  setMarkChainMissing,
  pluginMissing,
  pluginNotExecutable,
  pluginWrongArchitecture,
  pluginTooOld,
  netfilterToolMissing,
  podPredatesChain,
  attachmentLeaked,
  deleteAborted,
  attachmentDoubled,
  mappingMissing,
  entryJumpMissing,
  mappingStale,
  mappingShadowed,
  masqueradeMissing,
  markBitShared,
  backendsMixed,
  hostListenerHijacked,
  ipForwardOff,
  forwardPolicyDrop,
  rpFilterStrict,
  routeLocalnetOff,
  podRouteMissing,
  conntrackStaleUdp,
  hairpinUnmasqueraded,
  netfilterBypassed,
  v6Loopback,
  applicationNotListening,
  policyDenied,
  offNodeBlocked,
  sourceAddressLost,
  noListeningSocket,
  notAnswering,
];
