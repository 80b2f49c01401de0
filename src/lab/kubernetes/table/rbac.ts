import type { ClusterRole, RoleBinding } from '../../../kube/types.ts';
import { AGE, ageOf, column, NAME, nameOf, type Printer, wide } from './column.ts';

const rolePrinter: Printer<ClusterRole> = {
  columns: [NAME, column('Created At', 'When the object was created')],
  row: (role) => [nameOf(role), role.metadata?.creationTimestamp ?? '<unknown>'],
};

function subjectsOf(binding: RoleBinding, kind: string): string {
  return (binding.subjects ?? [])
    .filter((subject) => subject.kind === kind)
    .map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
    .join(', ');
}

const bindingPrinter: Printer<RoleBinding> = {
  columns: [
    NAME,
    column('Role', 'The role that is bound'),
    AGE,
    wide('Users', 'The users in the binding'),
    wide('Groups', 'The groups in the binding'),
    wide('ServiceAccounts', 'The service accounts in the binding'),
  ],
  row: (binding, now) => [
    nameOf(binding),
    `${binding.roleRef?.kind}/${binding.roleRef?.name}`,
    ageOf(binding, now),
    subjectsOf(binding, 'User'),
    subjectsOf(binding, 'Group'),
    subjectsOf(binding, 'ServiceAccount'),
  ],
};

export const RBAC_PRINTERS = {
  Role: rolePrinter as Printer,
  ClusterRole: rolePrinter as Printer,
  RoleBinding: bindingPrinter as Printer,
  ClusterRoleBinding: bindingPrinter as Printer,
};
