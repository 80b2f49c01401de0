import { expect, test } from 'bun:test';
import { podName, type ReaderSettings, readerPod, workNamespace } from './manifests.ts';

const settings: ReaderSettings = {
  run: '0a1b2c3d',
  namespace: 'work',
  image: 'registry.example/any:1',
  imagePullSecrets: [],
  probes: true,
  sendsProgram: false,
  lifetimeSeconds: 360,
  ends: '2026-01-01T00:06:00.000Z',
};

test('a pod can start on any node, ends by itself, and has no credentials and nothing of the node that it can write', () => {
  const { spec } = readerPod('worker-1', settings);
  expect(spec).toMatchObject({
    nodeName: 'worker-1',
    tolerations: [{ operator: 'Exists' }],
    automountServiceAccountToken: false,
    activeDeadlineSeconds: 360,
    restartPolicy: 'Never',
  });
  expect(spec?.hostPID).toBeUndefined();
  expect(spec?.hostIPC).toBeUndefined();
  const [container] = spec!.containers;
  expect(container?.securityContext).toMatchObject({ privileged: false, readOnlyRootFilesystem: true });
  expect(container?.securityContext?.capabilities?.drop).toEqual(['ALL']);
  expect(container?.volumeMounts?.every(({ readOnly }) => readOnly === true)).toBe(true);
});

test.each([
  [true, true],
  [false, false],
])('namespaces of pods can be entered only where probes are sent: probes %p', (probes, expected) => {
  const [container] = readerPod('a', { ...settings, probes }).spec!.containers;
  expect(container?.securityContext?.capabilities?.add?.includes('SYS_ADMIN')).toBe(expected);
});

test('the own image needs no shell, any other needs one', () => {
  const commandOf = (sendsProgram: boolean) =>
    readerPod('a', { ...settings, sendsProgram }).spec!.containers[0]!.command!;
  expect(commandOf(false)).toEqual(['/usr/local/bin/hostport', 'node-wait', '360s']);
  expect(commandOf(true)[0]).toBe('/bin/sh');
});

test('what another program is sent into can be written, and is not on the node', () => {
  const { spec } = readerPod('a', { ...settings, sendsProgram: true });
  const writable = spec!.containers[0]!.volumeMounts!.filter(({ readOnly }) => readOnly !== true);
  expect(writable.map(({ name }) => spec!.volumes!.find((volume) => volume.name === name)?.emptyDir)).toEqual(
    [{}],
  );
});

test('names are valid, and of two nodes never the same', () => {
  const long = `${'n'.repeat(63)}.${'d'.repeat(63)}.example.com`;
  const names = ['a.b', 'a-b', long, `${long}.x`].map((node) => podName(node, settings.run));
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
});

test('the namespace admits what its pods need, and says until when they live', () => {
  const { metadata } = workNamespace(settings);
  expect(metadata?.labels).toMatchObject({
    'pod-security.kubernetes.io/enforce': 'privileged',
    'hostport.dev/doctor-run': '0a1b2c3d',
  });
  expect(Object.values(metadata?.annotations ?? {})).toEqual([settings.ends]);
});
