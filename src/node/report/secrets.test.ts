import { describe, expect, test } from 'bun:test';
import { cniNode, confFile } from '../../path/testing/cni-node.ts';
import { rulesWithoutSecrets } from './rules-without-secrets.ts';
import {
  documentWithoutSecrets,
  LEFT_OUT,
  messagesWithoutSecrets,
  reportWithoutSecrets,
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
  ['{"a":"{\\"token\\": \\"t\\"}","b":1}', `{"a":"{\\"token\\":\\"${LEFT_OUT}\\"}","b":1}`],
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
    ['Authorization: Basic dTpw', `Authorization: ${LEFT_OUT}`],
    ['Authorization: Bearer abcdefghijklmnop', `Authorization: ${LEFT_OUT}`],
    ['with bearer abcdefghijklmnop', `with ${LEFT_OUT}`],
    ['run --token=abc --x', `run --token=${LEFT_OUT} --x`],
    ['{\\"password\\": \\"a b\\"}', `{\\"password\\": \\"${LEFT_OUT}\\"}`],
    ['one\ntoken: t\nthree', `one\ntoken: ${LEFT_OUT}\nthree`],
    ['eyJhbGciOiJSUzI1NiJ9.e30.c2ln', LEFT_OUT],
    ['got AKIAIOSFODNN7EXAMPLE', `got ${LEFT_OUT}`],
    ['join with token abcdef.0123456789abcdef', `join with token ${LEFT_OUT}`],
    ['kubeadm join --token abcdef.0123456789abcdef h:6443', `kubeadm join --token ${LEFT_OUT} h:6443`],
    ['curl -u admin:S3 https://h', `curl -u admin:${LEFT_OUT} https://h`],
    ['args:\n- --token\n- S3\n- x', `args:\n- --token\n- ${LEFT_OUT}\n- x`],
    ['"token": |\n  S3\n  S3\nx: 1', `"token": ${LEFT_OUT}\nx: 1`],
    ['- token: >-\n    S3\n\n    S3\n  x: 1', `- token: ${LEFT_OUT}\n  x: 1`],
    ['password:\n  S3\nx: 1', `password:${LEFT_OUT}\nx: 1`],
    ['? password\n: S3\nx: 1', `? password\n: ${LEFT_OUT}\nx: 1`],
    ['a:\n  ? "token"\n  : |\n    S3\n  x: 1', `a:\n  ? "token"\n  : ${LEFT_OUT}\n  x: 1`],
    ['password: !!str S3', `password: ${LEFT_OUT}`],
    ['say password: &a "S3" x', `say password: &a "${LEFT_OUT}" x`],
    ['machine h login u password S3\nmachine', `machine h login u password ${LEFT_OUT}\nmachine`],
    ['machine h\n  password "S 3"\n  login u', `machine h\n  password ${LEFT_OUT}\n  login u`],
    ['<password>S3</password>', `<password>${LEFT_OUT}</password>`],
    ['<token type="a">S3</token>', `<token type="a">${LEFT_OUT}</token>`],
    ['passwords:\n- S3\n- S3\nx: 1', `passwords:${LEFT_OUT}\nx: 1`],
    [
      '- name: ETCD_PASSWORD\n  value: S3\n- name: A\n  value: b',
      `- name: ETCD_PASSWORD\n  value: ${LEFT_OUT}\n- name: A\n  value: b`,
    ],
    ['-H "Cookie: a=S3; b=S3" x', `-H "Cookie: ${LEFT_OUT}" x`],
    [`${'token'.repeat(12)}=S3 x`, `${'token'.repeat(12)}=${LEFT_OUT} x`],
    ['say {"a":"{\\"token\\":\\"S3\\"}"} x', `say {"a":"{\\"token\\":\\"${LEFT_OUT}\\"}"} x`],
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
    'worker.mycompanycluster: not ready',
    'useToken: true',
    'the password authentication of machine h failed',
    '<token/><a>b</a>',
    'docker run -u 1000:1000 x',
    'set -u\nH=${H:?} raw=x',
    'the key: not found',
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
    '--token ',
    'token:\n',
    'token: |\n  ',
    'token="',
    'name token value ',
    '-u a:',
    'machine a ',
    'login a password ',
    '<token ',
    '<token>',
    '? token\n',
    '? token\n: ',
    'token: &a ',
    'LS0tLS1CRUdJTi\n',
    '{',
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

test('names and labels of API objects stay as they are', () => {
  const labels = { 'token-tier': 'a', message: 'token=a', url: 'eyJhbGciOiJSUzI1NiJ9' };
  const metadata = { name: 'worker.mycompanycluster', labels };
  expect(messagesWithoutSecrets({ metadata, conditions: [{ message: 'token=a' }] }, ['message'])).toEqual({
    metadata,
    conditions: [{ message: `token=${LEFT_OUT}` }],
  });
});

test.each([
  'error adding pod default_x-token to CNI network "cbr-token": failed to find plugin "portmap" in path',
  'network for pod "x-token": plugin type="portmap" failed (add): exec: "iptables": executable file not found',
  '[default/x-token/uid:cbr-token]: error adding container to network "cbr-token": failed to find plugin "portmap"',
])('an event of something that is called like a secret stays as it is: %s', (text) => {
  expect(textWithoutSecrets(text)).toBe(text);
});

test('an event keeps the words that a failure is known by', () => {
  expect(textWithoutSecrets('[default/x-token:y]: failed to find plugin "portmap"')).toBe(
    `[default/x-token:${LEFT_OUT} failed to find plugin "portmap"`,
  );
  expect(textWithoutSecrets('pod x-token: token "y" refused: failed to find plugin "portmap"')).toEndWith(
    'refused: failed to find plugin "portmap"',
  );
});

test.each<[string, unknown, unknown]>([
  ['arguments', ['--token', 'S3', '--x', 'y'], ['--token', LEFT_OUT, '--x', 'y']],
  ['arguments without a value', ['--use-token', '--x'], ['--use-token', '--x']],
  ['a login', ['curl', '-u', 'a:S3'], ['curl', '-u', `a:${LEFT_OUT}`]],
  ['a pair', [['K8S_POD_TOKEN', 'S3']], [['K8S_POD_TOKEN', LEFT_OUT]]],
  ['a variable', [{ name: 'ETCD_PASSWORD', value: 'S3' }], [{ name: 'ETCD_PASSWORD', value: LEFT_OUT }]],
  ['a header', [{ header: 'Authorization', data: 'S3' }], [{ header: 'Authorization', data: LEFT_OUT }]],
  ['one of no secret', [{ name: 'MODE', value: 'a' }], [{ name: 'MODE', value: 'a' }]],
  [
    'a key that a selector names',
    [{ key: 'a', operator: 'In', values: ['b'] }],
    [{ key: 'a', operator: 'In', values: ['b'] }],
  ],
  ...['psk', 'encryptionKey', 'signingKey', 'dbPass', 'mypwd', 'cookie', 'key', 'wg-psk'].map(
    (key): [string, unknown, unknown] => [key, { [key]: 'S3' }, { [key]: LEFT_OUT }],
  ),
  ...['publicKey', 'bypass', 'hostKey', 'keys'].map((key): [string, unknown, unknown] => [
    key,
    { [key]: 'a' },
    { [key]: 'a' },
  ]),
])('in a document: %s', (_, document, without) => {
  expect(documentWithoutSecrets({ a: document })).toEqual({ a: without });
  expect(documentWithoutSecrets({ a: without })).toEqual({ a: without });
});

test.each([1, 5, 6, 10, 16])('a document that is a text in a text, %d times, hides no secret', (levels) => {
  let text = JSON.stringify({ token: 'S3CRET', x: 'stays' });
  let value = JSON.stringify('token: |\n  S3CRET');
  for (let i = 0; i < levels; i++) {
    text = JSON.stringify(i % 2 ? { a: text } : text);
    value = JSON.stringify(value);
  }
  expect(withoutSecrets(text)).not.toContain('S3CRET');
  expect(withoutSecrets(text)).toContain('stays');
  expect(withoutSecrets(value)).not.toContain('S3CRET');
  // Behind other words it is no document.
  expect(textWithoutSecrets(`said ${text}`)).not.toContain('S3CRET');
});

describe('rules', () => {
  test.each([
    [
      '-A A -m string --string "Bearer S3" --algo bm -j DROP\n',
      `-A A -m string --string "${LEFT_OUT}" --algo bm -j DROP\n`,
    ],
    ['-A A -m string --hex-string "|53|" -j DROP', `-A A -m string --hex-string "${LEFT_OUT}" -j DROP`],
    ['-A A -m string --string S3 -j DROP', `-A A -m string --string "${LEFT_OUT}" -j DROP`],
    ['-A A -m comment --comment token=S3 -j B', `-A A -m comment --comment "token=${LEFT_OUT}" -j B`],
    ['[{"comment": "token=S3"}, {"accept": null}]', `[{"comment": "token=${LEFT_OUT}"}, {"accept": null}]`],
  ])('%s', (text, without) => {
    expect(rulesWithoutSecrets(text)).toBe(without);
    expect(rulesWithoutSecrets(without)).toBe(without);
  });

  test.each([
    '-A A -m comment --comment "dnat name: \\"cbr-token\\" id: \\"abcdef.0123456789abcdef\\"" -j CNI-DN-a',
    '-A KUBE-SVC -m comment --comment "default/server.datacenterberlin cluster IP" -j B',
    '-A KUBE-SVC -m comment --comment "default/my-token:http cluster IP" -j B',
    '-A KUBE-SVC -m comment --comment default/my-token:http -j B',
    '{"prefix": {"addr": "10.0.0.0", "len": 8}}',
    '{"log": {"prefix": "dropped: "}}',
  ])('and none: %s', (text) => expect(rulesWithoutSecrets(text)).toBe(text));
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

  test('keeps every name, path, device and setting', () => {
    const names = ['worker.mycompanycluster', 'server.datacenterberlin', 'x-token', 'eyJhbGciOiJSUzI1NiJ9'];
    for (const name of names) {
      const clean = cniNode({});
      const sandbox = {
        id: name,
        name,
        namespace: name,
        uid: name,
        attempt: 0,
        ready: true,
        createdAt: 'x',
        hostNetwork: false,
        netns: `/run/netns/${name}`,
        netnsExists: true,
        ips: [],
        portMappings: [],
      };
      const named = {
        ...clean,
        node: name,
        network: {
          ...clean.network,
          sysctls: { value: { [`net.ipv4.conf.${name}.route_localnet`]: '1', unknown: 'token=1' } },
          listeners: {
            value: [{ protocol: 'tcp' as const, address: '0.0.0.0', port: 80, process: name }],
          },
        },
        cni: {
          ...clean.cni,
          confDir: `/etc/${name}`,
          binDirs: [`/opt/${name}`],
          attachments: {
            value: [{ ...attachment, containerId: name, networkName: name, config: '{}', result: {} }],
          },
        },
        sandboxes: { value: [sandbox] },
      };
      expect(reportWithoutSecrets(named)).toEqual(named);
    }
  });

  test('without secrets stays as it is', () => {
    const clean = cniNode({ 'a.conflist': list({}) }, { loaded: list({}) });
    expect(reportWithoutSecrets(clean)).toEqual(clean);
    const once = reportWithoutSecrets(report);
    expect(reportWithoutSecrets(once)).toEqual(once);
  });
});
