import { expect, test } from 'bun:test';
import { hasReadableUser, userOf } from './url-user.ts';

test.each([
  ['https://h', undefined, true],
  ['https://u@h', { username: 'u', password: '' }, true],
  ['https://:p@h', { username: '', password: 'p' }, true],
  ['https://u%40:p%C3%A4:%25@h', { username: 'u@', password: 'pä:%' }, true],
  ['https://u%zz@h', undefined, false],
  ['https://u:100%@h', undefined, false],
  ['https://u:%ff@h', undefined, false],
])('the user of %s', (text, user, isReadable) => {
  const url = new URL(text);
  expect(userOf(url)).toEqual(user);
  expect(hasReadableUser(url)).toBe(isReadable);
});
