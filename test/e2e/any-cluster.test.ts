import { anyCluster } from './any-cluster.ts';
import { labMissing } from './lab.ts';

anyCluster({ title: "the lab's own control plane", name: 'any', words: [], missing: labMissing() });
