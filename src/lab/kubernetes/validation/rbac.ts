import { dnsSubdomainErrors, pathSegmentErrors } from '../../../kube/names.ts';
import type { ClusterRole, PolicyRule, RoleBinding } from '../../../kube/types.ts';
import { type FieldError, invalid, notSupported, required } from './field-error.ts';
import { canonical } from './pod.ts';
import { allInvalid } from './rules.ts';
import { selectorIsEmpty, validateLabelSelector } from './selector.ts';

const GROUP = 'rbac.authorization.k8s.io';

function ruleErrors(rule: PolicyRule, path: string, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  if ((rule.verbs ?? []).length === 0)
    errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'));
  if ((rule.nonResourceURLs ?? []).length > 0) {
    if (namespaced) {
      errors.push(
        invalid(
          `${path}.nonResourceURLs`,
          rule.nonResourceURLs,
          'namespaced rules cannot apply to non-resource URLs',
        ),
      );
    }
    if ([rule.apiGroups, rule.resources, rule.resourceNames].some((list) => (list ?? []).length > 0)) {
      errors.push(
        invalid(
          `${path}.nonResourceURLs`,
          rule.nonResourceURLs,
          'rules cannot apply to both regular resources and non-resource URLs',
        ),
      );
    }
    return errors;
  }
  if ((rule.apiGroups ?? []).length === 0) {
    errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
  }
  if ((rule.resources ?? []).length === 0) {
    errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'));
  }
  return errors;
}

/** Roles and ClusterRoles. */
export function validateRole(role: ClusterRole, namespaced: boolean): FieldError[] {
  const errors = (role.rules ?? []).flatMap((rule, index) => ruleErrors(rule, `rules[${index}]`, namespaced));
  const aggregation = namespaced ? undefined : role.aggregationRule;
  if (aggregation === undefined || aggregation === null) return errors;
  const path = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregation.clusterRoleSelectors ?? [];
  if (selectors.length === 0)
    errors.push(required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil'));
  for (const [index, selector] of selectors.entries()) {
    errors.push(...validateLabelSelector(selector, `${path}[${index}]`));
    if (selectorIsEmpty(selector))
      errors.push(invalid(`${path}[${index}]`, selector, 'empty selector is invalid'));
  }
  return errors;
}

/** RoleBindings and ClusterRoleBindings. */
export function validateRoleBinding(binding: RoleBinding, namespaced: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const { apiGroup, kind, name } = binding.roleRef ?? { apiGroup: '', kind: '', name: '' };
  if (apiGroup !== GROUP) errors.push(notSupported('roleRef.apiGroup', apiGroup, [GROUP]));
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, kinds));
  if (!name) errors.push(required('roleRef.name'));
  else errors.push(...allInvalid('roleRef.name', name, pathSegmentErrors(name)));
  for (const [index, subject] of (binding.subjects ?? []).entries()) {
    const at = `subjects[${index}]`;
    if (!subject.name) errors.push(required(`${at}.name`));
    switch (subject.kind) {
      case 'ServiceAccount':
        if (subject.name)
          errors.push(...allInvalid(`${at}.name`, subject.name, dnsSubdomainErrors(subject.name)));
        if (subject.apiGroup) errors.push(notSupported(`${at}.apiGroup`, subject.apiGroup, ['']));
        if (!subject.namespace) errors.push(required(`${at}.namespace`));
        break;
      case 'User':
      case 'Group':
        if (subject.apiGroup !== GROUP)
          errors.push(notSupported(`${at}.apiGroup`, subject.apiGroup ?? '', [GROUP]));
        break;
      default:
        errors.push(notSupported(`${at}.kind`, subject.kind, ['ServiceAccount', 'User', 'Group']));
    }
  }
  return errors;
}

export function roleBindingUpdateErrors(binding: RoleBinding, old: RoleBinding): FieldError[] {
  return canonical(binding.roleRef) === canonical(old.roleRef)
    ? []
    : [invalid('roleRef', binding.roleRef, 'cannot change roleRef')];
}
