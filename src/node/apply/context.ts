import type { Exec } from '../../sys/exec.ts';
import type { Backups } from './backup.ts';
import type { Journal } from './journal.ts';

/** What an action works with on its node. */
export interface ApplyContext {
  exec: Exec;
  backups: Backups;
  /** Directory of the plugins that belong to this program. */
  ownPlugins: string;
  /** Where it is noted what is changed, so that it can be undone; absent where nobody will ask for that. */
  journal?: Journal;
}
