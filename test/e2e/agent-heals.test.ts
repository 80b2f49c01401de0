/**
 * What the agent heals with the rights that its manifests give it, and no more: every failure of the catalogue is injected under it, one after
 * the other on each of three workers.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { LabPlaces } from '../../src/lab/doctor/places.ts';
import { faultOf } from '../../src/lab/faults/index.ts';
import type { Failure } from '../../src/path/stages/failure.ts';
import { catalogue } from '../../src/path/stages/index.ts';
import { createCatalogueCluster } from './catalogue/cluster.ts';
import { type Lane, makeLanes } from './catalogue/lane.ts';
import { untilHealthy } from './catalogue/prove.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing, PROGRAM } from './lab.ts';

const missing = labMissing();
const LANES = 3;
/** How long the agent may take over a failure, in milliseconds: of a setting it learns at its regular looks only, each half minute. */
const HEAL_MS = 45_000;
/** How long it is watched that it leaves alone what it must, in milliseconds: five times what a fix takes. */
const QUIET_MS = 3_000;

/** What it does not heal, and why. Everything else of the catalogue it does. */
const NOT_HEALED: Readonly<Record<string, 'risk' | 'by hand' | 'note' | 'seen by probes only'>> = {
  'application-not-listening': 'by hand',
  'no-listening-socket': 'note',
  'not-answering': 'by hand',
  'off-node-blocked': 'by hand',
  'policy-denied': 'by hand',
  'source-address-lost': 'risk',
  'conflist-too-early': 'by hand',
  'hostip-family-mismatch': 'by hand',
  'hostip-not-on-node': 'by hand',
  'hostport-conflict': 'by hand',
  'nodeport-collision': 'by hand',
  'v6-loopback': 'note',
  'netfilter-tool-missing': 'by hand',
  'no-node-with-free-port': 'by hand',
  'scheduled-to-taken-port': 'by hand',
  'backends-mixed': 'by hand',
  'host-listener-hijacked': 'by hand',
  'mark-bit-shared': 'risk',
  // It may be that this primary CNI maps hostPorts itself; test/e2e/heal-watch.test.ts has one that does not.
  'portmap-not-chained': 'risk',
  'hairpin-unmasqueraded': 'seen by probes only',
  'rp-filter-strict': 'seen by probes only',
  'condition-excludes': 'by hand',
  'container-not-running': 'by hand',
  'delegate-capability-missing': 'by hand',
  'packet-dropped': 'by hand',
  'plugin-vulnerable': 'risk',
  'reply-misrouted': 'by hand',
  'service-shadowed': 'risk',
};

/** What a lab can have. */
const failures = catalogue.filter((failure) => faultOf(failure).impossible === undefined);

type Outcome = 'healed' | 'not healed';

describe.skipIf(missing !== undefined)(`the agent heals${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('agent-heals');
  const interrupted = new AbortController();
  const outcomes = new Map(failures.map(({ code }) => [code, Promise.withResolvers<Outcome>()]));
  const queue = [...failures];
  let running: Promise<unknown> = Promise.resolve();
  let places: LabPlaces | undefined;

  /** All that the agents of a node have logged. */
  const logOf = async (node: string) => {
    const words = ['sh', '-c', 'cat /var/log/pods/kube-system_hostport-agent-*/agent/*.log'];
    return (await lab.askNode(node, ...words)).stdout;
  };

  async function prove(
    lane: Lane,
    failure: Failure,
    healthy: Awaited<ReturnType<typeof untilHealthy>>,
  ): Promise<Outcome> {
    const from = (await logOf(lane.node)).length;
    const since = async () => (await logOf(lane.node)).slice(from);
    const isHealed = async () => new RegExp(` ${failure.code} [^\\n]*: healed`).test(await since());
    await lane.inject(failure, lane.target(healthy.scene.world));
    if (failure.code in NOT_HEALED) {
      await Bun.sleep(QUIET_MS);
      return (await isHealed()) ? 'healed' : 'not healed';
    }
    try {
      await eventually(`${failure.code} to be healed`, isHealed, { timeoutMs: HEAL_MS, intervalMs: 200 });
    } catch (cause) {
      throw new Error(`the agent says: ${await since()}`, { cause });
    }
    return 'healed';
  }

  async function run(lane: Lane): Promise<void> {
    let healthy = await untilHealthy(lane);
    for (let failure = queue.shift(); failure !== undefined; failure = queue.shift()) {
      const outcome = outcomes.get(failure.code)!;
      const target = lane.target(healthy.scene.world);
      await prove(lane, failure, healthy).then(outcome.resolve, outcome.reject);
      await lane.restore(failure);
      healthy = await untilHealthy(lane).catch(async () => {
        await lane.recreate(target);
        return untilHealthy(lane);
      });
    }
  }

  beforeAll(async () => {
    for (const { promise } of outcomes.values()) promise.catch(() => {});
    const nodes = await createCatalogueCluster(lab, LANES);
    await lab.must('agent', 'install', '--name', lab.name, '--heal');
    places = new LabPlaces(await requireRecord(lab.name), PROGRAM);
    const lanes = await makeLanes(places, lab, nodes, interrupted.signal);
    running = Promise.allSettled(lanes.map(run)).then((ends) => {
      const [end] = ends.filter(({ status }) => status === 'rejected');
      const why = end?.status === 'rejected' ? end.reason : new Error('no lane was left to prove it');
      for (const { code } of queue) outcomes.get(code)!.reject(why);
    });
  }, 180_000);

  afterAll(async () => {
    interrupted.abort(new Error('the test is over'));
    await running;
    await places?.[Symbol.asyncDispose]();
    await lab.delete();
  }, 60_000);

  for (const { code } of failures) {
    test(`${code}: ${NOT_HEALED[code] ?? 'healed'}`, async () => {
      expect(await outcomes.get(code)!.promise).toBe(code in NOT_HEALED ? 'not healed' : 'healed');
    }, 120_000);
  }

  test('each that is not healed is of the catalogue', () => {
    const codes = new Set(failures.map(({ code }) => code));
    expect(Object.keys(NOT_HEALED).filter((code) => !codes.has(code))).toEqual([]);
  });
});
