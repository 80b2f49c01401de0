/**
 * The how-to's steps with real Cilium in the place of its stand-in, and `cni.exclusive=false`: with the default the agent renames the file that the
 * how-to copies into a running node, which cilium.test.ts shows. `make test-real` runs it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NODE_NETWORK } from '../../src/lab/cluster/network.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { currentManifests, prepareExample, TOUR_DIRECTORY } from '../../src/lab/tour/example.ts';
import { Guide, NotMet } from '../../src/lab/tour/guide.ts';
import { tellStory } from '../../src/lab/tour/story.ts';
import { realExec } from '../../src/sys/exec.ts';
import { eventually } from '../e2e/eventually.ts';
import { EXAMPLE, Lab, leftovers, PROGRAM } from '../e2e/lab.ts';
import { CiliumLab, realCilium } from './cilium-lab.ts';

const real = await realCilium();
const { missing } = real;
const why = missing ? ` (${missing})` : '';

const CREATE_MS = 480_000;
const TOUR_MS = 360_000;
/** The subnet of pods of the how-to. */
const VALUES = { ipv4NativeRoutingCIDR: '192.168.0.0/16' };

describe.skipIf(missing !== undefined)(`the how-to with real Cilium${why}`, () => {
  const lab = new Lab('kind');
  const cilium = new CiliumLab(lab, real);
  const interrupted = new AbortController();
  let manifests = '';

  beforeAll(async () => {
    await mkdir(TOUR_DIRECTORY, { recursive: true });
    const clearUp = await prepareExample(EXAMPLE);
    try {
      manifests = await currentManifests(EXAMPLE, TOUR_DIRECTORY);
      const howTo = await readFile(join(EXAMPLE, 'kind/config'), 'utf8');
      await cilium.create(`${howTo}networking:\n  disableDefaultCNI: true\n`);
    } catch (cause) {
      await clearUp();
      throw cause;
    }
  }, CREATE_MS);

  afterAll(async () => {
    interrupted.abort(new Error('the test is over'));
    await lab.delete();
    expect(leftovers(lab.name)).toEqual([]);
  }, CREATE_MS);

  /** Goes through the how-to; returns how many expectations were met, and which was not. */
  async function tour(): Promise<{ met: number; ended?: string }> {
    const guide = new Guide({
      exec: realExec,
      inLab: (argv) => [PROGRAM, 'run', '--name', lab.name, '--', ...argv],
      stage: { heading() {}, command() {}, expectation() {} },
      signal: interrupted.signal,
      // The first pods of a node wait for programs that its agent compiles.
      deadlineMs: 120_000,
    });
    const { nodes } = await requireRecord(lab.name);
    const address = Object.fromEntries(nodes.map((node) => [node.name, node.address]));
    try {
      await tellStory(guide, { address, gateway: NODE_NETWORK.gateway, manifests, backend: 'iptables' });
      return { met: guide.met };
    } catch (cause) {
      if (!(cause instanceof NotMet)) throw cause;
      const { step, text } = cause.failure;
      return { met: guide.met, ended: `${step}: ${text}` };
    }
  }

  test(
    'with cni.exclusive=false it meets every expectation',
    async () => {
      await cilium.install({ ...VALUES, 'cni.exclusive': 'false' });
      const { met, ended } = await tour();
      expect(ended).toBeUndefined();
      expect(met).toBeGreaterThan(0);
      // It ends with a fourth pod, for which there is no node.
      await cilium.kubectl('scale', 'deployment/echo', '--replicas=3');
      await eventually('nothing to be found', async () => (await cilium.doctor()).findings.length === 0);
    },
    TOUR_MS,
  );
});
