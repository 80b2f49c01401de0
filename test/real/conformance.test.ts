/**
 * Kubernetes' own end-to-end suite on both engines of the lab: every spec of hostPorts, and the conformance specs of pods and of kubectl.
 * Slow, for one hostPort spec waits five minutes for a pod that must not start: `make test-conformance` runs it by itself.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { Lab, labMissing, leftovers } from '../e2e/lab.ts';
import { recordSpecs } from './facts.ts';
import { runSpecs, type SpecGroup } from './suite.ts';

const WORKERS = 2;
const CREATE_MS = 300_000;
const SUITE_MS = 1_800_000;

const GROUPS: readonly SpecGroup[] = [
  { name: 'hostport', focus: '[Hh]ost[Pp]ort', count: 4, procs: 1 },
  { name: 'pods', focus: '\\[sig-node\\] Pods.*\\[Conformance\\]', count: 14, procs: 3 },
  // Guestbook finds its parts by name, and the lab has no cluster DNS.
  {
    name: 'kubectl',
    focus: '\\[sig-cli\\] Kubectl client.*\\[Conformance\\]',
    skip: 'Guestbook',
    count: 15,
    procs: 3,
  },
];

const [kubernetes, ginkgo, suite, images] = await Promise.all(
  ['kubernetes', 'ginkgo', 'e2e.test', 'e2e-images'].map(realPart),
);
/** What the report calls them. */
const ENGINES = { own: "the lab's own control plane", real: `Kubernetes ${kubernetes!.version}` };
const parts = [kubernetes!, ginkgo!, suite!, images!];
const unbuilt: string[] = [];
for (const part of parts) if ((await builtPart(part)) === undefined) unbuilt.push(part.name);
const missing = labMissing() ?? (unbuilt.length > 0 ? `needs ${unbuilt.join(', ')} (make real)` : undefined);
const why = missing === undefined ? '' : ` (${missing})`;

describe.each(['own', 'real'] as const)(`the suite on the %s engine${why}`, (engine) => {
  describe.skipIf(missing !== undefined)('', () => {
    const lab = new Lab(`suite-${engine}`);
    const programs = {
      ginkgo: join(ginkgo!.directory, 'ginkgo'),
      suite: join(suite!.directory, 'e2e.test'),
      kubectl: join(kubernetes!.directory, 'kubectl'),
    };

    beforeAll(async () => {
      const workers = Array.from({ length: WORKERS }, () => '- role: worker');
      const nodes = ['nodes:', '- role: control-plane', ...workers];
      const config = lab.file(
        'kind',
        ['kind: Cluster', 'apiVersion: kind.x-k8s.io/v1alpha4', ...nodes, ''].join('\n'),
      );
      const version = engine === 'real' ? ['--kubernetes', kubernetes!.version] : [];
      await lab.must('create', 'cluster', '--name', lab.name, '--config', config, ...version);
      await lab.must('load', 'image-archive', '--name', lab.name, join(images!.directory, 'images.tar'));
    }, CREATE_MS);

    afterAll(async () => {
      await lab.delete();
      expect(leftovers(lab.name)).toEqual([]);
    }, CREATE_MS);

    test.each(GROUPS.map((group) => [group.name, group] as const))(
      '%s',
      async (_name, group) => {
        const results = await runSpecs(lab, programs, group, WORKERS);
        recordSpecs(ENGINES[engine], group.name, results);
        expect(results.filter(({ state }) => state !== 'passed')).toEqual([]);
        expect(results).toHaveLength(group.count);
      },
      SUITE_MS,
    );
  });
});
