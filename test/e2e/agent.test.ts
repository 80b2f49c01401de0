import { agentSuite } from './agent-suite.ts';
import { labMissing } from './lab.ts';

agentSuite({ title: "the lab's own control plane", name: 'agent', words: [], missing: labMissing() });
