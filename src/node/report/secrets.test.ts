import { describe, expect, test } from 'bun:test';
import { cniNode, confFile } from '../../path/testing/cni-node.ts';
import {
  documentWithoutSecrets,
  LEFT_OUT,
  reportWithoutSecrets,
  textsWithoutSecrets,
  textWithoutSecrets,
  withoutSecrets,
} from './secrets.ts';

test.each([
  ['{"k8s_auth_token": "abc.def"}', `{"k8s_auth_token":"${LEFT_OUT}"}`],
  ['{"etcd":{"password":"a\\"b"},"x":1}', `{"etcd":{"password":"${LEFT_OUT}"},"x":1}`],
  ['{"privateKey":"p"}', `{"privateKey":"${LEFT_OUT}"}`],
  ['{"client-key-data":"k"}', `{"client-key-data":"${LEFT_OUT}"}`],
  ['{"auths":{"host":{"auth":"dTpw"}}}', `{"auths":"${LEFT_OUT}"}`],
  ['{"password":12345,"x":1}', `{"password":"${LEFT_OUT}","x":1}`],
  ['{"tokens":["a","]b",{"c":"d"}],"x":1}', `{"tokens":"${LEFT_OUT}","x":1}`],
  ['{"secret":{"a":{"b":"}"}},"x":[1,{}]}', `{"secret":"${LEFT_OUT}","x":[1,{}]}`],
  ['{"\\u0074oken":"t"}', `{"token":"${LEFT_OUT}"}`],
  ['{"TOKEN":"a","token":"b"}', `{"TOKEN":"${LEFT_OUT}","token":"${LEFT_OUT}"}`],
  // Of two equal keys the last wins, and the first is in the text all the same.
  ['{"x":{"token":"t"},"x":1}', `{"x":{"token":"${LEFT_OUT}"},"x":1}`],
  ['{"useToken":true,"password":null}', '{"useToken":true,"password":null}'],
  ['{"type":"portmap","name":"token"}', '{"type":"portmap","name":"token"}'],
  ['{"a":"{\\"token\\": \\"t\\"}","b":1}', `{"a":"{\\"token\\":${LEFT_OUT}","b":1}`],
  ['{\n  "a": 1,\n  "token": "t"\n}\n', `{\n  "a": 1,\n  "token": "${LEFT_OUT}"\n}`],
  ['{ "a" : 1 }\n', '{ "a" : 1 }\n'],
  ['{ "Secret": "s" , broken', '(24 bytes of JSON-like text)'],
  ['{"token":"cut sho', '(17 bytes of JSON-like text)'],
  ['token: t', '(8 bytes of YAML-like text)'],
  ['', '(empty)'],
  ['[['.repeat(5000), '(10000 bytes of JSON-like text)'],
])('%s', (text, without) => {
  expect(withoutSecrets(text)).toBe(without);
  expect(withoutSecrets(without)).toBe(without);
});

describe('texts that look like secrets', () => {
  test.each([
    ['Authorization: Basic dTpw', `Authorization:${LEFT_OUT}`],
    ['Authorization: Bearer abcdefghijklmnop', `Authorization:${LEFT_OUT}`],
    ['with bearer abcdefghijklmnop', `with ${LEFT_OUT}`],
    ['run --token=abc --x', `run --token=${LEFT_OUT}`],
    ['{\\"password\\": \\"a b\\"}', `{\\"password\\":${LEFT_OUT}`],
    ['one\ntoken: t\nthree', `one\ntoken:${LEFT_OUT}\nthree`],
    ['eyJhbGciOiJSUzI1NiJ9.e30.c2ln', LEFT_OUT],
    ['got AKIAIOSFODNN7EXAMPLE', `got ${LEFT_OUT}`],
    ['abcdef.0123456789abcdef', LEFT_OUT],
    ['LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=', LEFT_OUT],
    ['https://user:pass@host:80/a', `https://${LEFT_OUT}@host:80/a`],
    ['"https://ghu@host" and postgres://u:p/q@h', `"https://${LEFT_OUT}@host" and postgres://${LEFT_OUT}@h`],
    ['a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b', `a ${LEFT_OUT} b`],
    ['-----BEGIN EC PRIVATE KEY-----\nMHc', LEFT_OUT],
  ])('%s', (text, without) => {
    expect(textWithoutSecrets(text)).toBe(without);
    expect(textWithoutSecrets(without)).toBe(without);
  });

  test.each([
    'failed to find plugin "portmap" in path [/opt/cni/bin]',
    'MountVolume.SetUp failed for volume "kube-api-access": secret "x" not found',
    '/var/run/secrets/kubernetes.io/serviceaccount/token',
    'http://10.0.0.1:2379',
    'docker.io/library/busybox@sha256:0123456789abcdef',
    'net.ipv4.conf.all.rp_filter',
    '10.244.0.0/16',
  ])('and such as do not: %s', (text) => expect(textWithoutSecrets(text)).toBe(text));
});

test('redacting takes linear time, whatever the text is made of', () => {
  const texts = [
    '"',
    '\\"',
    'token',
    'token ',
    '://',
    '://a:',
    '-----BEGIN ',
    'bearer ',
    'eyJ',
    'abcdef.',
    '\n',
  ];
  for (const part of texts) {
    const text = JSON.stringify({ a: part.repeat(Math.ceil(250_000 / part.length)), token: 'S3CRET' });
    const without = withoutSecrets(text);
    expect(without).not.toContain('S3CRET');
  }
});

test('a long string of escaped quotes hides no secret', () => {
  const text = JSON.stringify({ a: '"'.repeat(20_000), token: 'S3CRET' });
  expect(withoutSecrets(text)).toBe(text.replace('S3CRET', LEFT_OUT));
});

test('a document keeps its form', () => {
  expect(documentWithoutSecrets({ ips: [{ address: '10.1.0.2/24' }], token: { a: 1 } })).toEqual({
    ips: [{ address: '10.1.0.2/24' }],
    token: LEFT_OUT as never,
  });
});

test('labels of API objects are compared as they are', () => {
  const labels = { 'token-tier': 'a', url: 'https://u:p@h' };
  expect(textsWithoutSecrets({ labels })).toEqual({
    labels: { 'token-tier': 'a', url: `https://${LEFT_OUT}@h` },
  });
});

describe('a report from elsewhere', () => {
  const list = (more: object) => JSON.stringify({ name: 'net', plugins: [{ type: 'a', ...more }] });
  const attachment = {
    file: '/var/lib/cni/results/net-c-eth0',
    modified: '2026-01-01T00:00:00Z',
    networkName: 'net',
    containerId: 'c',
    ifName: 'eth0',
    portMappings: [],
    result: { token: 'S3CRET' },
    config: list({ password: 'S3CRET' }),
  };
  const files = { value: [confFile('a.conf', list({ token: 'S3CRET' })), confFile('b.conf', 'x: S3CRET')] };
  const report = cniNode(
    {},
    {
      loaded: list({ secret: 'S3CRET' }),
      cni: {
        files,
        dropIns: [{ network: 'net', files }],
        attachments: { value: [attachment] },
        skipped: [{ file: 'x', why: 'token: S3CRET' }],
        plugins: { unknown: 'bearer S3CRETS3CRETS3CRET' },
      },
    },
  );

  test('is without secrets', () => {
    expect(JSON.stringify(report)).toContain('S3CRET');
    expect(JSON.stringify(reportWithoutSecrets(report))).not.toContain('S3CRET');
  });

  test('without secrets stays as it is', () => {
    const clean = cniNode({ 'a.conflist': list({}) }, { loaded: list({}) });
    expect(reportWithoutSecrets(clean)).toEqual(clean);
    const once = reportWithoutSecrets(report);
    expect(reportWithoutSecrets(once)).toEqual(once);
  });
});
