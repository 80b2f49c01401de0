export { PatchError } from '../../../kube/patch/error.ts';
export { jsonPatch } from '../../../kube/patch/json-patch.ts';
export { mergePatch } from '../../../kube/patch/merge-patch.ts';
export { strategicMergePatch } from './strategic.ts';
