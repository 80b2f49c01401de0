/**
 * Every failure of the catalogue on a cluster: healthy, injected, found as exactly what it is, healed, answering again from everywhere,
 * undone, healthy. Each worker is a lane of its own, and lanes run side by side, since most of the time is waiting.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { table } from '../../../src/cli/printer/table.ts';
import { requireRecord } from '../../../src/lab/cluster/record.ts';
import { LabPlaces } from '../../../src/lab/doctor/places.ts';
import { faultOf } from '../../../src/lab/faults/index.ts';
import { catalogue } from '../../../src/path/stages/index.ts';
import { spanOf, storeFigures, sumOf } from '../../figures.ts';
import { Lab, PROGRAM } from '../lab.ts';
import { createCatalogueCluster } from './cluster.ts';
import { type Lane, makeLanes } from './lane.ts';
import { type Proof, prove, untilHealthy } from './prove.ts';

const LANES = 3;

/** `CATALOGUE=plugin-missing,ip-forward-off` proves those alone, while somebody works on them. */
const chosen = process.env.CATALOGUE?.split(',');
const failures = catalogue.filter(
  (failure) =>
    faultOf(failure).impossible === undefined && (chosen === undefined || chosen.includes(failure.code)),
);

export interface EveryFailure {
  /** What it is proved on. */
  title: string;
  cluster: string;
  /** Why the lab cannot run here; undefined when it can. */
  missing: string | undefined;
  /** Whether the pages of the failures show what is printed on such a cluster, and are compared with it. */
  isOnPages: boolean;
  /** Further words for `create cluster`. */
  words?: readonly string[];
  /** Deadline of creating the cluster, in milliseconds. */
  createMs: number;
  /** Deadline of one failure and those before it on its lane, in milliseconds. */
  proveMs: number;
}

/** Declares the tests. */
export function everyFailure({
  title,
  cluster,
  missing,
  isOnPages,
  words,
  createMs,
  proveMs,
}: EveryFailure): void {
  describe.skipIf(missing !== undefined)(`${title}${missing ? ` (${missing})` : ''}`, () => {
    const lab = new Lab(cluster);
    const interrupted = new AbortController();
    const proofs = new Map(failures.map(({ code }) => [code, Promise.withResolvers<Proof>()]));
    const done: Proof[] = [];
    const queue = [...failures];
    let running: Promise<unknown> = Promise.resolve();
    let places: LabPlaces | undefined;
    let began = 0;

    async function run(lane: Lane): Promise<void> {
      let healthy = await untilHealthy(lane);
      for (let failure = queue.shift(); failure !== undefined; failure = queue.shift()) {
        const proven = proofs.get(failure.code)!;
        try {
          const outcome = await prove(lane, failure, healthy, { isOnPages });
          healthy = outcome.healthy;
          done.push(outcome.proof);
          proven.resolve(outcome.proof);
        } catch (error) {
          // A lane that does not get healthy again proves nothing more; the others continue.
          proven.reject(error);
          return;
        }
      }
    }

    beforeAll(async () => {
      // One that nobody waits for yet must not end the process.
      for (const { promise } of proofs.values()) promise.catch(() => {});
      const nodes = await createCatalogueCluster(lab, LANES, words);
      places = new LabPlaces(await requireRecord(lab.name), PROGRAM);
      const lanes = await makeLanes(places, lab, nodes, interrupted.signal);
      began = performance.now();
      running = Promise.allSettled(lanes.map(run)).then((ends) => {
        const [end] = ends.filter(({ status }) => status === 'rejected');
        const why = end?.status === 'rejected' ? end.reason : new Error('no lane was left to prove it');
        for (const { code } of queue) proofs.get(code)!.reject(why);
      });
    }, createMs);

    afterAll(async () => {
      interrupted.abort(new Error('the test is over'));
      await running;
      await places?.[Symbol.asyncDispose]();
      const rows = done.map(({ code, node, detected, healed, restarted, seconds, spent }) => [
        code,
        detected ? 'yes' : 'NO',
        healed,
        restarted ? 'yes' : 'no',
        seconds.toFixed(1),
        spent.map((part) => part.toFixed(1)).join(' + '),
        node,
      ]);
      process.stdout.write(
        `\n${table(['CODE', 'DETECTED', 'HEALED', 'RESTARTED', 'SECONDS', 'BREAK + FIND + HEAL + UNDO', 'NODE'], rows)}`,
      );
      process.stdout.write(
        `${done.length} of ${failures.length} failures in ${Math.round((performance.now() - began) / 1000)} s\n`,
      );
      if (isOnPages && chosen === undefined && done.length === failures.length) {
        storeFigures('catalogue', () => ({
          cases: done.length,
          right: done.filter(({ wrong }) => wrong.length === 0).length,
          ...sumOf(done.map(({ seen }) => seen)),
          toFind: spanOf(done.map(({ spent }) => spent[1] ?? 0)),
          toHeal: spanOf(
            done.flatMap(({ healed, spent }) =>
              healed === 'while it runs' || healed === 'restart' ? [spent[2] ?? 0] : [],
            ),
          ),
        }));
      }
      await lab.delete();
    }, createMs);

    for (const { code } of failures) {
      test(
        code,
        async () => {
          const { wrong } = await proofs.get(code)!.promise;
          expect(wrong).toEqual([]);
        },
        proveMs,
      );
    }
  });
}
