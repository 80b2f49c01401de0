import { describe, expect, test } from 'bun:test';
import { proxyFor, proxyFromEnvironment } from './proxy.ts';

const P = 'http://proxy.example:3128/';

describe('NO_PROXY, as golang.org/x/net/http/httpproxy reads it', () => {
  const cases: [noProxy: string, server: string, proxied: boolean][] = [
    ['', 'https://api.example:6443', true],
    ['', 'http://api.example', true],
    // Loopback never has a proxy.
    ['', 'https://localhost:6443', false],
    ['', 'https://127.8.0.1', false],
    ['', 'https://[::1]:6443', false],
    ['', 'https://[::ffff:127.0.0.1]:6443', false],
    ['', 'https://localhost.example', true],
    ['*', 'https://api.example', false],
    ['other.example, *', 'https://10.1.2.3', false],
    [' , ,', 'https://api.example', true],
    // Domains.
    ['api.example', 'https://api.example:6443', false],
    ['example', 'https://api.example', false],
    ['example', 'https://notexample', true],
    ['.example', 'https://api.example', false],
    ['.api.example', 'https://api.example', true],
    ['*.example', 'https://api.example', false],
    ['*.api.example', 'https://api.example', true],
    ['*ample', 'https://api.example', true],
    ['API.Example', 'https://api.EXAMPLE', false],
    ['pi.example', 'https://api.example', true],
    ['other.example,api.example', 'https://api.example', false],
    // Ports.
    ['api.example:6443', 'https://api.example:6443', false],
    ['api.example:6443', 'https://api.example', true],
    ['api.example:443', 'https://api.example', false],
    ['api.example:80', 'http://api.example', false],
    ['.example:6443', 'https://api.example:6443', false],
    ['api.example:', 'https://api.example:6443', false],
    ['api.example:https', 'https://api.example', true],
    [':443', 'https://api.example', true],
    // Addresses.
    ['10.1.2.3', 'https://10.1.2.3:6443', false],
    ['10.1.2', 'https://10.1.2.3:6443', true],
    ['10.1.2.3:6443', 'https://10.1.2.3:6443', false],
    ['10.1.2.3:443', 'https://10.1.2.3:6443', true],
    ['10.0.0.0/8', 'https://10.1.2.3', false],
    ['10.1.2.3/31', 'https://10.1.2.2', false],
    ['10.1.2.0/25', 'https://10.1.2.128', true],
    ['0.0.0.0/0', 'https://192.0.2.1', false],
    ['0.0.0.0/0', 'https://api.example', true],
    ['10.0.0.0/8', 'https://[fd00::1]', true],
    ['fd00::/8', 'https://[fd00::1]:6443', false],
    ['fd00::1', 'https://[fd00::1]:6443', false],
    ['FD00:0::1', 'https://[fd00::1]:6443', false],
    ['[fd00::1]:6443', 'https://[fd00::1]:6443', false],
    ['[fd00::1]:443', 'https://[fd00::1]:6443', true],
    ['[fd00::1]', 'https://[fd00::1]:6443', true],
    ['::ffff:10.1.2.3', 'https://10.1.2.3', false],
    ['10.0.0.0/33', 'https://10.1.2.3', true],
  ];
  test.each(cases)('%p, %s: %p', (noProxy, server, proxied) => {
    const env = { HTTPS_PROXY: P, HTTP_PROXY: P, NO_PROXY: noProxy };
    expect(proxyFromEnvironment(env, new URL(server))?.href).toBe(proxied ? P : undefined);
  });
});

describe('which variable', () => {
  const server = 'https://api.example';
  const cases: [what: string, env: Record<string, string>, server: string, proxy: string | undefined][] = [
    ['none', {}, server, undefined],
    ['of the scheme: https', { HTTPS_PROXY: 'http://s', HTTP_PROXY: 'http://p' }, server, 'http://s/'],
    [
      'of the scheme: http',
      { HTTPS_PROXY: 'http://s', HTTP_PROXY: 'http://p' },
      'http://api.example',
      'http://p/',
    ],
    ['small letters', { https_proxy: 'http://s' }, server, 'http://s/'],
    ['capitals first', { https_proxy: 'http://small', HTTPS_PROXY: 'http://s' }, server, 'http://s/'],
    ['empty capitals', { https_proxy: 'http://small', HTTPS_PROXY: '' }, server, 'http://small/'],
    ['NO_PROXY in small letters', { https_proxy: 'http://s', no_proxy: 'api.example' }, server, undefined],
    ['ALL_PROXY is not read', { ALL_PROXY: 'http://s', all_proxy: 'http://s' }, server, undefined],
    ['without a scheme', { HTTPS_PROXY: 'proxy:3128' }, server, 'http://proxy:3128/'],
    ['an address without a scheme', { HTTPS_PROXY: '192.0.2.1:3128' }, server, 'http://192.0.2.1:3128/'],
    ['SOCKS', { HTTPS_PROXY: 'socks5://u:p@proxy:1080' }, server, 'socks5://u:p@proxy:1080'],
    ['no URL', { HTTPS_PROXY: 'a proxy' }, server, undefined],
  ];
  test.each(cases)('%s', (_, env, url, proxy) => {
    expect(proxyFromEnvironment(env, new URL(url))?.href).toBe(proxy);
  });
});

describe('the proxy for a server', () => {
  const server = new URL('https://api.example');
  const env = { HTTPS_PROXY: 'http://of-the-environment', NO_PROXY: 'configured' };

  test('is the configured one, none, or that of the environment', () => {
    expect(proxyFor('http://configured', server, { ...env, NO_PROXY: '*' })?.href).toBe('http://configured/');
    expect(proxyFor(false, server, env)).toBeUndefined();
    expect(proxyFor(undefined, server, env)?.href).toBe('http://of-the-environment/');
    expect(proxyFor(undefined, server, {})).toBeUndefined();
  });

  test('of an unknown kind is an error, which does not quote its password', () => {
    const strange = { HTTPS_PROXY: 'ftp://user:S3CRET@proxy' };
    expect(() => proxyFor(undefined, server, strange)).toThrow(
      'cannot use the proxy for https://api.example: its scheme is ftp, and must be http, https or socks5; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY',
    );
  });

  test.each(['http://us%zz:S3CRET@proxy', 'socks5://user:S3CRET%@proxy', 'us:S3CRET%ff@proxy:3128'])(
    'with a user that cannot be decoded is an error, which does not quote it: %s',
    (proxy) => {
      expect(() => proxyFor(undefined, server, { HTTPS_PROXY: proxy })).toThrow(
        'cannot use the proxy for https://api.example: its URL has a user or a password that is not percent-encoded UTF-8; see HTTPS_PROXY, HTTP_PROXY and NO_PROXY',
      );
    },
  );
});
