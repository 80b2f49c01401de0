import { expect, test } from 'bun:test';
import { worldOf } from '../../path/testing/worker.ts';
import { Anonymiser } from './anonymiser.ts';

test('what a kernel said of a probe names neither nodes nor addresses', () => {
  const message =
    'the request left the node by lxc1 as 172.17.0.3:80 to 192.168.1.2:8080, and worker is silent';
  const trace = { outcome: 'died' as const, message, reason: 'NO_SOCKET', code: 'not-answering' };
  const world = worldOf({ probes: { outside: { trace } } });
  const probe = world.probes.find(({ vantage }) => vantage === 'outside')!;
  const anonymous = new Anonymiser(world).probe(probe).trace!;
  expect(anonymous).toMatchObject({ outcome: 'died', reason: 'NO_SOCKET', code: 'not-answering' });
  expect(anonymous.message).toStartWith('the request left the node by lxc1 as ');
  expect(anonymous.message).not.toMatch(/172\.17\.0\.3|192\.168\.1\.2|\bworker\b/);
});
