import type { NodeAction } from '../../path/model/action.ts';
import { messageOf } from '../../util/errors.ts';
import { attachAction, collectAction, detachAction } from './chain.ts';
import type { ApplyContext } from './context.ts';
import {
  installPluginAction,
  renameFileAction,
  rewriteFileAction,
  setModeAction,
  writeFileAction,
} from './files.ts';
import type { Applied, ApplyResult } from './result.ts';
import { replaceRouteAction } from './route.ts';
import { deleteFlowAction, deleteNftRuleAction, iptablesAction } from './rules.ts';
import { setSysctlAction } from './sysctl.ts';

/**
 * Applies actions to this node in order, and yields the result of each when it is done. After the first failure, the rest are reported as
 * skipped, since they may depend on it.
 */
export async function* performActions(
  actions: readonly NodeAction[],
  context: ApplyContext,
): AsyncGenerator<ApplyResult> {
  let failed = false;
  for (const action of actions) {
    if (failed) {
      yield { action: action.do, outcome: 'skipped', detail: 'an earlier action failed' };
      continue;
    }
    try {
      const work = () => perform(action, context);
      const { changed, detail, backup } = await (context.journal?.around(action, work, context.ownPlugins) ??
        work());
      yield {
        action: action.do,
        outcome: changed ? 'done' : 'unchanged',
        detail,
        ...(backup === undefined ? {} : { backup }),
      };
    } catch (cause) {
      failed = true;
      yield { action: action.do, outcome: 'failed', detail: messageOf(cause) };
    }
  }
}

function perform(action: NodeAction, context: ApplyContext): Promise<Applied> {
  switch (action.do) {
    case 'write-file':
      return writeFileAction(action, context);
    case 'rename-file':
      return renameFileAction(action, context);
    case 'set-mode':
      return setModeAction(action);
    case 'rewrite-file':
      return rewriteFileAction(action, context);
    case 'install-plugin':
      return installPluginAction(action, context);
    case 'set-sysctl':
      return setSysctlAction(action);
    case 'attach':
      return attachAction(action, context);
    case 'detach':
      return detachAction(action, context);
    case 'collect':
      return collectAction(action, context);
    case 'iptables':
      return iptablesAction(action, context);
    case 'delete-nft-rule':
      return deleteNftRuleAction(action, context);
    case 'delete-flow':
      return deleteFlowAction(action, context);
    case 'replace-route':
      return replaceRouteAction(action, context);
  }
}
