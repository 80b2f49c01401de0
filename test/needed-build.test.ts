import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { type BuildTarget, neededBuild } from '../scripts/needed-build.ts';

const ROOT = join(import.meta.dir, '..');
const UNIT = 'src/portmap/layout.test.ts';
const NETNS = 'src/portmap/portmap.netns.test.ts';

test.each<[string[], BuildTarget | undefined]>([
  [[], 'build'],
  [[UNIT], undefined],
  [[`./${UNIT}`, join(ROOT, UNIT)], undefined],
  [['test/needed-build.test.ts'], undefined],
  [[NETNS], 'dist/cni/portmap'],
  [[UNIT, NETNS], 'dist/cni/portmap'],
  [['test/report-page.netns.test.ts', UNIT], 'src/page/bundle.gen.ts'],
  [['test/report-page.netns.test.ts', NETNS], 'build'],
  [['./test/plugin-input.test.ts'], 'dist/cni/portmap'],
  [['./test/plugin-agent.test.ts'], 'dist/cni/portmap'],
  [['./test/portmap-engines.test.ts'], 'dist/cni/portmap'],
  [['test/doctor-hostile.test.ts'], 'bin/hostport'],
  [['test/completion-shells.test.ts'], 'bin/hostport'],
  [['test/doctor-hostile.test.ts', NETNS], 'build'],
  [['test/e2e/tour.test.ts'], 'build'],
  [['./test/e2e/../e2e/tour.test.ts'], 'build'],
  [[join(ROOT, 'test/e2e/tour.test.ts')], 'build'],
  [['test/e2e'], 'build'],
  [['test/e2e/'], 'build'],
  [['src/portmap'], 'build'],
  [[UNIT, 'src/portmap'], 'build'],
  [['tour.test.ts'], 'build'],
  [['portmap.netns.test.ts'], 'build'],
  [['src/portmap/layout.ts'], 'build'],
])('%j: %p', (paths, target) => expect(neededBuild(paths, ROOT)).toBe(target));
