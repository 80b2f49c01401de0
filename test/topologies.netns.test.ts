import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import type { World } from '../src/path/model/world.ts';
import { storeFigures } from './figures.ts';
import { TopologyBench } from './topologies/bench.ts';
import { TOPOLOGIES, type TopologyCase } from './topologies/cases.ts';

// Pods are attached by real chains of plugins, and asked for by real connections; the doctor must say what comes of them, and nothing else.

/** What is said of a kind of device that the kernel was built without. */
const UNSUPPORTED = /operation not supported/;

let bench: TopologyBench;
beforeAll(async () => {
  bench = await TopologyBench.create();
});
const runs = new Map<string, boolean>();
afterAll(async () => {
  await bench.dispose();
  if (runs.size === TOPOLOGIES.length) storeFigures('topologies', () => Object.fromEntries(runs));
});

const attachments = TOPOLOGIES.flatMap((topology) =>
  (['ours', 'reference'] as const).flatMap((plugins) =>
    plugins === 'ours' || topology.withTheirs ? [[topology.shows, plugins, topology] as const] : [],
  ),
);

test.each(attachments)(
  '%s, with plugins that are %s',
  async (shows, plugins, topology) => {
    const { families, before = [], after = [], undo = [] } = topology;
    const attached = { chain: withDirectory(topology), families, plugins };
    let isRun = false;
    try {
      for (const argv of before) await bench.node(...argv);
      await bench.attach(attached);
      isRun = true;
      const port = bench.podPort();
      for (const argv of after) await bench.node(...argv.map((word) => (word === 'PORT' ? port : word)));
      expect(codesIn(await bench.world(attached, false))).toEqual([...topology.unprobed]);
      const world = await bench.world(attached, true);
      const silent = world.probes
        .filter(({ outcome, target }) => outcome !== 'answered' && target.address !== '::1')
        .map(({ vantage, target }) => `${vantage} ${target.address.includes(':') ? 'ipv6' : 'ipv4'}`);
      expect({ silent: silent.sort(), found: codesIn(world) }).toEqual({
        silent: [...topology.silent].sort(),
        found: [...topology.found],
      });
    } catch (error) {
      if (isRun || !UNSUPPORTED.test(String(error))) throw error;
      console.log(`not run, the kernel cannot do it: ${shows}`);
    } finally {
      if (isRun) for (const argv of undo) await bench.node(...argv);
      await bench.detach(attached);
    }
    runs.set(shows, isRun);
  },
  60_000,
);

/** Addresses are given by a directory of the test's own. */
function withDirectory({ chain }: TopologyCase): object[] {
  const dataDir = join(bench.lab.scratch, 'ipam');
  return chain.map((plugin) =>
    'ipam' in plugin ? { ...plugin, ipam: { ...(plugin.ipam as object), dataDir } } : plugin,
  );
}

function codesIn(world: World): string[] {
  return diagnose(world)
    .diagnosis.findings.filter(({ severity }) => severity !== 'note')
    .map(({ severity, code }) => `${severity} ${code}`);
}
