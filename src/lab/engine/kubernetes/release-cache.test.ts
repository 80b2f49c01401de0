import { expect, test } from 'bun:test';
import { homedir } from 'node:os';
import { releaseCache } from './release-cache.ts';

test.each([
  [{ XDG_CACHE_HOME: '/c' }, '/c/hostport/kubernetes/v1.36.1'],
  [{ XDG_CACHE_HOME: '' }, `${homedir()}/.cache/hostport/kubernetes/v1.36.1`],
  [{ XDG_CACHE_HOME: 'relative' }, `${homedir()}/.cache/hostport/kubernetes/v1.36.1`],
  [{}, `${homedir()}/.cache/hostport/kubernetes/v1.36.1`],
])('a release is in the cache of the environment %p at %s', (env, path) => {
  expect(releaseCache('v1.36.1', env)).toBe(path);
});
