import { describe, expect, test } from 'bun:test';
import { UserError } from '../../util/errors.ts';
import { canonicalHeader, readConfiguration } from './configuration.ts';

test('without an environment the ports are 8080 and 8443', () => {
  expect(readConfiguration({})).toEqual({ port: 8080, sslPort: 8443, headers: [] });
  expect(readConfiguration({ PORT: '', SSLPORT: '', ADD_HEADERS: '' }).port).toBe(8080);
});

test('headers of the environment are taken by their canonical names', () => {
  const { port, sslPort, headers } = readConfiguration({
    PORT: '80',
    SSLPORT: '443',
    ADD_HEADERS: '{"x-foo": "bar", "X-Server": "cats1.0"}',
  });
  expect([port, sslPort, headers as unknown]).toEqual([
    80,
    443,
    [
      ['X-Foo', 'bar'],
      ['X-Server', 'cats1.0'],
    ],
  ]);
});

describe('what makes no sense is refused by name', () => {
  const cases: [environment: Record<string, string>, message: RegExp][] = [
    [{ PORT: 'http' }, /PORT=http: must be a port, 1 to 65535/],
    [{ PORT: '0' }, /PORT=0: must be a port/],
    [{ SSLPORT: '65536' }, /SSLPORT=65536: must be a port/],
    [{ PORT: '-1' }, /PORT=-1/],
    [{ PORT: '9000', SSLPORT: '9000' }, /PORT and SSLPORT are both 9000/],
    [{ ADD_HEADERS: '{"X"' }, /ADD_HEADERS=\{"X": is not JSON; it must be like/],
    [{ ADD_HEADERS: '["X"]' }, /is not an object/],
    [{ ADD_HEADERS: 'null' }, /is not an object/],
    [{ ADD_HEADERS: '{"X": 1}' }, /the value of X is not a string/],
    [{ ADD_HEADERS: '{"X Y": "1"}' }, /"X Y" cannot be the name of a header/],
    [{ ADD_HEADERS: '{"X": "a\\r\\nb"}' }, /the value of X has a line break in it/],
  ];
  for (const [environment, message] of cases) {
    test(JSON.stringify(environment), () => {
      expect(() => readConfiguration(environment)).toThrow(UserError);
      expect(() => readConfiguration(environment)).toThrow(message);
    });
  }
});

test('header names are written as Go writes them', () => {
  const cases: [string, string][] = [
    ['user-agent', 'User-Agent'],
    ['X-REAL-IP', 'X-Real-Ip'],
    ['accept', 'Accept'],
    ['sec-websocket-key', 'Sec-Websocket-Key'],
  ];
  for (const [name, canonical] of cases) expect(canonicalHeader(name)).toBe(canonical);
});
