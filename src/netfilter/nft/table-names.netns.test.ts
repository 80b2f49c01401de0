import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import type { NftTableName } from './table-names.ts';

const namespace = `hpt-tables-${process.pid}`;
const inside = (...argv: string[]) => output(realExec, ['nsenter', `--net=/run/netns/${namespace}`, ...argv]);

/** The answer of a process that runs inside the namespace: a socket belongs to the namespace of the process that opens it. */
async function tableNames(): Promise<NftTableName[]> {
  const module = JSON.stringify(join(import.meta.dir, 'table-names.ts'));
  const program = `import { nftTableNames } from ${module}; console.log(JSON.stringify(nftTableNames()))`;
  return JSON.parse(await inside(process.execPath, '-e', program)) as NftTableName[];
}

beforeAll(() => output(realExec, ['ip', 'netns', 'add', namespace]));
afterAll(() => output(realExec, ['ip', 'netns', 'delete', namespace]));

test('tables of every family and every program; none in an empty namespace', async () => {
  expect(await tableNames()).toEqual([]);
  await inside('iptables-nft', '-t', 'nat', '-A', 'PREROUTING', '-j', 'ACCEPT');
  for (const family of ['inet', 'bridge', 'ip6']) await inside('nft', 'add', 'table', family, 'of-test');
  expect(await tableNames()).toEqual([
    { family: 'ip', name: 'nat' },
    { family: 'inet', name: 'of-test' },
    { family: 'bridge', name: 'of-test' },
    { family: 'ip6', name: 'of-test' },
  ]);
});
