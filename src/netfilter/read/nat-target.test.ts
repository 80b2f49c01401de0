import { expect, test } from 'bun:test';
import type { NatTarget } from './model.ts';
import { parseNatTarget } from './nat-target.ts';

const ONE = 0x0a000001;
const FIVE = 0x0a000005;
const V6 = 0xfd00_0000_0000_0000_0000_0000_0000_0005n;

test.each<[string, NatTarget | undefined]>([
  ['10.0.0.5', { address: { from: FIVE, to: FIVE } }],
  ['10.0.0.5:80', { address: { from: FIVE, to: FIVE }, port: { from: 80, to: 80 } }],
  ['10.0.0.5:80-90', { address: { from: FIVE, to: FIVE }, port: { from: 80, to: 90 } }],
  ['10.0.0.1-10.0.0.5:80', { address: { from: ONE, to: FIVE }, port: { from: 80, to: 80 } }],
  [':80', { port: { from: 80, to: 80 } }],
  ['fd00::5', { address: { from: V6, to: V6 } }],
  ['[fd00::5]', { address: { from: V6, to: V6 } }],
  ['[fd00::5]:80-90', { address: { from: V6, to: V6 }, port: { from: 80, to: 90 } }],
  ['10.0.0.5:80-90/100', undefined],
  ['10.0.0.5:', undefined],
  ['10.0.0.5:undefined', undefined],
  ['10.0.0.5-fd00::5', undefined],
  ['pod', undefined],
  ['', undefined],
])('%j', (text, target) => expect(parseNatTarget(text)).toEqual(target));
