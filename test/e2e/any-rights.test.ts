import { anyRights } from './any-rights.ts';
import { labMissing } from './lab.ts';

anyRights({ title: "the lab's own control plane", name: 'rights', words: [], missing: labMissing() });
