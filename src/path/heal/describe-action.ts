import { iptablesProgram } from '../../util/family.ts';
import { shellLine } from '../../util/shell-line.ts';
import type { HealStep, NodeAction } from '../model/action.ts';

/** A step as a person would do it: what the plan shows. */
export function describeStep(step: HealStep): string {
  if (step.on === 'cluster') {
    return shellLine(['kubectl', '-n', step.action.namespace, 'delete', 'pod', step.action.name]);
  }
  return `${step.node}: ${describeAction(step.action)}`;
}

/** An action in the words of the node's own tools where it has some: a line that a shell can run. */
export function describeAction(action: NodeAction): string {
  switch (action.do) {
    case 'write-file':
      return `write ${action.path}`;
    case 'rename-file':
      return shellLine(['mv', action.from, action.to]);
    case 'set-mode':
      return shellLine(['chmod', action.mode, action.path]);
    case 'rewrite-file':
      return `write ${action.path} again in place`;
    case 'install-plugin':
      return `install ${action.name} in ${action.directory}`;
    case 'set-sysctl':
      return shellLine(['sysctl', '-w', `${action.name}=${action.value}`]);
    case 'attach':
      return `run ${action.own ? "hostport's " : ''}${action.plugin} of ${action.config} on sandbox ${action.sandbox.slice(0, 13)}`;
    case 'detach':
      return `remove portmap's rules for ${action.containerId.slice(0, 13)} of network ${action.networkName}`;
    case 'collect':
      return `run GC of ${action.config}`;
    case 'iptables':
      return action.commands
        .map((words) =>
          shellLine([iptablesProgram(action.variant, action.family), '-t', action.table, ...words]),
        )
        .join('; ');
    case 'delete-nft-rule':
      return shellLine([
        'nft',
        ...['delete', 'rule', action.family, action.table, action.chain, 'handle', String(action.handle)],
      ]);
    case 'delete-flow':
      return shellLine([
        ...['conntrack', '-D', '-p', action.protocol],
        ...['-s', action.source, '--sport', String(action.sourcePort)],
        ...['-d', action.destination, '--dport', String(action.destinationPort)],
      ]);
    case 'replace-route':
      return shellLine([
        ...['ip', 'route', 'replace'],
        action.destination,
        ...(action.gateway === undefined ? [] : ['via', action.gateway]),
        ...(action.device === undefined ? [] : ['dev', action.device]),
      ]);
  }
}
