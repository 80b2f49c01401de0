import { describe, expect, test } from 'bun:test';
import type { Diagnosis, Finding, StageVerdict } from '../../path/model/finding.ts';
import { stages } from '../../path/model/stages.ts';
import { catalogue } from '../../path/stages/index.ts';
import type { Clock } from '../../sys/clock.ts';
import type { Injected } from './book.ts';
import { untilFound } from './found.ts';

const POD = { namespace: 'default', name: 'echo', uid: 'u' };
const PORT = { hostPort: 80, containerPort: 8080, protocol: 'TCP' as const };
const NEVER = new AbortController().signal;

function injected(code: string): Injected {
  return {
    failure: catalogue.find((entry) => entry.code === code)!,
    target: {
      node: 'n1',
      pod: { ...POD, address: '10.0.0.2' },
      port: PORT,
      sandbox: 's',
      nodeAddress: '172.17.0.3',
    },
    memo: null,
    ready: [],
  };
}

/** What the doctor says of a cluster with one mapping: findings by their codes and nodes, and a cell of its path. */
function diagnosis(
  findings: [code: string, node: string][],
  cell: [stage: string, verdict: StageVerdict] | undefined = undefined,
): Diagnosis {
  const cells = Object.fromEntries(stages.map((stage) => [stage, { verdict: 'ok', codes: [] }]));
  if (cell !== undefined) cells[cell[0]] = cell[1] as never;
  return {
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt: '',
    paths: [{ node: 'n1', pod: { ...POD, uid: 'recreated' }, port: PORT, stages: cells as never }],
    findings: findings.map(([code, node]) => ({ code, subject: { node, pod: POD, port: PORT } }) as Finding),
    unknowns: [],
  };
}

/** What {@link untilFound} does where the doctor says this, one after the other, and then the last again and again. */
async function after(code: string, said: readonly Diagnosis[], before: readonly string[] = []) {
  let looks = 0;
  let now = 0;
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    async sleep(ms) {
      now += ms;
    },
  };
  const look = async () => said[Math.min(looks++, said.length - 1)]!;
  const waiting = untilFound(look, injected(code), new Set(before), NEVER, clock);
  return waiting.then(
    (hiddenBy) => ({ looks, hiddenBy }),
    (error: Error) => ({ error: error.message }),
  );
}

describe('an injected failure', () => {
  test('is awaited until the doctor finds it', async () => {
    const found = diagnosis([['v6-loopback', 'n1']]);
    expect(await after('v6-loopback', [diagnosis([]), diagnosis([]), found])).toEqual({
      looks: 3,
      hiddenBy: [],
    });
  });

  test('that is found elsewhere, too, is awaited where it was injected', async () => {
    const elsewhere: [string, string] = ['plugin-missing', 'n2'];
    const found = diagnosis([elsewhere, ['plugin-missing', 'n1']]);
    expect(await after('plugin-missing', [diagnosis([elsewhere]), found])).toEqual({
      looks: 2,
      hiddenBy: [],
    });
  });

  test('that follows from what was broken before is hidden by that', async () => {
    const hidden = diagnosis([], ['translated', { verdict: 'muted', codes: [], reason: 'plugin-missing' }]);
    expect(await after('mapping-missing', [hidden], ['plugin-missing'])).toEqual({
      looks: 1,
      hiddenBy: ['plugin-missing'],
    });
  });

  test('that is hidden in passing by what came of it is awaited', async () => {
    const hidden = diagnosis([], ['translated', { verdict: 'muted', codes: [], reason: 'plugin-missing' }]);
    const found = diagnosis([['mapping-missing', 'n1']]);
    expect(await after('mapping-missing', [hidden, found])).toEqual({ looks: 2, hiddenBy: [] });
  });

  test('that is never found ends with what is found instead', async () => {
    expect(await after('mapping-missing', [diagnosis([['ip-forward-off', 'n1']])])).toEqual({
      error:
        'waited 60000 ms for the doctor to find mapping-missing on n1; last seen: ip-forward-off on echo',
    });
  });
});
