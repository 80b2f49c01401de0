import { expect, test } from 'bun:test';
import { agentImage, IMAGE_PREFIX, isAgentImage } from './images.ts';

test('without a registry, the name is one that nobody can register', () => {
  expect(IMAGE_PREFIX).toEndWith('.invalid');
  expect(agentImage('1.2.3')).toBe(`${IMAGE_PREFIX}/hostport-agent:1.2.3`);
});

test.each([
  [agentImage(), true],
  ['hostport-agent', true],
  ['registry.example:5000/mirror/hostport-agent', true],
  ['registry.example:5000/hostport-agent:1.2.3', true],
  [`registry.example/hostport-agent:1.2.3@sha256:${'0'.repeat(64)}`, true],
  [`registry.example/hostport-agent@sha256:${'0'.repeat(64)}`, true],
  ['registry.example/my-hostport-agent:1', false],
  ['registry.example/hostport-agent/other:1', false],
  ['busybox', false],
])('%s is the agent: %p', (reference, expected) => expect(isAgentImage(reference)).toBe(expected));
