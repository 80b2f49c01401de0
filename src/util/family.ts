/** An address family as this program, reports, sysctls and conntrack write it. */
export type Family = 'ipv4' | 'ipv6';

/** As nft writes it. */
export type NftFamily = 'ip' | 'ip6';

/** As Kubernetes (`ipFamilies`), findings and sentences write it. */
export type FamilyName = 'IPv4' | 'IPv6';

export const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

export const NFT_FAMILY: Readonly<Record<Family, NftFamily>> = { ipv4: 'ip', ipv6: 'ip6' };

export const FAMILY_OF_NFT: Readonly<Record<NftFamily, Family>> = { ip: 'ipv4', ip6: 'ipv6' };

export const FAMILY_NAME: Readonly<Record<Family, FamilyName>> = { ipv4: 'IPv4', ipv6: 'IPv6' };

/** As the kernel's messages write it: NFPROTO_IPV4 and NFPROTO_IPV6 of linux/netfilter.h, which are AF_INET and AF_INET6. */
export const FAMILY_NUMBER: Readonly<Record<Family, number>> = { ipv4: 2, ipv6: 10 };

/** The program of iptables for each; with `-save`, `-nft` and the like behind it, its other forms. */
export const IPTABLES_PROGRAM = { ipv4: 'iptables', ipv6: 'ip6tables' } as const satisfies Record<
  Family,
  string
>;

/** The family that an address is written in. Whether it is a valid address is not checked here. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
