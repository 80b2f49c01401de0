import { describe, expect, test } from 'bun:test';
import type { PodTemplateSpec } from '../../kube/types.ts';
import { sameTemplate, templateHash } from './template-hash.ts';

const template = (image: string, labels: Record<string, string> = { app: 'a' }): PodTemplateSpec => ({
  metadata: { labels },
  spec: { containers: [{ name: 'c', image }] },
});

describe('templateHash', () => {
  test('is a name part, stable in the order of keys and in what is null', () => {
    const hash = templateHash(template('i'));
    expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/);
    const shuffled = {
      spec: { containers: [{ image: 'i', name: 'c' }] },
      metadata: { labels: { app: 'a' }, creationTimestamp: null },
    };
    expect(templateHash(shuffled as never)).toBe(hash);
  });

  test('differs by content and by collision count', () => {
    const hashes = [
      templateHash(template('i')),
      templateHash(template('j')),
      templateHash(template('i'), 1),
      templateHash(template('i'), 2),
    ];
    expect(new Set(hashes).size).toBe(4);
  });
});

test('templates are the same but for the label that the controller adds', () => {
  const marked = template('i', { app: 'a', hash: 'x' });
  expect(sameTemplate(template('i'), marked, 'hash')).toBe(true);
  expect(sameTemplate(template('i'), template('i', { app: 'a', other: 'x' }), 'hash')).toBe(false);
  expect(sameTemplate(template('i'), template('j'), 'hash')).toBe(false);
});
