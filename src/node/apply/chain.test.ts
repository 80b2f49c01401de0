import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ResultCache } from '../../cni/result-cache.ts';
import type { Sandbox } from '../../path/model/node-report.ts';
import { realExec } from '../../sys/exec.ts';
import { Backups } from './backup.ts';
import { attachAction } from './chain.ts';

const ID = 'a'.repeat(64);
const LIST = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'net',
  plugins: [{ type: 'primary' }, { type: 'portmap', capabilities: { portMappings: true } }],
});

let root: string;
let cache: ResultCache;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-attach-'));
  // Plugins that note what they are called with, and hand on what they are given.
  for (const directory of ['bin', 'own']) plugin(directory);
  writeFileSync(join(root, '10-net.conflist'), LIST);
  cache = new ResultCache(root);
});
afterEach(() => rmSync(root, { recursive: true }));

const sandbox = (rest: Partial<Sandbox> = {}): Sandbox => ({
  id: ID,
  name: 'echo',
  namespace: 'default',
  uid: 'u',
  attempt: 0,
  ready: true,
  createdAt: '2026-01-01T00:00:00Z',
  hostNetwork: false,
  netns: '/proc/self/ns/net',
  netnsExists: true,
  ips: ['10.1.0.2'],
  portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }],
  ...rest,
});

function plugin(directory: string): void {
  mkdirSync(join(root, directory));
  writeFileSync(
    join(root, directory, 'portmap'),
    `#!/bin/sh
echo "${directory} $CNI_COMMAND" >>${root}/calls
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0"}'
exit 0
`,
    { mode: 0o755 },
  );
}

/** Attaches portmap to a sandbox that the primary alone created. The runtime's answers about the sandbox come in order, one a question. */
async function attach(network: string, answers: Sandbox[][], own?: true) {
  await cache.write({
    networkName: network,
    containerId: ID,
    ifName: 'eth0',
    config: '{}',
    netns: '/proc/self/ns/net',
    result: { cniVersion: '1.0.0', ips: [{ address: '10.1.0.2/32' }] },
  });
  const context = {
    exec: realExec,
    backups: new Backups(new Date(0), join(root, 'backup')),
    ownPlugins: join(root, 'own'),
  };
  const outcome = await attachAction(
    {
      do: 'attach',
      sandbox: ID,
      config: join(root, '10-net.conflist'),
      plugin: 'portmap',
      ...(own && { own }),
    },
    context,
    async () => ({ binDirs: [join(root, 'bin')], sandboxes: answers.shift()! }),
    cache,
  ).then(
    ({ changed }) => changed,
    (error: Error) => error.message,
  );
  return {
    outcome,
    calls: readFileSync(join(root, 'calls'), 'utf8').trim().split('\n'),
    remembered: cache.list(ID).map(({ networkName, config }) => [networkName, config]),
  };
}

const undone = expect.stringContaining('undone');

test.each([
  ['that keeps running keeps it', 'net', sandbox(), true, ['bin ADD'], [['net', LIST]]],
  ['takes the place of the network before', 'old', sandbox(), true, ['bin ADD'], [['net', LIST]]],
  [
    'that ends meanwhile does not',
    'net',
    sandbox({ ready: false }),
    undone,
    ['bin ADD', 'bin DEL'],
    [['net', '{}']],
  ],
  ['that has gone meanwhile does not', 'net', undefined, undone, ['bin ADD', 'bin DEL'], [['net', '{}']]],
  ['that has ended and was of another', 'old', undefined, undone, ['bin ADD', 'bin DEL'], [['old', '{}']]],
])('a sandbox %s', async (_, network, then, outcome, calls, remembered) => {
  expect(await attach(network, [[sandbox()], then === undefined ? [] : [then]])).toEqual({
    outcome: outcome as string | boolean,
    calls,
    remembered,
  });
});

test('portmap is attached to the interface of the pod, not to a further one of the same network', async () => {
  const further = { networkName: 'net', containerId: ID, ifName: 'a1', config: '{}' };
  await cache.write({ ...further, result: { cniVersion: '1.0.0' } });
  expect(await attach('net', [[sandbox()], [sandbox()]])).toMatchObject({ outcome: true });
  expect(cache.list(ID).map(({ ifName, config }) => [ifName, config])).toEqual([
    ['a1', '{}'],
    ['eth0', LIST],
  ]);
});

test('the plugin that is brought along is run where it is asked for', async () => {
  expect(await attach('net', [[sandbox()], [sandbox()]], true)).toMatchObject({
    outcome: true,
    calls: ['own ADD'],
  });
});
