import { describe, expect, test } from 'bun:test';
import type { Pod } from '../../kube/types.ts';
import { judge } from './answers.ts';

const RUNNING = [{ name: 'c', image: '', imageID: '', ready: true, restartCount: 0, state: { running: {} } }];
const WAITING = [
  { name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state: { waiting: { reason: 'x' } } },
];

function pod(name: string, containerStatuses: typeof RUNNING | typeof WAITING, hostname?: string): Pod {
  return { metadata: { name }, spec: { containers: [], hostname }, status: { containerStatuses } };
}

describe('who answered', () => {
  const CASES: readonly { name: string; host?: string; pod: Pod; result: string; detail: string }[] = [
    {
      name: 'the pod, by its name',
      host: 'echo',
      pod: pod('echo', RUNNING),
      result: 'answered',
      detail: 'HTTP 200 as echo',
    },
    {
      name: 'the pod, by the host name that it asks for',
      host: 'web',
      pod: pod('echo', RUNNING, 'web'),
      result: 'answered',
      detail: 'HTTP 200 as web',
    },
    {
      name: 'the pod, before the API knows that it runs',
      host: 'echo',
      pod: pod('echo', WAITING),
      result: 'answered',
      detail: 'HTTP 200 as echo',
    },
    {
      name: 'another that says so',
      host: 'old',
      pod: pod('new', RUNNING),
      result: 'another pod',
      detail: 'HTTP 200 as old, which is not this pod',
    },
    {
      name: 'somebody, while the pod runs',
      pod: pod('nginx', RUNNING),
      result: 'answered',
      detail: 'HTTP 200; the page does not name the pod',
    },
    {
      name: 'somebody, while the pod does not run',
      pod: pod('nginx', WAITING),
      result: 'another pod',
      detail: 'HTTP 200, but no container of this pod runs',
    },
  ];
  for (const { name, host, pod: asked, result, detail } of CASES) {
    test(name, () => {
      expect(judge({ result: 'answered', status: 200, host }, asked)).toEqual({
        result: result as 'answered',
        detail,
      });
    });
  }
});
