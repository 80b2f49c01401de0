import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { AGENT_RIGHTS } from './agents.ts';
import { FakeCluster } from './cluster.fake.ts';
import { describeRights, missingRights, OBJECT_RIGHTS, type Right, readerRights } from './preflight.ts';

const ROLES = join(import.meta.dir, '../../../deploy/doctor-role.yaml');
const HEALER = join(import.meta.dir, '../../../deploy/healer-role.yaml');
const retry = { signal: new AbortController().signal };

interface Role {
  rules: { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[];
}

const nameOf = ({ verb, group = '', resource }: Right) =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`}`;

/** The rights that the roles of a file give, each once, with the names of objects that it is limited to. */
function limitedOf(file: string): string[] {
  const roles = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Role);
  const rights = roles.flatMap(({ rules }) =>
    rules.flatMap(({ apiGroups, resources, verbs, resourceNames = [''] }) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) =>
          resourceNames.map((name) => `${nameOf({ verb, group: apiGroups[0]!, resource })} ${name}`.trim()),
        ),
      ),
    ),
  );
  return [...new Set(rights)].toSorted();
}

/** The rights that the roles of deploy give, each by its name. */
function ofRoles(): string[] {
  const roles = parseAllDocuments(readFileSync(ROLES, 'utf8')).map((document) => document.toJS() as Role);
  return roles.flatMap(({ rules }) =>
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      resources.flatMap((resource) => verbs.map((verb) => nameOf({ verb, group: apiGroups[0]!, resource }))),
    ),
  );
}

test('the roles of deploy give what is asked for, and nothing else', () => {
  const asked = [
    ...OBJECT_RIGHTS,
    ...AGENT_RIGHTS,
    ...readerRights('x', true),
    { verb: 'list', resource: 'namespaces' },
  ];
  expect(ofRoles().toSorted()).toEqual(
    [...new Set(asked.map(nameOf))].toSorted().concat(['list pods']).toSorted(),
  );
});

test('the role of a heal gives what those of the doctor give, and Events', () => {
  expect(limitedOf(HEALER)).toEqual([...limitedOf(ROLES), 'create events', 'patch events'].toSorted());
});

test('the document justifies each of them', () => {
  const text = readFileSync(join(import.meta.dir, '../../../docs/any-cluster.md'), 'utf8');
  const section = text.slice(text.indexOf('## Which rights'), text.indexOf('## Images'));
  const rows = [...section.matchAll(/^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|/gm)].flatMap(([, verbs, on]) =>
    [...verbs!.matchAll(/`(\w+)`/g)].flatMap(([, verb]) =>
      on!
        .replace(/ in that namespace/, '')
        .split(', ')
        .map((resource) => `${verb} ${resource.trim()}`),
    ),
  );
  expect(new Set(rows)).toEqual(new Set(ofRoles()));
});

describe('each right that a user lacks is named', () => {
  const rights = [...OBJECT_RIGHTS, ...readerRights('work', true)];
  test.each(rights.map((right) => [nameOf(right), right] as const))('%s', async (_, right) => {
    const cluster = new FakeCluster();
    cluster.denied.add(`${right.verb} ${right.resource}`);
    const missing = await missingRights(cluster, rights, retry);
    expect(missing).toContain(right);
    expect(describeRights(missing)).toContain(`${right.verb} ${right.resource}`);
  });
});

test('rights are said in few words', () => {
  expect(describeRights(readerRights('work', true))).toBe(
    'create, delete, get namespaces; create, delete, list, watch pods in namespace work; create, get pods/exec in namespace work',
  );
});
