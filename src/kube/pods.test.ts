import { expect, test } from 'bun:test';
import { isMirrorPod, lastingContainers, MIRROR_ANNOTATION, qosClass } from './pods.ts';

test.each([
  [{}, {}, 'BestEffort'],
  [{ cpu: '0', memory: '0Mi' }, { cpu: '0.0' }, 'BestEffort'],
  [{ cpu: '1' }, {}, 'Burstable'],
  [{ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' }, 'Guaranteed'],
  [{}, { cpu: '1', memory: '1Gi' }, 'Guaranteed'],
  [{ cpu: '1', memory: '1Gi' }, { cpu: '2', memory: '1Gi' }, 'Burstable'],
] as const)('requests %p and limits %p are %s', (requests, limits, expected) => {
  const containers = [{ name: 'main', resources: { requests, limits } }];
  expect(qosClass({ spec: { containers } })).toBe(expected);
  expect(qosClass({ spec: { containers, initContainers: [{ name: 'first', resources: {} }] } })).toBe(
    expected === 'Guaranteed' ? 'Burstable' : expected,
  );
});

test('what lasts as long as the pod are its containers and sidecars', () => {
  const initContainers = [{ name: 'ends' }, { name: 'sidecar', restartPolicy: 'Always' }];
  const names = lastingContainers({ spec: { containers: [{ name: 'main' }], initContainers } });
  expect(names.map(({ name }) => name)).toEqual(['main', 'sidecar']);
});

test('the mirror of a static pod is known by its annotation', () => {
  expect(isMirrorPod({ metadata: { annotations: { [MIRROR_ANNOTATION]: '' } } })).toBe(true);
  expect(isMirrorPod({ metadata: { annotations: {} } })).toBe(false);
  expect(isMirrorPod({})).toBe(false);
});
