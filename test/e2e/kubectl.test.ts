import { kubectlSuite } from './kubectl-suite.ts';
import { kubectls } from './kubectls.ts';
import { labMissing } from './lab.ts';

const missing = labMissing();

kubectlSuite({
  title: 'kubectl',
  name: 'kubectl',
  kubectls: missing === undefined ? kubectls().map((path) => ({ path })) : [],
  words: [],
  missing,
  createMs: 120_000,
});
