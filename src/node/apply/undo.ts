import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { discard } from '../../sys/discard.ts';
import { readLinkedChunks } from '../../sys/regular-file.ts';
import { messageOf } from '../../util/errors.ts';
import { BACKUP_ROOT, MAX_FILE_BYTES } from './backup.ts';
import { sha256OfFile } from './digest.ts';
import { replaceFile } from './files.ts';
import { type FileState, type JournalEntry, lastJournal, stateOf } from './journal.ts';
import type { ApplyResult } from './result.ts';
import { placeSchema } from './runs.ts';

/** The answer to `last-heal`. */
export const lastHealSchema = z.object({
  /** When it began; it names the heal. */
  heal: z.string(),
  place: placeSchema,
  files: z.array(
    z.object({
      path: z.string(),
      /** `back`: can be put back. `as-before`: is as it was before the heal. `refused`: must not be put back. */
      state: z.enum(['back', 'as-before', 'refused']),
      /** What is done, or why it is refused. */
      detail: z.string(),
    }),
  ),
  /** What was done that is no change of files, in words: it stays. */
  stays: z.array(z.string()),
});

export type LastHeal = z.infer<typeof lastHealSchema>;

/** A file as it was before the heal, and as the heal left it. */
interface Change {
  path: string;
  before: FileState;
  after: FileState | undefined;
  /** Whether the last of its actions was killed: `after` is what that was going to leave. */
  isKilled: boolean;
  copy: string | undefined;
}

/** What the last heal on this node changed, and what can be undone of it; undefined when there was none. Changes nothing. */
export function lastHeal(root: string = BACKUP_ROOT): LastHeal | undefined {
  const journal = lastJournal(root);
  if (journal === undefined) return undefined;
  return {
    heal: journal.heal,
    place: journal.place,
    files: changesOf(journal.entries).map((change) => ({ path: change.path, ...judge(change) })),
    stays: journal.entries
      .filter(({ files }) => files.length === 0)
      .map(({ action, detail }) => `${action}: ${detail ?? 'was interrupted'}`),
  };
}

/**
 * Puts back the files that the last heal on this node changed. If one of them has changed since, none is put back: together they were a
 * configuration that worked. Idempotent.
 * @throws when the last heal is another than `heal`.
 */
export async function undoHeal(heal: string, root: string = BACKUP_ROOT): Promise<ApplyResult[]> {
  const journal = lastJournal(root);
  if (journal?.heal !== heal) {
    throw new Error(`the last heal of this node is ${journal?.heal ?? 'none'}, not ${heal}`);
  }
  const changes = changesOf(journal.entries).map((change) => ({ change, judged: judge(change) }));
  const isRefused = changes.some(({ judged }) => judged.state === 'refused');
  const results: ApplyResult[] = [];
  for (const { change, judged } of changes) {
    const result = (outcome: ApplyResult['outcome'], detail = judged.detail) =>
      results.push({ action: 'undo', outcome, detail });
    if (judged.state === 'refused') result('failed');
    else if (judged.state === 'as-before') result('unchanged');
    else if (isRefused)
      result('skipped', `${change.path}: not restored, because another file changed since the heal`);
    else {
      try {
        await putBack(change);
        result('done');
      } catch (cause) {
        result('failed', `${change.path}: ${messageOf(cause)}`);
      }
    }
  }
  return results;
}

/** Each file once: as it was before the first change, and after the last. The last that was changed comes first. */
function changesOf(entries: readonly JournalEntry[]): Change[] {
  const changes = new Map<string, Change>();
  for (const { path, before, after, intended, copy } of entries.flatMap(({ files }) => files)) {
    const earlier = changes.get(path);
    changes.set(path, {
      path,
      before: earlier?.before ?? before,
      after: after ?? intended,
      isKilled: after === undefined,
      // One that changes only the mode keeps none; a later one has the same content. It is checked before it is used.
      copy: earlier?.copy ?? copy,
    });
  }
  // One whose action was killed counts by what is there: it may not have begun.
  return [...changes.values()]
    .reverse()
    .filter(({ path, before, after, isKilled }) => !isSame(before, isKilled ? stateOf(path) : after));
}

function judge({ path, before, after, copy }: Change): {
  state: LastHeal['files'][number]['state'];
  detail: string;
} {
  const now = stateOf(path);
  if (isSame(now, before)) return { state: 'as-before', detail: `${path}: already as before the heal` };
  const refused = (why: string) => ({ state: 'refused' as const, detail: `${path}: ${why}` });
  if (!isSame(now, after)) {
    const byHand =
      before.is === 'missing'
        ? 'delete it by hand; the heal created it'
        : `restore it by hand${copy === undefined ? '' : ` from ${copy}`}`;
    return refused(`changed since the heal; ${byHand}`);
  }
  if (before.is === 'missing') return { state: 'back', detail: `delete ${path}, which the heal created` };
  if (before.is === 'other') return refused('was not a regular file before the heal');
  if (before.is === 'link') return { state: 'back', detail: `restore ${path} as a link to ${before.target}` };
  if (isContentSame(before, now)) return { state: 'back', detail: `restore the mode of ${path}` };
  if (copy === undefined || !existsSync(copy)) return refused('the copy of its earlier content is gone');
  if (sha256OfFile(copy) !== before.sha256) return refused(`its copy ${copy} has changed`);
  return { state: 'back', detail: `restore ${path} from ${copy}` };
}

async function putBack({ path, before, copy }: Change): Promise<void> {
  if (before.is === 'file') {
    const { uid, gid, mode } = before;
    const owner = uid === undefined || gid === undefined ? undefined : { uid, gid };
    if (isContentSame(before, stateOf(path))) {
      // Before the mode: a change of the owner clears bits of it.
      if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
      chmodSync(path, mode);
      return;
    }
    if (sha256OfFile(copy!) !== before.sha256) throw new Error(`its copy ${copy} has changed`);
    await replaceFile(path, () => readLinkedChunks(copy!, MAX_FILE_BYTES), mode, owner);
    return;
  }
  if (before.is === 'link') replaceByLink(path, before.target);
  else rmSync(path, { force: true });
}

/** Puts a link in the place of a file, in one step: a runtime sees the one or the other. */
function replaceByLink(path: string, target: string): void {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  symlinkSync(target, temporary);
  try {
    renameSync(temporary, path);
  } catch (cause) {
    discard(temporary);
    throw cause;
  }
}

/** Whether two states are the same; owners count where both are known. */
function isSame(a: FileState, b: FileState | undefined): boolean {
  if (a.is === 'file' && b?.is === 'file') {
    const isOwnerKnown = a.uid !== undefined && b.uid !== undefined;
    const isOwnerSame = !isOwnerKnown || (a.uid === b.uid && a.gid === b.gid);
    return a.sha256 === b.sha256 && a.mode === b.mode && isOwnerSame;
  }
  return JSON.stringify(a) === JSON.stringify(b);
}

function isContentSame(before: FileState, now: FileState): boolean {
  return before.is === 'file' && now.is === 'file' && before.sha256 === now.sha256;
}
