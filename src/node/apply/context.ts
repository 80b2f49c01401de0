import type { Exec } from '../../sys/exec.ts';
import type { Backups } from './backup.ts';

/** What an action works with on its node. */
export interface ApplyContext {
  exec: Exec;
  backups: Backups;
  /** Directory of the plugins that belong to this program. */
  ownPlugins: string;
}
