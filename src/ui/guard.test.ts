import { describe, expect, test } from 'bun:test';
import { refusalOf } from './guard.ts';
import { cookieOf, newKeys } from './keys.ts';
import { ACTION_HEADER, COOKIE } from './protocol.ts';

const PORT = 4711;
const keys = newKeys();
const HOST = `127.0.0.1:${PORT}`;
const COOKIES = `${COOKIE}=${keys.session}`;
const page = { host: HOST, cookie: COOKIES };
const own = {
  ...page,
  origin: `http://${HOST}`,
  'sec-fetch-site': 'same-origin',
  [ACTION_HEADER]: keys.action,
};

interface Case {
  name: string;
  method?: string;
  path?: string;
  token?: string | null;
  headers: Record<string, string>;
  status: number | undefined;
}

const CASES: Case[] = [
  { name: 'the printed address', path: '/', token: keys.token, headers: { host: HOST }, status: undefined },
  {
    name: 'by localhost',
    path: '/',
    token: keys.token,
    headers: { host: `localhost:${PORT}` },
    status: undefined,
  },
  {
    name: 'the printed address as a link of another page',
    path: '/',
    token: keys.token,
    headers: { host: HOST, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    status: undefined,
  },
  {
    name: 'the printed address as an image of another page',
    path: '/',
    token: keys.token,
    headers: { host: HOST, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    status: 403,
  },
  { name: 'another token', path: '/', token: `${keys.token}x`, headers: { host: HOST }, status: 401 },
  { name: 'an empty token', path: '/', token: '', headers: { host: HOST }, status: 401 },
  { name: 'no token', path: '/', token: null, headers: { host: HOST }, status: 401 },
  {
    name: 'the token posted',
    method: 'POST',
    path: '/',
    token: keys.token,
    headers: { host: HOST },
    status: 401,
  },
  { name: 'the page', headers: page, status: undefined },
  { name: 'the page by HEAD', method: 'HEAD', headers: page, status: undefined },
  { name: 'without a cookie', headers: { host: HOST }, status: 401 },
  { name: 'with the token instead of the cookie', token: keys.token, headers: { host: HOST }, status: 401 },
  { name: 'with another cookie', headers: { host: HOST, cookie: `${COOKIE}=x` }, status: 401 },
  {
    name: 'with the token as cookie',
    headers: { host: HOST, cookie: `${COOKIE}=${keys.token}` },
    status: 401,
  },
  { name: 'among other cookies', headers: { host: HOST, cookie: `a=b; ${COOKIES}; c` }, status: undefined },
  // DNS rebinding: a name of somebody else's that leads here.
  { name: 'by another name', headers: { ...page, host: `evil.example:${PORT}` }, status: 403 },
  { name: 'by another port', headers: { ...page, host: '127.0.0.1:1' }, status: 403 },
  { name: 'by a name that begins as ours', headers: { ...page, host: `${HOST}.evil.example` }, status: 403 },
  { name: 'without a name', headers: { cookie: COOKIES }, status: 403 },
  {
    name: 'the token by another name',
    path: '/',
    token: keys.token,
    headers: { host: 'evil.example' },
    status: 403,
  },
  { name: 'of another origin', headers: { ...page, origin: 'http://evil.example' }, status: 403 },
  {
    name: 'of another port of this machine',
    headers: { ...page, origin: 'http://127.0.0.1:1' },
    status: 403,
  },
  { name: 'of a sandboxed page', headers: { ...page, origin: 'null' }, status: 403 },
  { name: 'from another site', headers: { ...page, 'sec-fetch-site': 'cross-site' }, status: 403 },
  { name: 'from another port', headers: { ...page, 'sec-fetch-site': 'same-site' }, status: 403 },
  { name: 'by typing', headers: { ...page, 'sec-fetch-site': 'none' }, status: undefined },
  { name: 'outside of its path', path: '/favicon.ico', headers: page, status: 404 },
  { name: 'an order', method: 'POST', headers: own, status: undefined },
  {
    name: 'an order without the header',
    method: 'POST',
    headers: { ...own, [ACTION_HEADER]: '' },
    status: 403,
  },
  {
    name: 'an order with the token',
    method: 'POST',
    headers: { ...own, [ACTION_HEADER]: keys.token },
    status: 403,
  },
  {
    name: 'an order without an origin',
    method: 'POST',
    headers: { ...page, [ACTION_HEADER]: keys.action },
    status: 403,
  },
  {
    name: 'an order from elsewhere',
    method: 'POST',
    headers: { ...own, origin: 'http://evil.example' },
    status: 403,
  },
  ...['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'].map((method) => ({
    name: method,
    method,
    headers: own,
    status: 405,
  })),
];

describe('a request', () => {
  test.each(CASES)(
    '$name: $status',
    ({ method = 'GET', path = keys.base, token = null, headers, status }) => {
      const asked = { method, path, token, headers: new Headers(headers) };
      expect(refusalOf(asked, keys, PORT)?.status).toBe(status as never);
    },
  );
});

test('keys are different each time', () => {
  const all = Array.from({ length: 100 }, newKeys).flatMap((one) => Object.values(one));
  expect(new Set(all).size).toBe(400);
  expect(all.every((key) => /^[\w/-]{18,}$/.test(key))).toBe(true);
});

test.each([
  ['a=1; b=2', 'b', '2'],
  ['b=x=y', 'b', 'x=y'],
  ['bb=1', 'b', undefined],
  ['b', 'b', undefined],
  [null, 'b', undefined],
])('the cookie of %j', (header, name, value) => expect(cookieOf(header, name)).toBe(value as never));
