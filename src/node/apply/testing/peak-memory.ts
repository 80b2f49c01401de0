/**
 * Does actions on files in a process of its own, of which nothing else is the peak: `peak-memory.ts OWN-PLUGINS BACKUPS ACTIONS`, the actions as JSON.
 * Prints what became of each, and by how many bytes the most memory that the process ever had has grown.
 */
import { readFileSync } from 'node:fs';
import type { NodeAction } from '../../../path/model/action.ts';
import { realExec } from '../../../sys/exec.ts';
import { Backups } from '../backup.ts';
import { stateOf } from '../journal.ts';
import { performActions } from '../perform.ts';

const [ownPlugins, root, text] = process.argv.slice(2) as [string, string, string];
const actions = JSON.parse(text) as NodeAction[];

function peak(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;
}

const context = { exec: realExec, backups: new Backups(new Date(0), root), ownPlugins };
const before = peak();
const outcomes: string[] = [];
for await (const { outcome } of performActions(actions, context)) outcomes.push(outcome);
// What a journal notes of a file.
for (const action of actions) if ('path' in action) stateOf(action.path);
console.log(JSON.stringify({ outcomes, grown: peak() - before }));
