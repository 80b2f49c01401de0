import type { PolicyRule } from '../../kube/types.ts';
import type { Attributes } from './identity.ts';

const ALL = '*';

type Lists = Pick<PolicyRule, 'apiGroups' | 'resources' | 'nonResourceURLs' | 'resourceNames' | 'verbs'>;

function has(list: readonly string[] | undefined, item: string): boolean {
  return list?.some((entry) => entry === ALL || entry === item) ?? false;
}

/** Whether one rule allows a request. */
export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  const { verb, path, group, plural, subresource, name } = attributes;
  if (!has(rule.verbs, verb)) return false;
  if (path !== undefined) return rule.nonResourceURLs?.some((url) => urlCovers(url, path)) ?? false;
  const resource = subresource === '' ? plural : `${plural}/${subresource}`;
  return (
    has(rule.apiGroups, group) &&
    resourceCovers(rule.resources, resource) &&
    ((rule.resourceNames ?? []).length === 0 || rule.resourceNames!.includes(name))
  );
}

/**
 * The part of `wanted` that the rules of `owner` do not grant, as rules of one verb, one resource and one name each; empty
 * when somebody with `owner` may grant `wanted`. Only a `*` covers a `*`.
 * Source: k8s.io/component-helpers/auth/rbac/validation, `Covers`.
 */
export function uncovered(owner: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(atoms).filter((atom) => !owner.some((rule) => ruleCovers(rule, atom)));
}

function atoms(rule: PolicyRule): PolicyRule[] {
  const found: PolicyRule[] = [];
  const names = rule.resourceNames ?? [];
  // Validation comes after: a rule may still lack what it needs.
  const verbs = rule.verbs ?? [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of verbs) {
        const atom = { apiGroups: [group], resources: [resource], verbs: [verb] };
        if (names.length === 0) found.push(atom);
        else found.push(...names.map((name) => ({ ...atom, resourceNames: [name] })));
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    found.push(...verbs.map((verb) => ({ nonResourceURLs: [url], verbs: [verb] })));
  }
  return found;
}

/** `atom` has at most one entry in each list; an empty list of names means all of them. */
function ruleCovers(owner: PolicyRule, atom: PolicyRule): boolean {
  const each = (list: readonly string[] | undefined, test: (item: string) => boolean) =>
    (list ?? []).every(test);
  const names = owner.resourceNames ?? [];
  return (
    each(atom.verbs, (verb) => has(owner.verbs, verb)) &&
    each(atom.apiGroups, (group) => has(owner.apiGroups, group)) &&
    each(atom.resources, (resource) => resourceCovers(owner.resources, resource)) &&
    each(atom.nonResourceURLs, (url) => owner.nonResourceURLs?.some((own) => urlCovers(own, url)) ?? false) &&
    (names.length === 0 ||
      ((atom.resourceNames ?? []).length > 0 && each(atom.resourceNames, (name) => names.includes(name))))
  );
}

/** `pods/log` is covered by itself, by `*` and by the subresource of everything; `pods` never by a subresource. */
function resourceCovers(owner: readonly string[] | undefined, resource: string): boolean {
  const slash = resource.indexOf('/');
  return has(owner, resource) || (slash >= 0 && (owner ?? []).includes(`*/${resource.slice(slash + 1)}`));
}

function urlCovers(pattern: string, path: string): boolean {
  return pattern === path || (pattern.endsWith(ALL) && path.startsWith(pattern.replace(/\*+$/, '')));
}

/**
 * The text of rules that are missing, one a line: those of one resource that differ by their verbs only are one, in
 * the order of the text. Source: Kubernetes' `CompactRules` and `CompactString`.
 */
export function rulesText(rules: readonly PolicyRule[]): string {
  const compact: PolicyRule[] = [];
  const simple = new Map<string, PolicyRule>();
  for (const rule of rules) {
    const isSimple =
      (rule.resourceNames ?? []).length === 0 &&
      (rule.nonResourceURLs ?? []).length === 0 &&
      rule.apiGroups?.length === 1 &&
      rule.resources?.length === 1;
    if (!isSimple) {
      compact.push(rule);
      continue;
    }
    const key = JSON.stringify([rule.apiGroups, rule.resources]);
    const known = simple.get(key);
    simple.set(key, known === undefined ? rule : { ...known, verbs: [...known.verbs, ...rule.verbs] });
  }
  const texts = [...compact, ...simple.values()].map(ruleText);
  return [...new Set(texts)].sort().join('\n');
}

const FIELDS = [
  ['APIGroups', 'apiGroups'],
  ['Resources', 'resources'],
  ['NonResourceURLs', 'nonResourceURLs'],
  ['ResourceNames', 'resourceNames'],
  ['Verbs', 'verbs'],
] as const satisfies readonly (readonly [string, keyof Lists])[];

function ruleText(rule: PolicyRule): string {
  const parts = FIELDS.flatMap(([label, field]) => {
    const list = rule[field] ?? [];
    return list.length === 0 ? [] : [`${label}:${quotedList(list)}`];
  });
  return `{${parts.join(', ')}}`;
}

/** A list of strings as Go prints one: `["a" "b"]`. */
export function quotedList(list: readonly string[]): string {
  return `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;
}
