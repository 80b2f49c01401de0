import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withoutLinks } from './links.ts';

let root: string;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'hostport-links-')));
  mkdirSync(join(root, 'real/there'), { recursive: true });
  symlinkSync('real', join(root, 'relative'));
  symlinkSync(join(root, 'real'), join(root, 'absolute'));
  symlinkSync('nowhere', join(root, 'broken'));
});
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['real/there', 'real/there'],
  ['relative/there', 'real/there'],
  ['absolute/there', 'real/there'],
  ['absolute/not/yet', 'real/not/yet'],
  ['not/yet', 'not/yet'],
  // What a link to nothing would be made to lead to is not for us to create.
  ['broken', 'broken'],
])('%s is %s', (path, expected) => expect(withoutLinks(join(root, path))).toBe(join(root, expected)));

test('the root is itself', () => expect(withoutLinks('/')).toBe('/'));
