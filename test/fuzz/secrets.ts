import fc from 'fast-check';
import { rulesWithoutSecrets } from '../../src/node/report/rules-without-secrets.ts';
import { documentWithoutSecrets, textWithoutSecrets, withoutSecrets } from '../../src/node/report/secrets.ts';
import { type FuzzTarget, target } from './fuzz.ts';

// A secret is planted where one is found in the field, in a document or text that is otherwise random. It must not be in what is reported.

/** Long enough that no other part of a document is like it. */
const secret = fc
  .string({
    unit: fc.constantFrom(...'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'),
    minLength: 10,
    maxLength: 40,
  })
  .map((text) => `S3${text}`);

/** What fields and variables of secrets are called. */
const name = fc
  .tuple(
    fc.constantFrom('', 'etcd', 'K8S_', 'my-', 'x_', 'client', 'DB', 'cilium-'),
    fc.constantFrom(
      ...[
        'password',
        'passwd',
        'token',
        'secret',
        'apiKey',
        'api_key',
        'privateKey',
        'private-key',
        'accessKey',
      ],
      ...[
        'credentials',
        'authorization',
        'passphrase',
        'psk',
        'cookie',
        'authToken',
        'secretKey',
        'signing_key',
      ],
    ),
    fc.constantFrom('', '', '', 's', '2'),
    fc.constantFrom('as it is', 'as it is', 'upper', 'lower'),
  )
  .filter(([, word, end]) => end === '' || !/key|psk|cookie/i.test(word))
  .map(([before, word, end, form]) => {
    const whole = `${before}${word}${end}`;
    return form === 'upper' ? whole.toUpperCase() : form === 'lower' ? whole.toLowerCase() : whole;
  });

/** What stands around it: nothing by which a secret would be recognised. */
const noise = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom(
    '"',
    '\\"',
    '\\',
    "'",
    '\\\\"'.repeat(40),
    '"'.repeat(300),
    '{',
    '[',
    '\n',
    ' ',
    '://',
    ': ',
    '=',
    '-',
    'eth0',
    '10.0.0.1',
  ),
);
const harmlessKey = fc.constantFrom('type', 'name', 'mtu', 'ipam', 'a', 'b', 'args', 'log-level', '');

/** A secret as a value of a document. */
const planted = (value: string): fc.Arbitrary<unknown> =>
  fc.oneof(
    name.map((key) => ({ [key]: value })),
    name.map((key) => ({ [key]: [value] })),
    name.map((key) => ({ [key]: { a: { b: value } } })),
    name.map((key) => [{ name: key, value }]),
    name.map((key) => ({ env: [{ name: key, value, other: 1 }] })),
    name.map((key) => [`--${key}`, value]),
    name.map((key) => ['run', `--${key}=${value}`]),
    fc.constant({ auths: { 'registry.example': { auth: value } } }),
    fc.constant({ header: 'Authorization', value: `Bearer ${value}` }),
    fc.constant(['curl', '-u', `admin:${value}`]),
    text(value),
  );

/** The same in a text. */
function text(value: string): fc.Arbitrary<string> {
  const form = (make: (key: string) => string) => name.map(make);
  return fc.oneof(
    form((key) => `${key}=${value}`),
    form((key) => `export ${key}="${value}"`),
    form((key) => `${key}: ${value}`),
    form((key) => `${key}: "${value}"`),
    form((key) => `a: b\n${key}: ${value}\nc: d`),
    form((key) => `a:\n  ${key}: |\n    ${value}\n  c: d`),
    form((key) => `a:\n- ${key}: >-\n    x\n    ${value}`),
    form((key) => `? ${key}\n: ${value}\nc: d`),
    form((key) => `  ? "${key}"\n  : |\n    ${value}\n  c: d`),
    form((key) => `${key}: &anchor ${value}`),
    form((key) => `${key}: !!str ${value}`),
    form((key) => `{a: b, ${key}: ${value}, c: d}`),
    form((key) => `{'${key}': '${value}'}`),
    form((key) => `"${key}": "${value}"`),
    form((key) => `- name: ${key}\n  value: ${value}`),
    form((key) => `${key} = "${value}"`),
    form((key) => `<${key}>${value}</${key}>`),
    form((key) => `run --${key} ${value} --verbose`),
    form((key) => `run --${key}=${value}`),
    form((key) => `failed: {"${key}":"${value}"}`),
    form((key) => `failed: {\\"${key}\\":\\"${value}\\"}`),
    form((key) => `https://host/path?a=b&${key}=${value}&c=d`),
    fc.constantFrom(
      `machine h login u password ${value}`,
      `machine h\n  login u\n  password ${value}\n`,
      `default login anonymous password "${value}"`,
      `machine h password ${value} login u`,
      `https://user:${value}@host:443/a`,
      `postgres://u:${value}@h/db`,
      `https://${value}@host/`,
      `Authorization: Bearer ${value}`,
      `Authorization: Basic ${value}`,
      `authorization: bearer ${value}`,
      `Cookie: session=${value}; a=b`,
      `curl -u admin:${value} https://h`,
      `curl --user=admin:${value} https://h`,
      `eyJhbGciOiJSUzI1NiIsImtpZCI6In${value}.e30.c2lnbmF0dXJl`,
      `-----BEGIN EC PRIVATE KEY-----\n${value}\n-----END EC PRIVATE KEY-----`,
      `-----BEGIN OPENSSH PRIVATE KEY-----\n${value}`,
      `LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo${value}`,
      `ghp_${value}`,
      `AGE-SECRET-KEY-1${value}`,
    ),
  );
}

/** What a planted value is put into, again and again. */
const wrapping = fc.oneof(
  fc.tuple(harmlessKey, noise, noise).map(([key, before, after]) => (value: unknown): unknown => ({
    first: before,
    [key]: value,
    last: after,
  })),
  noise.map((beside) => (value: unknown): unknown => [beside, value, beside]),
  fc.constant((value: unknown): unknown => JSON.stringify(value)),
  noise.map((more) => (value: unknown): unknown => ({ more, text: JSON.stringify({ value }) })),
);

const document = secret.chain((value) =>
  fc.record({
    secret: fc.constant(value),
    document: fc
      .tuple(planted(value), fc.array(wrapping, { maxLength: 5 }))
      .map(([inner, wrappings]) => wrappings.reduce<unknown>((outer, wrap) => wrap(outer), inner)),
  }),
);

/** Around a text there are words of a sentence, or lines: what a program says. */
const said = secret.chain((value) =>
  fc.record({
    secret: fc.constant(value),
    text: fc
      .tuple(
        fc.constantFrom(
          '',
          'cannot load: ',
          'error: ',
          'plugin type="x" failed (add): ',
          'line one\n',
          '\n\n',
        ),
        text(value),
        fc.constantFrom('', '\n', ' failed', '\nline two\n', ' (exit status 1)'),
      )
      .map((parts) => parts.join(''))
      // A key of YAML is one at the beginning of a line only.
      .filter((whole) => !/^(?!\s*\? ).*\S.*\? "?\S+"?\n/.test(whole)),
  }),
);

function expectGone(out: string, value: string, of: unknown): void {
  if (out.includes(value)) throw new Error(`${value} is in ${JSON.stringify(out)}, of ${JSON.stringify(of)}`);
}

/** Of secrets. */
export const secretTargets: readonly FuzzTarget[] = [
  target('secrets in documents', 1, document, ({ secret: value, document: planted }) => {
    const written = JSON.stringify(planted);
    expectGone(withoutSecrets(written), value, planted);
    expectGone(withoutSecrets(JSON.stringify(planted, null, 2)), value, planted);
    expectGone(JSON.stringify(documentWithoutSecrets(planted)), value, planted);
  }),
  target('secrets in texts', 1, said, ({ secret: value, text: planted }) => {
    expectGone(textWithoutSecrets(planted), value, planted);
    // What is no document is not quoted at all.
    expectGone(withoutSecrets(planted), value, planted);
  }),
  target('secrets in rules', 0.5, fc.tuple(secret, secret.chain(text)), ([value]) => {
    const rules = [
      `-A X -m string --string "${value}" --algo bm -j DROP`,
      `-A X -m comment --comment "token=${value}" -j ACCEPT`,
      `-A X -j LOG --log-prefix "password: ${value} "`,
      JSON.stringify({ rule: { comment: `Bearer ${value}` } }),
    ];
    for (const rule of rules) expectGone(rulesWithoutSecrets(rule), value, rule);
  }),
];
