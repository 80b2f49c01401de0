/** The custom resources of Cilium, as the lab's API server takes them. Needs what `make real` builds; no cluster. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { kindByName } from '../../src/kube/kinds.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { ruleErrors } from '../../src/lab/kubernetes/custom/check-rules.ts';
import { type CustomDefinition, kindsOf } from '../../src/lab/kubernetes/custom/custom-kind.ts';
import { applyDefaults } from '../../src/lab/kubernetes/defaults/index.ts';
import { fieldErrorText } from '../../src/lab/kubernetes/validation/field-error.ts';
import { validateCreate } from '../../src/lab/kubernetes/validation/index.ts';

const NAMES = [
  'ciliumnetworkpolicies',
  'ciliumendpoints',
  'ciliumnodes',
  'ciliumbgppeerconfigs',
  'ciliumegressgatewaypolicies',
];

const sources = await realPart('cilium-sources');
const isBuilt = (await builtPart(sources)) !== undefined;
const why = isBuilt ? '' : ` (needs ${sources.name} ${sources.version}: make real)`;

describe.skipIf(!isBuilt)(`definitions of Cilium${why}`, () => {
  const info = kindByName('apiextensions.k8s.io/v1', 'CustomResourceDefinition')!;
  test.each(NAMES)('%s: accepted, with all rules', async (name) => {
    const text = readFileSync(join(sources.directory, 'sources/definitions/v2', `${name}.yaml`), 'utf8');
    const definition = parseAllDocuments(text)[0]!.toJS() as CustomDefinition & KubeObject;
    applyDefaults(info, definition);
    Object.assign(definition, { status: { storedVersions: ['v2'] } });
    const errors = validateCreate(info, definition);
    expect(errors.map(fieldErrorText)).toEqual([]);
    expect((await ruleErrors(info, definition, undefined, errors)).map(fieldErrorText)).toEqual([]);
    expect(kindsOf(definition)[0]?.plural).toBe(name);
  });
});
