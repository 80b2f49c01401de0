import { describe, expect, test } from 'bun:test';
import { hasColours } from './colour.ts';
import { layoutOf, wideLayoutOf } from './layout.ts';

const TERMINAL = { isTTY: true, columns: 120 };

describe('the width', () => {
  test.each<[string, object, Record<string, string>, number]>([
    ['of a terminal', TERMINAL, {}, 120],
    ['that is exported', TERMINAL, { COLUMNS: '200' }, 200],
    ['that is exported, and no number', TERMINAL, { COLUMNS: 'wide' }, 120],
    ['of a terminal that does not know it', { isTTY: true, columns: 0 }, {}, 80],
    ['of a terminal that is too narrow for a table', { isTTY: true, columns: 20 }, {}, 60],
    ['of a pipe', {}, {}, Number.POSITIVE_INFINITY],
    ['of a pipe, whatever is exported', {}, { COLUMNS: '80' }, Number.POSITIVE_INFINITY],
  ])('%s', (_, stream, env, width) => {
    expect(layoutOf(stream, env).width).toBe(width);
  });

  test('of -o wide has no end', () => {
    expect(wideLayoutOf(TERMINAL, {})).toMatchObject({ width: Number.POSITIVE_INFINITY, isUnfolded: true });
  });
});

describe('colours', () => {
  test.each<[string, object, Record<string, string>, boolean]>([
    ['on a terminal', TERMINAL, {}, true],
    ['on a terminal that is dumb', TERMINAL, { TERM: 'dumb' }, false],
    ['in a pipe', {}, {}, false],
    ['with NO_COLOR', TERMINAL, { NO_COLOR: '1' }, false],
    ['with an empty NO_COLOR', TERMINAL, { NO_COLOR: '' }, true],
    ['in a pipe, with FORCE_COLOR', {}, { FORCE_COLOR: '1' }, true],
    ['in a pipe, with an empty FORCE_COLOR', {}, { FORCE_COLOR: '' }, false],
    ['with FORCE_COLOR=0', TERMINAL, { FORCE_COLOR: '0' }, false],
    ['with both', {}, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  ])('%s', (_, stream, env, want) => {
    expect(hasColours(stream, env)).toBe(want);
    expect(layoutOf(stream, env).paint('bad', 'x')).toBe(want ? '\u001b[31mx\u001b[0m' : 'x');
  });

  test('of nothing are nothing', () => {
    expect(layoutOf(TERMINAL, {}).paint('bad', '')).toBe('');
  });
});
