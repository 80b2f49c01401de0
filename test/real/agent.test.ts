import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { agentSuite } from '../e2e/agent-suite.ts';
import { labMissing } from '../e2e/lab.ts';

const kubernetes = await realPart('kubernetes');
const isBuilt = (await builtPart(kubernetes)) !== undefined;

agentSuite({
  title: `Kubernetes ${kubernetes.version}`,
  name: 'real-agent',
  words: ['--kubernetes', kubernetes.version],
  missing: labMissing() ?? (isBuilt ? undefined : `needs Kubernetes ${kubernetes.version} (make real)`),
});
