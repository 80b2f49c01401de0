import { describe, expect, test } from 'bun:test';
import type { PolicyRule } from '../../kube/types.ts';
import { ruleAllows, rulesText, uncovered } from './policy-rules.ts';

type Lists = Partial<PolicyRule>;
/** `group/resource verb` and the like, for short tables: "v1 builds,pods get,list names=a". */
function rule(text: string): PolicyRule {
  const [groups, resources, verbs, names] = text.split(' ');
  const list = (part: string | undefined) => part?.split(',') ?? [];
  if (groups!.startsWith('url:')) return { nonResourceURLs: list(groups!.slice(4)), verbs: list(resources) };
  const named = names === undefined ? {} : { resourceNames: names === '-' ? [] : list(names) };
  return { apiGroups: list(groups), resources: list(resources), verbs: list(verbs), ...named };
}
const mixed: PolicyRule = { ...rule('v1 builds get'), nonResourceURLs: ['/apis'] };

describe('a right is granted only by somebody who has it', () => {
  const cases: { name: string; owner: (string | Lists)[]; wanted: (string | Lists)[]; missing: string[] }[] =
    [
      { name: 'the same rule', owner: ['v1 builds get'], wanted: ['v1 builds get'], missing: [] },
      {
        name: 'several rules that make up one',
        owner: ['v1 deployments delete', 'v1 builds delete', 'v1 builds,deployments update'],
        wanted: ['v1 builds,deployments delete,update'],
        missing: [],
      },
      {
        name: 'rules of several groups that make up one',
        owner: ['g1 builds delete', 'g1 builds update', 'g2 builds delete,update'],
        wanted: ['g1,g2 builds delete,update'],
        missing: [],
      },
      {
        name: 'one rule that covers several',
        owner: ['g1,g2 builds,deployments delete,update'],
        wanted: ['g1 builds delete', 'g2 deployments update'],
        missing: [],
      },
      {
        name: 'one combination of verb and resource missing',
        owner: ['v1 builds,deployments delete,update', 'v1 pods delete'],
        wanted: ['v1 builds,deployments,pods delete,update'],
        missing: ['v1 pods update'],
      },
      { name: 'any group', owner: ['* roles get'], wanted: ['g1,g2 roles get'], missing: [] },
      {
        name: 'any group, of one',
        owner: ['g roles get'],
        wanted: ['* roles get'],
        missing: ['* roles get'],
      },
      { name: 'any group, of any', owner: ['* roles get'], wanted: ['* roles get'], missing: [] },
      { name: 'any verb', owner: ['v1 roles *'], wanted: ['v1 roles watch,list'], missing: [] },
      {
        name: 'any verb, of many',
        owner: ['v1 roles get,list,watch,create,update,delete,exec'],
        wanted: ['v1 roles *'],
        missing: ['v1 roles *'],
      },
      { name: 'any verb, of any', owner: ['v1 roles *'], wanted: ['v1 roles *'], missing: [] },
      { name: 'any resource', owner: ['v1 * get'], wanted: ['v1 pods,pods/log get'], missing: [] },
      {
        name: 'any resource, of two',
        owner: ['v1 roles,pods get'],
        wanted: ['v1 * get'],
        missing: ['v1 * get'],
      },
      { name: 'any resource, of any', owner: ['v1 * get'], wanted: ['v1 * get'], missing: [] },
      {
        name: 'a subresource, of its parent',
        owner: ['v1 pods get'],
        wanted: ['v1 pods/log get'],
        missing: ['v1 pods/log get'],
      },
      {
        name: 'a subresource, of everything',
        owner: ['v1 */log get'],
        wanted: ['v1 pods/log get'],
        missing: [],
      },
      {
        name: 'a parent, of a subresource',
        owner: ['v1 */log get'],
        wanted: ['v1 log get'],
        missing: ['v1 log get'],
      },
      { name: 'names, of all names', owner: ['v1 pods get -'], wanted: ['v1 pods get foo,bar'], missing: [] },
      {
        name: 'all names, of some',
        owner: ['v1 pods get foo,bar'],
        wanted: ['v1 pods get -'],
        missing: ['v1 pods get'],
      },
      {
        name: 'another name',
        owner: ['v1 pods get foo'],
        wanted: ['v1 pods get foo,bar'],
        missing: ['v1 pods get bar'],
      },
      { name: 'a path', owner: ['url:/apis *'], wanted: ['url:/apis *'], missing: [] },
      { name: 'every path', owner: ['url:* *'], wanted: ['url:/apis,/apis/v1,/ *'], missing: [] },
      {
        name: 'every path, of one',
        owner: ['url:/apis get'],
        wanted: ['url:* get'],
        missing: ['url:* get'],
      },
      {
        name: 'a path, of what is under it',
        owner: ['url:/apis/* *'],
        wanted: ['url:/apis,/apis/v1 get'],
        missing: ['url:/apis get'],
      },
      {
        name: 'what is under a path',
        owner: ['url:/apis/* *'],
        wanted: ['url:/apis/v1/foo,/apis/v1 get'],
        missing: [],
      },
      { name: 'a path and a resource', owner: [mixed], wanted: [mixed], missing: [] },
      {
        name: 'a path, of a resource',
        owner: ['v1 builds get'],
        wanted: [mixed],
        missing: ['url:/apis get'],
      },
      { name: 'nothing', owner: [], wanted: [], missing: [] },
      { name: 'anything, of nothing', owner: [], wanted: ['v1 pods get'], missing: ['v1 pods get'] },
    ];
  test.each(cases)('$name', ({ owner, wanted, missing }) => {
    const read = (entry: string | Lists) => (typeof entry === 'string' ? rule(entry) : (entry as PolicyRule));
    expect(uncovered(owner.map(read), wanted.map(read))).toEqual(missing.map(read));
  });

  test.each([
    { pattern: '*', path: '/api', covers: true },
    { pattern: '/api', path: '/api', covers: true },
    { pattern: '/apis', path: '/api', covers: false },
    { pattern: '/api/v1', path: '/api', covers: false },
    { pattern: '/api/v1', path: '/api/v1', covers: true },
    { pattern: '/api/*', path: '/api/v1', covers: true },
    { pattern: '/api/*', path: '/api', covers: false },
    { pattern: '/api/*/*', path: '/api/v1', covers: false },
    { pattern: '/*/v1/*', path: '/api/v1', covers: false },
    { pattern: '/api**', path: '/api/v1', covers: true },
  ])('$pattern covers $path: $covers', ({ pattern, path, covers }) => {
    const owner = { nonResourceURLs: [pattern], verbs: ['get'] };
    expect(uncovered([owner], [{ nonResourceURLs: [path], verbs: ['get'] }])).toHaveLength(covers ? 0 : 1);
    const user = { name: 'u', uid: '', groups: [] };
    const attributes = {
      user,
      verb: 'get',
      path,
      group: '',
      plural: '',
      subresource: '',
      namespace: '',
      name: '',
    };
    expect(ruleAllows(owner, attributes)).toBe(covers);
  });
});

test('the text of missing rules: one line a resource, sorted, as Go prints lists', () => {
  const rules = ['apps deployments get', ' pods list', ' pods get', ' pods get a', 'url:/metrics get'].map(
    rule,
  );
  expect(rulesText(rules)).toBe(
    [
      '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["get"]}',
      '{APIGroups:[""], Resources:["pods"], Verbs:["list" "get"]}',
      '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}',
      '{NonResourceURLs:["/metrics"], Verbs:["get"]}',
    ].join('\n'),
  );
});
