import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { NodeAction } from '../../path/model/action.ts';
import { aboutPath, unlessMissing } from '../../sys/errno.ts';
import { openRegularFile, readRegularFile } from '../../sys/regular-file.ts';
import { UserError } from '../../util/errors.ts';
import { BACKUP_ROOT, type Backups } from './backup.ts';
import { sha256Of, sha256OfFile } from './digest.ts';
import type { Applied } from './result.ts';
import { directoryOfRun, JOURNAL, type Place, placeSchema, runsIn } from './runs.ts';

/** A line has some hundred bytes, and a heal of a node hundreds of steps. */
const MAX_JOURNAL_BYTES = 64 * 1024 * 1024;

const fileStateSchema = z.discriminatedUnion('is', [
  z.object({ is: z.literal('missing') }),
  z.object({
    is: z.literal('file'),
    sha256: z.string(),
    mode: z.number().int(),
    /** Absent in journals of earlier versions, and where an action leaves it to the node. */
    uid: z.number().int().optional(),
    gid: z.number().int().optional(),
  }),
  z.object({ is: z.literal('link'), target: z.string() }),
  /** A directory, a socket: never written by an action. */
  z.object({ is: z.literal('other') }),
]);

/** What is at a path. */
export type FileState = z.infer<typeof fileStateSchema>;

const changeSchema = z.object({
  path: z.string(),
  before: fileStateSchema,
  /** Absent while the action is under way, and for ever when it was killed. */
  after: fileStateSchema.optional(),
  /** What the action is going to leave there, where that is known beforehand: by it, what a killed one has done is recognised. */
  intended: fileStateSchema.optional(),
  /** Copy of what was there before. */
  copy: z.string().optional(),
});

const entrySchema = z.object({
  /** Lines of one number are of one action: before it, of its copies, and after it. */
  number: z.number().int(),
  action: z.string(),
  /** Whether anything was changed; absent while it is under way. */
  changed: z.boolean().optional(),
  /** What was done, or why it failed. */
  detail: z.string().optional(),
  files: z.array(changeSchema),
  /** Absent where it is the time of the heal. */
  place: placeSchema.optional(),
});

/** What one action changed. */
export type JournalEntry = z.infer<typeof entrySchema>;

/** Notes what the actions of one heal change on this node, so that it can be undone. */
export class Journal {
  readonly #heal: string;
  readonly #root: string;
  readonly #path: string;
  readonly #backups: Backups;

  /** `heal`: when the heal began, RFC 3339. */
  constructor(heal: string, backups: Backups, root: string = BACKUP_ROOT) {
    this.#heal = new Date(heal).toISOString();
    this.#root = root;
    this.#path = join(directoryOfRun(root, new Date(heal)), JOURNAL);
    this.#backups = backups;
  }

  /** Does an action, and notes what it changes: what it is about before it, too, since it may be killed. */
  async around(action: NodeAction, work: () => Promise<Applied>, ownPlugins?: string): Promise<Applied> {
    const earlier = readEntries(this.#path);
    const number = earlier.length;
    const place = number > 0 ? earlier[0]!.place : this.#placeBehindOthers();
    const line = { number, action: action.do, ...(place !== undefined && { place }) };
    const intended = intendedBy(action, ownPlugins);
    const files: z.infer<typeof changeSchema>[] = pathsOf(action).map((path) => ({
      path,
      before: stateOf(path),
      ...(intended.has(path) && { intended: intended.get(path)! }),
      // What replaces something keeps a copy; what moves it does not.
      ...(action.do === 'rename-file' && path === action.from && this.#copyOf(path)),
    }));
    this.#append({ ...line, files });
    // Noted before what was copied is changed: without it, a killed action could not be undone.
    this.#backups.onKept = (path, copy) => {
      const file = files.find((one) => one.path === path);
      if (file === undefined) return;
      file.copy = copy;
      this.#append({ ...line, files });
    };
    const note = (changed: boolean, detail: string) => {
      const changes = files.map((file) => ({ ...file, after: stateOf(file.path) }));
      this.#append({ ...line, changed, detail, files: changes });
    };
    try {
      const applied = await work();
      note(applied.changed, applied.detail);
      return applied;
    } catch (cause) {
      // Something may have been changed before it failed.
      note(true, `failed: ${(cause as Error).message}`);
      throw cause;
    } finally {
      this.#backups.onKept = undefined;
    }
  }

  /** Undefined where the time of this heal is later than those of all before it. */
  #placeBehindOthers(): Place | undefined {
    const others = runsIn(this.#root).filter(
      (run) => run.hasJournal && run.directory !== dirname(this.#path),
    );
    const last = others.at(-1)?.place;
    if (last === undefined || last.time < this.#heal) return undefined;
    return { time: last.time, turn: last.turn + 1 };
  }

  #copyOf(path: string): { copy?: string } {
    const copy = this.#backups.keepFile(path);
    return copy === undefined ? {} : { copy };
  }

  #open(): number {
    const { O_WRONLY, O_APPEND, O_CREAT } = constants;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      return openRegularFile(this.#path, O_WRONLY | O_APPEND | O_CREAT, 0o600);
    } catch (cause) {
      throw aboutPath(cause, this.#path);
    }
  }

  #append(entry: JournalEntry): void {
    const fd = this.#open();
    const { size } = fstatSync(fd);
    try {
      writeFileSync(fd, `${JSON.stringify(entry)}\n`);
      fsyncSync(fd);
    } catch (cause) {
      // A part of a line would spoil the next one.
      ftruncateSync(fd, size);
      throw aboutPath(cause, this.#path);
    } finally {
      closeSync(fd);
    }
  }
}

/**
 * The last heal that changed something on this node, and what; undefined when there is none.
 * @throws UserError when its journal cannot be read, or that of a later one, which may have changed something. Journals of earlier ones do not matter.
 */
export function lastJournal(
  root: string = BACKUP_ROOT,
): { heal: string; place: Place; entries: JournalEntry[] } | undefined {
  for (const { directory, time, place, hasJournal } of runsIn(root).reverse()) {
    const entries = hasJournal ? readEntries(join(directory, JOURNAL)) : [];
    const changes = entries.filter(({ changed }) => changed !== false);
    if (changes.length > 0) return { heal: time, place, entries: changes };
  }
  return undefined;
}

/**
 * The entries of a journal in their order; none when there is no such file. A last line that was cut off is of an action that was killed.
 * @throws UserError when a line is none that this version writes.
 */
function readEntries(path: string): JournalEntry[] {
  const lines = (unlessMissing(() => readRegularFile(path, MAX_JOURNAL_BYTES)) ?? '').split('\n');
  const whole = lines.slice(0, -1).map((line, i) => {
    try {
      return entrySchema.parse(JSON.parse(line));
    } catch {
      // What is wrong with it is of use to nobody: it is damaged, or of a version that writes others.
      throw new UserError(
        `cannot read ${path}: line ${i + 1} cannot be read by this version; use the version that wrote it, or put back by hand the copies beside it`,
      );
    }
  });
  return [...new Map(whole.map((entry) => [entry.number, entry])).values()];
}

/** The files that an action changes; what it writes is the last. */
export function pathsOf(action: NodeAction): string[] {
  switch (action.do) {
    case 'write-file':
    case 'rewrite-file':
    case 'set-mode':
      return [action.path];
    case 'rename-file':
      return [action.from, action.to];
    case 'install-plugin':
      return [join(action.directory, action.name)];
    default:
      return [];
  }
}

/** What is at a path. Links are not followed: an action replaces a link, not what it leads to. */
export function stateOf(path: string): FileState {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { is: 'missing' };
  if (stat.isSymbolicLink()) return { is: 'link', target: readlinkSync(path) };
  if (!stat.isFile()) return { is: 'other' };
  const { uid, gid } = stat;
  return {
    is: 'file',
    sha256: sha256OfFile(path),
    mode: stat.mode & 0o777,
    uid,
    gid,
  };
}

/** What an action leaves at its paths when nothing fails, as far as that is known beforehand. */
function intendedBy(action: NodeAction, ownPlugins: string | undefined): Map<string, FileState> {
  switch (action.do) {
    case 'write-file': {
      const before = statSync(action.path, { throwIfNoEntry: false });
      const mode =
        action.mode === undefined ? (before?.mode ?? 0o644) & 0o777 : Number.parseInt(action.mode, 8);
      return new Map([[action.path, { is: 'file', sha256: sha256Of(action.content), mode }]]);
    }
    case 'rename-file':
      return new Map([
        [action.from, { is: 'missing' }],
        [action.to, stateOf(action.from)],
      ]);
    case 'set-mode': {
      const before = stateOf(action.path);
      if (before.is !== 'file') return new Map();
      return new Map([[action.path, { ...before, mode: Number.parseInt(action.mode, 8) }]]);
    }
    case 'install-plugin': {
      const sha256 = ownPlugins && unlessMissing(() => sha256OfFile(join(ownPlugins, action.name)));
      if (!sha256) return new Map();
      const path = join(action.directory, action.name);
      return new Map([[path, { is: 'file', sha256, mode: 0o755 }]]);
    }
    default:
      return new Map();
  }
}
