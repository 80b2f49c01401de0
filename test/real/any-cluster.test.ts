import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { anyCluster } from '../e2e/any-cluster.ts';
import { anyRights } from '../e2e/any-rights.ts';
import { labMissing } from '../e2e/lab.ts';

const kubernetes = await realPart('kubernetes');
const isBuilt = (await builtPart(kubernetes)) !== undefined;

const cluster = {
  title: `Kubernetes ${kubernetes.version}`,
  words: ['--kubernetes', kubernetes.version],
  missing: labMissing() ?? (isBuilt ? undefined : `needs Kubernetes ${kubernetes.version} (make real)`),
};

anyCluster({ ...cluster, name: 'real-any' });
anyRights({ ...cluster, name: 'real-rights' });
