import { describe, expect, test } from 'bun:test';
import { FakeRuntime } from './runtime.fake.ts';
import { runtimeSuite } from './runtime.suite.ts';
import { RuntimeError } from './runtime.ts';

const IMAGE = 'registry.test/busybox:1';

describe('fake runtime', () => {
  const runtime = new FakeRuntime();
  runtime.images.set(IMAGE, {
    id: 'sha256:1',
    repoTags: [IMAGE],
    repoDigests: [],
    size: 1,
    uid: undefined,
    username: '',
  });
  runtimeSuite(() => ({ runtime, image: IMAGE, directory: '/nowhere' }));
});

test.each([
  [2, 'rpc error: code = Unknown desc = words'],
  [5, 'rpc error: code = NotFound desc = words'],
  [14, 'rpc error: code = Unavailable desc = words'],
  [99, 'rpc error: code = Unknown desc = words'],
])('status %d is worded as Go words it', (code, message) => {
  expect(new RuntimeError(code, 'words').message).toBe(message);
});
