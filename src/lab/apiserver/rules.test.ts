import { describe, expect, test } from 'bun:test';
import { kindByName } from '../../kube/kinds.ts';
import type { PolicyRule } from '../../kube/types.ts';
import { refusalOf } from './authorizer.ts';
import { BOOTSTRAP_BINDINGS, BOOTSTRAP_ROLES } from './bootstrap-policy.ts';
import { beginDeletion, type DeleteOptions, isReadyToGo } from './deletion.ts';
import type { Attributes } from './identity.ts';
import { type Format, negotiate } from './negotiation.ts';
import type { ApiObject } from './objects.ts';
import { ruleAllows } from './policy-rules.ts';
import { parseRequest } from './request-info.ts';
import { parseTokenFile } from './token-file.ts';

describe('what a request is about', () => {
  test.each([
    { method: 'GET', url: '/api/v1/pods', verb: 'list', resource: ['', 'v1', 'pods', '', '', ''] },
    {
      method: 'GET',
      url: '/api/v1/pods?watch=true',
      verb: 'watch',
      resource: ['', 'v1', 'pods', '', '', ''],
    },
    {
      method: 'GET',
      url: '/api/v1/pods?watch=false',
      verb: 'list',
      resource: ['', 'v1', 'pods', '', '', ''],
    },
    {
      method: 'GET',
      url: '/api/v1/namespaces/n/pods/p',
      verb: 'get',
      resource: ['', 'v1', 'pods', 'n', 'p', ''],
    },
    {
      method: 'HEAD',
      url: '/api/v1/namespaces/n/pods/p',
      verb: 'get',
      resource: ['', 'v1', 'pods', 'n', 'p', ''],
    },
    {
      method: 'POST',
      url: '/api/v1/namespaces/n/pods',
      verb: 'create',
      resource: ['', 'v1', 'pods', 'n', '', ''],
    },
    {
      method: 'DELETE',
      url: '/api/v1/namespaces/n/pods/',
      verb: 'deletecollection',
      resource: ['', 'v1', 'pods', 'n', '', ''],
    },
    {
      method: 'DELETE',
      url: '/api/v1/namespaces/n',
      verb: 'delete',
      resource: ['', 'v1', 'namespaces', 'n', 'n', ''],
    },
    {
      method: 'PUT',
      url: '/api/v1/namespaces/n/finalize',
      verb: 'update',
      resource: ['', 'v1', 'namespaces', 'n', 'n', 'finalize'],
    },
    {
      method: 'PATCH',
      url: '/apis/apps/v1/namespaces/n/deployments/d/scale',
      verb: 'patch',
      resource: ['apps', 'v1', 'deployments', 'n', 'd', 'scale'],
    },
    {
      method: 'GET',
      url: '/api/v1/nodes/n%2Fx/status',
      verb: 'get',
      resource: ['', 'v1', 'nodes', '', 'n/x', 'status'],
    },
    { method: 'GET', url: '/apis/apps/v1', verb: 'get', resource: undefined },
    { method: 'GET', url: '/api/v1', verb: 'get', resource: undefined },
    { method: 'GET', url: '/version', verb: 'get', resource: undefined },
  ])('$method $url', ({ method, url, verb, resource }) => {
    const info = parseRequest(method, url);
    expect(info?.verb).toBe(verb);
    const path = info?.resource;
    const fields = path && [
      path.group,
      path.version,
      path.plural,
      path.namespace,
      path.name,
      path.subresource,
    ];
    expect(fields).toEqual(resource === undefined ? undefined : [...resource]);
  });

  test('an invalid escape', () => {
    expect(parseRequest('GET', '/api/v1/pods/%zz')).toBeUndefined();
  });
});

describe('what a client accepts', () => {
  const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  test.each([
    { accept: undefined, format: { shape: 'object', encoding: 'json' } },
    { accept: '*/*', format: { shape: 'object', encoding: 'json' } },
    { accept: 'application/yaml', format: { shape: 'object', encoding: 'yaml' } },
    {
      accept: `${TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json`,
      format: { shape: 'table', encoding: 'json' },
    },
    {
      accept: 'application/vnd.kubernetes.protobuf,application/json',
      format: { shape: 'object', encoding: 'json' },
    },
    {
      accept: 'application/json;q=0.5, application/yaml;q=0.9',
      format: { shape: 'object', encoding: 'yaml' },
    },
    {
      accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
      format: { shape: 'metadata', encoding: 'json' },
    },
    {
      accept: 'application/json;as=Sculpture;g=meta.k8s.io;v=v1, application/json',
      format: { shape: 'object', encoding: 'json' },
    },
  ])('$accept', ({ accept, format }) => {
    expect(negotiate(accept)).toEqual(format as Format);
  });

  test('nothing that is served', () => {
    expect(() => negotiate('application/vnd.kubernetes.protobuf')).toThrow('406: Not Acceptable');
  });
});

describe('deletion', () => {
  const pods = kindByName('v1', 'Pod')!;
  const namespaces = kindByName('v1', 'Namespace')!;
  const now = Date.parse('2026-01-01T00:01:00Z');
  type Case = {
    name: string;
    kind?: typeof pods;
    object: Partial<ApiObject>;
    options?: DeleteOptions;
    step: string;
    grace?: number;
    at?: string;
    finalizers?: string[];
  };
  const bound = { spec: { nodeName: 'n', terminationGracePeriodSeconds: 20 } };
  const dying = { deletionTimestamp: '2026-01-01T00:01:10Z', deletionGracePeriodSeconds: 20 };
  const cases: Case[] = [
    { name: 'a pod without a node', object: { spec: {} }, step: 'remove' },
    { name: 'a pod that has ended', object: { ...bound, status: { phase: 'Succeeded' } }, step: 'remove' },
    { name: 'a pod on a node', object: bound, step: 'write', grace: 20, at: '2026-01-01T00:01:20Z' },
    {
      name: 'a pod with its grace asked for',
      object: bound,
      options: { gracePeriodSeconds: 5 },
      step: 'write',
      grace: 5,
      at: '2026-01-01T00:01:05Z',
    },
    { name: 'a pod without grace', object: bound, options: { gracePeriodSeconds: 0 }, step: 'remove' },
    {
      name: 'a pod already dying',
      object: { ...bound, metadata: dying },
      step: 'nothing',
      grace: 20,
      at: dying.deletionTimestamp,
    },
    {
      name: 'a pod already dying, sooner',
      object: { ...bound, metadata: dying },
      options: { gracePeriodSeconds: 2 },
      step: 'write',
      grace: 2,
      at: '2026-01-01T00:01:02Z',
    },
    {
      name: 'a pod already dying, later',
      object: { ...bound, metadata: dying },
      options: { gracePeriodSeconds: 60 },
      step: 'nothing',
      grace: 20,
    },
    {
      name: 'a pod already dying, now',
      object: { ...bound, metadata: dying },
      options: { gracePeriodSeconds: 0 },
      step: 'remove',
    },
    {
      name: 'a pod already dying, now, with a finalizer',
      object: { ...bound, metadata: { ...dying, finalizers: ['a/b'] } },
      options: { gracePeriodSeconds: 0 },
      step: 'write',
      grace: 0,
      finalizers: ['a/b'],
    },
    {
      name: 'a finalizer',
      object: { spec: {}, metadata: { finalizers: ['a/b'] } },
      step: 'write',
      grace: 0,
      finalizers: ['a/b'],
    },
    {
      name: 'orphaning',
      object: { spec: {} },
      options: { propagationPolicy: 'Orphan' },
      step: 'write',
      finalizers: ['orphan'],
    },
    {
      name: 'orphaning, as it was once asked for',
      object: { spec: {} },
      options: { orphanDependents: true },
      step: 'write',
      finalizers: ['orphan'],
    },
    {
      name: 'foreground',
      object: { spec: {} },
      options: { propagationPolicy: 'Foreground' },
      step: 'write',
      finalizers: ['foregroundDeletion'],
    },
    {
      name: 'background',
      object: { spec: {} },
      options: { propagationPolicy: 'Background' },
      step: 'remove',
    },
    {
      name: 'a change of mind to background',
      object: {
        metadata: {
          deletionTimestamp: dying.deletionTimestamp,
          deletionGracePeriodSeconds: 0,
          finalizers: ['foregroundDeletion'],
        },
      },
      options: { propagationPolicy: 'Background' },
      step: 'remove',
    },
    {
      name: 'a namespace that is not empty',
      kind: namespaces,
      object: { spec: { finalizers: ['kubernetes'] } },
      step: 'write',
    },
    { name: 'a namespace that is', kind: namespaces, object: { spec: { finalizers: [] } }, step: 'remove' },
  ];
  test.each(cases)('$name: $step', ({ kind = pods, object, options = {}, step, grace, at, finalizers }) => {
    const subject = structuredClone({ metadata: {}, ...object }) as ApiObject;
    expect(beginDeletion(kind, subject, options, now)).toBe(step as never);
    if (grace !== undefined) expect(subject.metadata.deletionGracePeriodSeconds).toBe(grace);
    if (at !== undefined) expect(subject.metadata.deletionTimestamp).toBe(at);
    if (finalizers !== undefined) expect(subject.metadata.finalizers).toEqual(finalizers);
    if (step === 'write' && (finalizers ?? []).length > 0) expect(isReadyToGo(kind, subject)).toBe(false);
  });

  test.each([
    { options: { propagationPolicy: 'Sideways' }, error: 'propagationPolicy: Unsupported value: "Sideways"' },
    { options: { propagationPolicy: 'Orphan', orphanDependents: true }, error: 'cannot be both set' },
  ])('$options is refused', ({ options, error }) => {
    expect(() => beginDeletion(pods, { metadata: {} }, options, now)).toThrow(error);
  });
});

describe('rules', () => {
  const user = { name: 'bob', uid: '', groups: [] };
  const about = (rest: Partial<Attributes>): Attributes => ({
    user,
    verb: 'get',
    group: '',
    plural: 'pods',
    subresource: '',
    namespace: 'n',
    name: 'p',
    ...rest,
  });
  const rule = (rest: Partial<PolicyRule>): PolicyRule => ({
    verbs: ['get'],
    apiGroups: [''],
    resources: ['pods'],
    ...rest,
  });
  test.each([
    { name: 'what it says', rule: rule({}), about: {}, allowed: true },
    { name: 'another verb', rule: rule({}), about: { verb: 'delete' }, allowed: false },
    { name: 'another group', rule: rule({}), about: { group: 'apps' }, allowed: false },
    { name: 'a subresource', rule: rule({}), about: { subresource: 'log' }, allowed: false },
    {
      name: 'a subresource that it names',
      rule: rule({ resources: ['pods/log'] }),
      about: { subresource: 'log' },
      allowed: true,
    },
    {
      name: 'a subresource of everything',
      rule: rule({ resources: ['*/log'] }),
      about: { subresource: 'log' },
      allowed: true,
    },
    {
      name: 'everything',
      rule: rule({ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }),
      about: { group: 'apps', verb: 'x', subresource: 'y' },
      allowed: true,
    },
    { name: 'a name that it names', rule: rule({ resourceNames: ['p'] }), about: {}, allowed: true },
    { name: 'another name', rule: rule({ resourceNames: ['q'] }), about: {}, allowed: false },
    {
      name: 'a collection, by a rule for names',
      rule: rule({ resourceNames: ['p'] }),
      about: { name: '', verb: 'get' },
      allowed: false,
    },
    {
      name: 'a path',
      rule: { verbs: ['get'], nonResourceURLs: ['/apis/*'] },
      about: { path: '/apis/apps' },
      allowed: true,
    },
    {
      name: 'another path',
      rule: { verbs: ['get'], nonResourceURLs: ['/apis/*'] },
      about: { path: '/api' },
      allowed: false,
    },
    {
      name: 'a path, by a rule for resources',
      rule: rule({ resources: ['*'] }),
      about: { path: '/api' },
      allowed: false,
    },
  ])('$name: $allowed', ({ rule: given, about: rest, allowed }) => {
    expect(ruleAllows(given as PolicyRule, about(rest))).toBe(allowed);
  });

  test.each([
    {
      about: {},
      text: 'pods "p" is forbidden: User "bob" cannot get resource "pods" in API group "" in the namespace "n"',
    },
    {
      about: { name: '', namespace: '', verb: 'list', plural: 'nodes' },
      text: 'nodes is forbidden: User "bob" cannot list resource "nodes" in API group "" at the cluster scope',
    },
    {
      about: { group: 'apps', plural: 'deployments', subresource: 'scale' },
      text: 'deployments.apps "p" is forbidden: User "bob" cannot get resource "deployments/scale" in API group "apps" in the namespace "n"',
    },
    { about: { path: '/metrics' }, text: 'forbidden: User "bob" cannot get path "/metrics"' },
  ])('the refusal: $text', ({ about: rest, text }) => {
    expect(refusalOf(about(rest), '').message).toBe(text);
    expect(refusalOf(about(rest), 'because').message).toBe(`${text}: because`);
  });

  test('every bootstrap binding is to a role that is made', () => {
    const roles = new Set(BOOTSTRAP_ROLES.map(({ metadata }) => metadata?.name));
    for (const { roleRef } of BOOTSTRAP_BINDINGS) expect(roles).toContain(roleRef.name);
  });
});

describe('the token file', () => {
  test('users, with and without groups', () => {
    const users = parseTokenFile('t1,ann,1,"a,b"\n\n# a note\nt2,"o""neil",2\n', 'tokens.csv');
    expect(users.get('t1')).toEqual({ name: 'ann', uid: '1', groups: ['a', 'b', 'system:authenticated'] });
    expect(users.get('t2')).toEqual({ name: 'o"neil', uid: '2', groups: ['system:authenticated'] });
  });

  test.each([
    { text: 't1,ann', error: 'tokens.csv:1: not of the form' },
    { text: 't1,ann,1\n,bob,2', error: 'tokens.csv:2: not of the form' },
    { text: 't1,ann,1,"open', error: 'tokens.csv:1: not of the form' },
    { text: 't1,ann,1\nt1,bob,2', error: 'tokens.csv:2: duplicate token: an earlier line has it' },
  ])('$text', ({ text, error }) => {
    expect(() => parseTokenFile(text, 'tokens.csv')).toThrow(error);
  });
});
