import { expect, test } from 'bun:test';
import {
  FAMILIES,
  FAMILY_NAME,
  FAMILY_NUMBER,
  FAMILY_OF_NFT,
  familyOf,
  iptablesProgram,
  isNftFamily,
  NFT_FAMILY,
} from './family.ts';

test.each([
  ['10.0.0.1', 'ipv4', 'ip', 'IPv4', 2, 'iptables'],
  ['::1', 'ipv6', 'ip6', 'IPv6', 10, 'ip6tables'],
] as const)('%s is of the family %s, in each notation', (address, family, nft, name, number, program) => {
  expect(familyOf(address)).toBe(family);
  expect(FAMILIES).toContain(family);
  expect(NFT_FAMILY[family]).toBe(nft);
  expect(FAMILY_OF_NFT[nft]).toBe(family);
  expect(FAMILY_NAME[family]).toBe(name);
  expect(FAMILY_NUMBER[family]).toBe(number);
  expect(iptablesProgram('iptables-nft-save', family)).toBe(`${program}-nft-save`);
  expect(isNftFamily(nft)).toBe(true);
  expect(isNftFamily(family)).toBe(false);
});
