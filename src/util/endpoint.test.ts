import { expect, test } from 'bun:test';
import { bracketed, formatEndpoint, parseEndpoint } from './endpoint.ts';

test.each([
  ['10.0.0.1', 80, '10.0.0.1:80'],
  ['::1', 65535, '[::1]:65535'],
  ['fe80::1%eth0', 1, '[fe80::1%eth0]:1'],
  ['localhost', 0, 'localhost:0'],
])('%s, port %d: %s', (address, port, text) => {
  expect(formatEndpoint({ address, port })).toBe(text);
  expect(parseEndpoint(text)).toEqual({ address, port });
  expect(text).toStartWith(`${bracketed(address)}:`);
});

test.each([
  '',
  'a',
  ':80',
  '[]:80',
  '::1:80',
  '[::1]',
  'a:',
  'a:x',
  'a:65536',
  'a:-1',
  '[a:80',
  'a]:80',
  'a:80 ',
])('%j is not an endpoint', (text) => expect(parseEndpoint(text)).toBeUndefined());
