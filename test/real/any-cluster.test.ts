import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { anyCluster } from '../e2e/any-cluster.ts';
import { labMissing } from '../e2e/lab.ts';

const kubernetes = await realPart('kubernetes');
const isBuilt = (await builtPart(kubernetes)) !== undefined;

anyCluster({
  title: `Kubernetes ${kubernetes.version}`,
  name: 'real-any',
  words: ['--kubernetes', kubernetes.version],
  missing: labMissing() ?? (isBuilt ? undefined : `needs Kubernetes ${kubernetes.version} (make real)`),
});
