/**
 * The kubectl of the release that `make real` builds, on the lab's own control plane and on Kubernetes' own programs, and the newest other one on the
 * latter. `make test-real` runs it.
 */
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { kubectlSuite } from '../e2e/kubectl-suite.ts';
import { kubectls } from '../e2e/kubectls.ts';
import { labMissing } from '../e2e/lab.ts';

const kubernetes = await realPart('kubernetes');
const isBuilt = (await builtPart(kubernetes)) !== undefined;
const missing = labMissing() ?? (isBuilt ? undefined : `needs Kubernetes ${kubernetes.version} (make real)`);
const CREATE_MS = 240_000;

const built = {
  path: join(kubernetes.directory, 'kubectl'),
  version: kubernetes.version.replace(/^v(\d+\.\d+)\..*$/, '$1'),
};
const older = missing === undefined ? kubectls().slice(-1) : [];

kubectlSuite({
  title: "the lab's own control plane: kubectl",
  name: 'own-kubectl',
  kubectls: [built],
  words: [],
  missing,
  createMs: CREATE_MS,
});

kubectlSuite({
  title: `Kubernetes ${kubernetes.version}: kubectl`,
  name: 'real-kubectl',
  kubectls: [...older.map((path) => ({ path })), built],
  words: ['--kubernetes', kubernetes.version],
  missing,
  createMs: CREATE_MS,
});
