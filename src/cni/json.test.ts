import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { CniError } from './errors.ts';
import { decodeStruct, type Fields, marshalled, parseDocument, plain, TooLargeError } from './json.ts';

/** One field of each kind, as a Go struct would have them. */
const FIELDS: Fields = {
  snat: 'nullable',
  masqAll: 'scalar',
  markMasqBit: 'nullable',
  conditionsV4: 'nullable',
  capabilities: 'map',
  runtimeConfig: { struct: { portMappings: { list: { struct: { hostPort: 'scalar', hostIP: 'scalar' } } } } },
  ip4: { struct: { ip: 'scalar' }, nullable: true },
  'cni.dev/valid-attachments': 'nullable',
};

function decoded(text: string) {
  return decodeStruct(parseDocument(text, 'x'), FIELDS);
}

// What Go 1.26 makes of each text in a struct of these fields was looked up by running it.
describe('keys are matched as Go matches them', () => {
  test.each<[string, string, unknown]>([
    ['the name itself', '{"masqAll":true}', { masqAll: true }],
    ['another case', '{"MASQALL":true}', { masqAll: true }],
    ['the last of two spellings', '{"masqAll":true,"MasqAll":false}', { masqAll: false }],
    ['the exact spelling, when it is last', '{"MasqAll":false,"masqAll":true}', { masqAll: true }],
    ['the last of three, the first spelling twice', '{"snat":1,"SNAT":2,"snat":3}', { snat: 3 }],
    ['the long s', '{"ma\u017fqAll":true}', { masqAll: true }],
    ['the Kelvin sign', '{"mar\u212aMasqBit":5}', { markMasqBit: 5 }],
    ['a key with a space', '{"masqAll ":true}', { 'masqAll ': true }],
    ['a name with punctuation', '{"CNI.dev/Valid-Attachments":[]}', { 'cni.dev/valid-attachments': [] }],
    ['null for a scalar leaves it', '{"masqAll":true,"MASQALL":null}', { masqAll: true }],
    ['null for a pointer removes it', '{"snat":true,"SNAT":null}', {}],
    ['a list in place of a list', '{"conditionsV4":["a","b"],"conditionsv4":["c"]}', { conditionsV4: ['c'] }],
    [
      'two maps are one',
      '{"capabilities":{"a":true,"b":true},"Capabilities":{"a":false,"A":true}}',
      { capabilities: { a: false, A: true, b: true } },
    ],
    [
      'two structs are one',
      '{"runtimeConfig":{"PortMappings":[{"HostPort":80,"hostip":"::"}]},"RuntimeConfig":{"x":1}}',
      { runtimeConfig: { portMappings: [{ hostPort: 80, hostIP: '::' }], x: 1 } },
    ],
    [
      'null for a struct leaves it',
      '{"runtimeConfig":{"portMappings":[]},"RUNTIMECONFIG":null}',
      { runtimeConfig: { portMappings: [] } },
    ],
    ['null for a pointer to a struct removes it', '{"ip4":{"ip":"a"},"IP4":null}', {}],
    [
      'null for a list removes it',
      '{"runtimeConfig":{"portMappings":[{}],"portmappings":null}}',
      { runtimeConfig: {} },
    ],
    [
      'keys of a map are not matched',
      '{"capabilities":{"portmappings":true}}',
      { capabilities: { portmappings: true } },
    ],
    ['an object over a scalar', '{"masqAll":true,"masqall":{"a":1}}', { masqAll: { a: 1 } }],
    ['an object in place of another', '{"snat":{"a":1},"Snat":{"b":2}}', { snat: { b: 2 } }],
  ])('%s: %s', (_, text, value) => {
    expect(decoded(text)).toEqual(value as Record<string, unknown>);
  });

  test('an unknown key is reported with its path, once per occurrence', () => {
    const seen: string[] = [];
    decodeStruct(
      parseDocument('{"snatt":1,"SNAT":true,"runtimeConfig":{"portMappings":[{"port":1}],"mac":""}}', 'x'),
      FIELDS,
      (path) => seen.push(path.join('.')),
    );
    expect(seen).toEqual(['snatt', 'runtimeConfig.portMappings.port', 'runtimeConfig.mac']);
  });

  test('a key named __proto__ is a key and changes no prototype', () => {
    const value = decoded('{"__proto__":{"snat":true},"capabilities":{"__proto__":{"portMappings":true}}}')!;
    expect(Object.keys(value)).toEqual(['__proto__', 'capabilities']);
    expect(value.snat).toBeUndefined();
    expect((value.capabilities as Record<string, unknown>).portMappings).toBeUndefined();
  });

  test('anything but an object is not decoded', () => {
    for (const text of ['[]', 'null', '"a"', '1', 'true']) expect(decoded(text)).toBeUndefined();
  });
});

test('a document that went through a map has its keys sorted, at every level', () => {
  const text = '{"b":{"d":1,"C":[{"f":1,"E":2}]},"A":null}';
  expect(JSON.stringify(plain(marshalled(JSON.parse(text))))).toBe(
    '{"A":null,"b":{"C":[{"E":2,"f":1}],"d":1}}',
  );
});

describe('a document is read as JSON.parse reads it', () => {
  test.each([
    ' {"a" : [ 1 , -0.5e+3, "\\u00e9\\n\\"", true, false, null, {}, [] ] }\r\n\t',
    '"\\ud800"',
    '"é\u2028"',
    '[[[[]]]]',
    '{"a":1,"a":2}',
    '0',
    '[-0, -1, 0, 10, 123456789012345, 1234567890123456, 9007199254740993, 1e3, 0.1, -0.5, 0e1, 1E-2]',
    '["", "\\\\", "a\\\\\\"b", "\\ud83d\\ude00", "\\u0000"]',
  ])('%s', (text) => {
    expect(plain(parseDocument(text, 'x'))).toEqual(JSON.parse(text));
  });

  test.each([
    ['', 'line 1, column 1: expected a value'],
    ['{', 'line 1, column 2: expected a string'],
    ['{"a":1,}', 'line 1, column 8: expected a string'],
    ['[1,]', 'line 1, column 4: expected a value'],
    ['[1 2]', 'line 1, column 4: expected "," or "]"'],
    ['{"a" 1}', 'line 1, column 6: expected ":"'],
    ['{"a":1 "b":2}', 'line 1, column 8: expected "," or "}"'],
    ['{}\n{}', 'line 2, column 1: expected the end of the document'],
    ['01', 'line 1, column 2: expected the end of the document'],
    ['-', 'line 1, column 1: expected a value'],
    ['[-a]', 'line 1, column 2: expected a value'],
    ['[1.]', 'line 1, column 3: expected "," or "]"'],
    ['[1e]', 'line 1, column 3: expected "," or "]"'],
    ['[-01]', 'line 1, column 4: expected "," or "]"'],
    ['[truth]', 'line 1, column 2: expected a value'],
    ['["a\\\\\\"]', 'line 1, column 9: expected the rest of a string'],
    ['nul', 'line 1, column 1: expected a value'],
    ['"a\tb"', 'line 1, column 3: expected the rest of a string'],
    ['"\\x"', 'line 1, column 2: expected the rest of a string'],
    ['"\\u12g4"', 'line 1, column 2: expected the rest of a string'],
    ['"abc', 'line 1, column 5: expected the rest of a string'],
    ["{'a':1}", 'line 1, column 2: expected a string'],
    ['// a comment\n{}', 'line 1, column 1: expected a value'],
    ['\ufeff{}', 'line 1, column 1: expected a value'],
    ['token: SECRET', 'line 1, column 1: expected a value'],
  ])('%p is an error that says where, and quotes nothing', (text, where) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(() => parseDocument(text, 'x.conf')).toThrow(new CniError(6, `x.conf: not JSON: ${where}`));
  });
});

test('any text, whole or broken, is read or refused as JSON.parse does', () => {
  const broken = fc
    .tuple(fc.json(), fc.nat(), fc.nat(2), fc.constantFrom('', ...'{}[],:"\\-+.019eE \n\tunft'))
    .map(([text, at, left, put]) => {
      const place = at % (text.length + 1);
      return text.slice(0, place) + put + text.slice(place + left);
    });
  const outcome = (read: () => unknown) => {
    try {
      return { value: read() };
    } catch (cause) {
      return { isRefused: cause instanceof CniError || cause instanceof SyntaxError };
    }
  };
  fc.assert(
    fc.property(fc.oneof(fc.json(), broken), (text) => {
      const wanted = outcome(() => JSON.parse(text));
      expect(outcome(() => plain(parseDocument(text, 'x')))).toEqual(wanted);
    }),
    { numRuns: 3000, seed: 20260701 },
  );
});

describe('what is beyond the bounds is refused at once', () => {
  test.each([
    ['100 levels of lists are read', '['.repeat(100) + ']'.repeat(100), undefined],
    ['101 levels of lists are not', '['.repeat(101) + ']'.repeat(101), 'x: nested deeper than 100 levels'],
    [
      '40,000 levels of objects',
      `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`,
      'x: nested deeper than 100 levels',
    ],
    ['256 Ki values are read', `[${'1,'.repeat(256 * 1024 - 2)}1]`, undefined],
    ['one more is not', `[${'1,'.repeat(256 * 1024 - 1)}1]`, 'x: more than 256 Ki values'],
    ['nor are a million members', `{${'"a":{},'.repeat(1_000_000)}"b":1}`, 'x: more than 256 Ki values'],
    ['8 Mi characters', `"${'a'.repeat(8 * 1024 * 1024)}"`, 'x: larger than 8 Mi characters'],
  ])('%s', (_, text, error) => {
    if (error === undefined) expect(plain(parseDocument(text, 'x'))).toEqual(JSON.parse(text));
    else expect(() => parseDocument(text, 'x')).toThrow(new TooLargeError(error));
  });

  test('a string of a million escapes is read in one go', () => {
    const value = '"'.repeat(1_000_000);
    expect(parseDocument(JSON.stringify(value), 'x')).toBe(value);
  });
});
