/** The address families as this program, reports, sysctls and conntrack write them. */
export const FAMILIES = ['ipv4', 'ipv6'] as const;
export type Family = (typeof FAMILIES)[number];

/** As nft writes it. */
export type NftFamily = 'ip' | 'ip6';

/** As Kubernetes (`ipFamilies`), findings and sentences write it. */
export type FamilyName = 'IPv4' | 'IPv6';

export const NFT_FAMILY: Readonly<Record<Family, NftFamily>> = { ipv4: 'ip', ipv6: 'ip6' };

export const FAMILY_OF_NFT: Readonly<Record<NftFamily, Family>> = { ip: 'ipv4', ip6: 'ipv6' };

export const FAMILY_NAME: Readonly<Record<Family, FamilyName>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** As the kernel's messages write it: NFPROTO_IPV4 and NFPROTO_IPV6 of linux/netfilter.h, which are AF_INET and AF_INET6. */
export const FAMILY_NUMBER: Readonly<Record<Family, number>> = { ipv4: 2, ipv6: 10 };

/** Whether a table's family is that of packets: it may be `inet`, `arp` and others, too. */
export function isNftFamily(family: string): family is NftFamily {
  return family === 'ip' || family === 'ip6';
}

/** The form of `iptables`, `iptables-nft-save` and so on for a family. */
export function iptablesProgram(name: `iptables${string}`, family: Family): string {
  return family === 'ipv4' ? name : name.replace('iptables', 'ip6tables');
}

/** The family that an address is written in. Whether it is a valid address is not checked here. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
