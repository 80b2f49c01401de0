import { expect, test } from 'bun:test';
import type { ContainerStatus } from '../../../kube/types.ts';
import { mapped } from '../../testing/mapped-node.ts';
import { containerNotRunning, mayBeOver } from './container-not-running.ts';

const status = (state: ContainerStatus['state']): ContainerStatus[] => [{ name: 'c', state }] as never;

test.each<[what: string, statuses: ContainerStatus[], expected: boolean]>([
  ['one that is being created', status({ waiting: { reason: 'ContainerCreating' } }), true],
  ['one that waits for something else', status({ waiting: { reason: 'ImagePullBackOff' } }), false],
  ['one that runs', status({ running: {} }), false],
  ['one of which nothing is said', [], false],
])('what is found of a container may be over: %s', (_, containerStatuses, expected) => {
  const { path } = mapped({
    pod: (pod) => {
      pod.status!.containerStatuses = containerStatuses;
    },
  });
  expect(mayBeOver(containerNotRunning.code, path)).toBe(expected);
  expect(mayBeOver('hostport-not-answering', path)).toBe(false);
});
