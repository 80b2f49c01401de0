import { isNamespace } from '../cni/sandbox.ts';
import { type NetDevices, openNetDevices } from '../net/links.ts';
import { localAddressTest } from '../net/local-addresses.ts';
import { type KernelRoute, readRoutes } from '../net/routes.ts';
import { interfaceSysctl, setInterfaceSysctl } from '../net/sysctl.ts';
import { tracksFlows } from '../netfilter/conntrack.ts';
import { IptablesNat, type NatTable } from '../netfilter/iptables/iptables.ts';
import { type RulesLock, takeRulesLock } from '../netfilter/iptables/rules-lock.ts';
import { hasIptablesNftChain, mayHaveIptablesChain } from '../netfilter/iptables/traces.ts';
import { listForeignRules } from '../netfilter/nft/foreign.ts';
import { NftKernel } from '../netfilter/nft/kernel.ts';
import type { NatGlance } from '../netfilter/nft/kernel-rules.ts';
import type { NftMap, NftTable } from '../netfilter/nft/nft.ts';
import type { Exec } from '../sys/exec.ts';
import type { Family, NftFamily } from '../util/family.ts';

/** What is asked and changed about rules. */
export interface Rules {
  nat(exec: Exec, family: Family): NatTable;
  nft(exec: Exec, name: string, maps: readonly NftMap[]): NftTable;
  /** Looks at the table that `nat` changes, where that is possible. */
  glance(family: Family): NatGlance | undefined;
  /** As {@link mayHaveIptablesChain}. */
  mayHaveIptablesChain(chain: string, family?: Family): boolean;
  /** As {@link hasIptablesNftChain}. */
  hasIptablesNftChain(chain: string, family: Family): boolean;
  /** As {@link listForeignRules}. */
  foreignRules(family: NftFamily, table: string): { chain: string; comment: string | undefined }[];
  /** As {@link tracksFlows}. */
  tracksFlows(): boolean;
  /** A test for addresses of this machine; reads them once. */
  localAddressTest(family: Family): (address: string) => boolean;
}

/** What is asked and changed about devices, and the way that packets take by them. */
export interface Devices {
  routes(): KernelRoute[];
  devices(): NetDevices;
  /** `net.ipv4.conf.<interface>.<key>`. */
  sysctl(ifName: string, key: string): string;
  setSysctl(ifName: string, key: string, value: string): void;
  isNamespace(path: string): boolean;
}

/**
 * All that the plugin asks and changes on the machine, apart from its own files and programs. machine.suite.ts holds the real one and the one
 * in memory to the same cases.
 */
export interface Machine extends Rules, Devices {
  /** As {@link takeRulesLock}. */
  lockRules(): Promise<RulesLock>;
}

/** The machine that this process runs on. */
export const thisMachine: Machine = {
  nat: (exec, family) => new IptablesNat(exec, family),
  nft: (exec, name, maps) => new NftKernel(exec, name, maps),
  glance: () => undefined,
  mayHaveIptablesChain,
  hasIptablesNftChain,
  foreignRules: listForeignRules,
  tracksFlows,
  lockRules: () => takeRulesLock(),
  localAddressTest,
  routes: readRoutes,
  devices: openNetDevices,
  sysctl: interfaceSysctl,
  setSysctl: setInterfaceSysctl,
  isNamespace,
};
