/**
 * The executable and the same TypeScript in this process, which another engine runs, refuse random calls in the same words. Only calls that are
 * refused before they look at the machine are made: the others are compared in network namespaces. FUZZ_RUNS chooses how many (`make fuzz`).
 */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { cniErrorCode } from '../src/cni/errors.ts';
import { runPlugin } from '../src/cni/plugin.ts';
import { FakeMachine } from '../src/portmap/machine.fake.ts';
import { portmap } from '../src/portmap/portmap.ts';
import { FakeAttachments } from '../src/portmap/testing/attachments.fake.ts';
import { type Call, call } from './random-calls.ts';

const PLUGIN = join(import.meta.dir, '../dist/cni/portmap');
const missing = existsSync(PLUGIN) ? '' : ' (needs dist/cni: make build)';
/** A tenth of what is called in memory: a process each. */
const RUNS = Math.ceil(Number(process.env.FUZZ_RUNS ?? 3000) / 10);
const SEED = Number(process.env.FUZZ_SEED ?? 20260501);
/** Milliseconds, with room for a machine that does other things. */
const RUN_MS = 60;

/** What a call is refused for by what it says, whatever the machine is. */
const BY_ITSELF: number[] = [
  ...[cniErrorCode.incompatibleVersion, cniErrorCode.unsupportedField, cniErrorCode.invalidEnvironment],
  ...[cniErrorCode.decodingFailure, cniErrorCode.invalidNetworkConfig],
];

interface Answer {
  status: number;
  stdout: string;
  stderr: string;
}

function environmentOf({ verb, id, ifName }: Call): Record<string, string> {
  return {
    ...{ CNI_COMMAND: verb, CNI_CONTAINERID: id, CNI_IFNAME: ifName },
    ...{ CNI_NETNS: '/run/netns/none', CNI_PATH: '/opt/cni/bin' },
  };
}

/** What is answered in this process; undefined for a call that is not refused, or looks at the machine. */
async function refusalHere(one: Call): Promise<Answer | undefined> {
  const machine = new FakeMachine();
  const answer = { status: 0, stdout: '', stderr: '' };
  answer.status = await runPlugin(portmap(machine, new FakeAttachments(), machine), {
    env: environmentOf(one),
    isOwnNetns: () => false,
    readStdin: async () => one.text,
    writeStdout: (text) => {
      answer.stdout += text;
    },
    writeStderr: (text) => {
      answer.stderr += text;
    },
  });
  const isRefused = answer.status !== 0 && BY_ITSELF.includes(JSON.parse(answer.stdout).code);
  return isRefused && machine.locks.taken === 0 && machine.ran.length === 0 ? answer : undefined;
}

function byExecutable(one: Call): Answer {
  const { exitCode, signalCode, stdout, stderr } = Bun.spawnSync([PLUGIN], {
    env: { ...environmentOf(one), PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdin: Buffer.from(one.text),
    stderr: 'pipe',
  });
  if (exitCode === null) throw new Error(`ended by ${signalCode}: ${stderr}`);
  return { status: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** What no environment variable or pipe can hold is no call. */
function isPossible({ id, ifName, text }: Call): boolean {
  return (
    ![id, ifName].some((value) => value.includes('\0')) &&
    [id, ifName, text].every((each) => each.isWellFormed())
  );
}

describe.skipIf(missing !== '')(`random calls${missing}`, () => {
  test(
    `${RUNS} of them are refused as in this process`,
    async () => {
      let refused = 0;
      const property = fc.asyncProperty(call, async (one) => {
        fc.pre(isPossible(one));
        const expected = await refusalHere(one);
        if (expected === undefined) return;
        refused++;
        expect(byExecutable(one)).toEqual(expected);
      });
      await fc.assert(property, { numRuns: RUNS, seed: SEED });
      // Or nothing was compared.
      expect(refused).toBeGreaterThan(RUNS / 10);
      console.log(`${refused} of ${RUNS} random calls were refused in the same words by both engines`);
    },
    10_000 + RUNS * RUN_MS,
  );
});
