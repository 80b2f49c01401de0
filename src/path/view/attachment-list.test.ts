import { expect, test } from 'bun:test';
import { listOfAttachment } from './attachment-list.ts';

const config = (name: string, note = '') =>
  JSON.stringify({ cniVersion: '1.0.0', name, note, plugins: [{ type: 'bridge' }] });

test('the same text is read once, and another one for itself', () => {
  const first = listOfAttachment({ config: config('a') });
  expect(first?.name).toBe('a');
  expect(listOfAttachment({ config: config('a') })).toBe(first);
  for (let i = 0; i < 100; i++) expect(listOfAttachment({ config: config(`n${i}`) })?.name).toBe(`n${i}`);
  expect(listOfAttachment({ config: config('a') })).toEqual(first);
  expect(listOfAttachment({ config: config('long', 'x'.repeat(100_000)) })?.name).toBe('long');
});

test('what cannot be read is none, however often', () => {
  for (let i = 0; i < 2; i++) expect(listOfAttachment({ config: '{' })).toBeUndefined();
});
