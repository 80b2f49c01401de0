import { iptablesProgram } from '../../util/family.ts';
import { shellLine } from '../../util/shell-line.ts';
import type { NodeAction } from '../model/action.ts';

/** An action in the words of the node's own tools where it has some: a line that a shell can run. */
export function describeAction(action: NodeAction): string {
  return shellCommands(action)?.map(shellLine).join('; ') ?? describeOther(action);
}

/** What of the node's own tools does an action: commands, in their order. Undefined where none does. */
export function shellCommands(action: NodeAction): readonly (readonly string[])[] | undefined {
  switch (action.do) {
    case 'rename-file':
      return [['mv', action.from, action.to]];
    case 'set-mode':
      return [['chmod', action.mode, action.path]];
    case 'set-sysctl':
      return [['sysctl', '-w', `${action.name}=${action.value}`]];
    case 'iptables':
      return action.commands.map((words) => [
        ...[iptablesProgram(action.variant, action.family), '-t', action.table],
        ...words,
      ]);
    case 'delete-nft-rule':
      return [
        [
          ...['nft', 'delete', 'rule', action.family, action.table, action.chain],
          ...['handle', String(action.handle)],
        ],
      ];
    case 'delete-flow':
      return [
        [
          ...['conntrack', '-D', '-p', action.protocol],
          ...['-s', action.source, '--sport', String(action.sourcePort)],
          ...['-d', action.destination, '--dport', String(action.destinationPort)],
        ],
      ];
    case 'replace-route':
      return [
        [
          ...['ip', 'route', 'replace', action.destination],
          ...(action.gateway === undefined ? [] : ['via', action.gateway]),
          ...(action.device === undefined ? [] : ['dev', action.device]),
        ],
      ];
    default:
      return undefined;
  }
}

/** What only this program does. */
function describeOther(action: NodeAction): string {
  switch (action.do) {
    case 'write-file':
      return `write ${action.path}`;
    case 'rewrite-file':
      return `write ${action.path} again in place`;
    case 'install-plugin':
      return `install ${action.name} in ${action.directory}`;
    case 'attach':
      return `run ${action.own ? "hostport's " : ''}${action.plugin} of ${action.config} on sandbox ${action.sandbox.slice(0, 13)}`;
    case 'detach':
      return `remove portmap's rules for ${action.containerId.slice(0, 13)} of network ${action.networkName}`;
    case 'collect':
      return `run GC of ${action.config}`;
    default:
      throw new Error(`no words for the action ${action.do}`);
  }
}
