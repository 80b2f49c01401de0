import {
  accessSync,
  constants,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { messagesWithoutSecrets, reportWithoutSecrets, textWithoutSecrets } from '../node/report/secrets.ts';
import { unknownKinds } from '../path/model/finding.ts';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import { type ProbeResult, probeResultSchema } from '../path/model/probe.ts';
import type { World } from '../path/model/world.ts';
import { calledAs } from '../sys/called-as.ts';
import { fileProblem } from '../sys/file-problem.ts';
import { NotRegularFile, readRegularFile } from '../sys/regular-file.ts';
import { InputError, messageOf, UserError } from '../util/errors.ts';
import { parseJson } from '../util/parse-json.ts';
import { ObjectReader, slim } from './objects.ts';
import { parseReport } from './report.ts';
import { schemaProblem } from './schema-problem.ts';

/** Version of the layout of a bundle. */
const BUNDLE_VERSION = 'hostport/v1';

const manifestSchema = z.object({
  apiVersion: z.literal(BUNDLE_VERSION),
  kind: z.literal('Bundle'),
  observedAt: z.string().refine((time) => !Number.isNaN(Date.parse(time)), 'not a time'),
  unread: z
    .array(
      z.object({
        // Without it, it may have been a pod.
        kind: z.enum(unknownKinds).default('pod'),
        node: z.string().max(253).optional(),
        what: z.string().max(253),
        why: z.string(),
      }),
    )
    .optional(),
});

/** The kinds of objects, each a file under `objects`. */
const KINDS = ['nodes', 'pods', 'services', 'events', 'policies'] as const;

const MEBIBYTE = 1024 * 1024;
/** Ten times what the largest clusters come to. */
const MAX_BYTES = {
  manifest: MEBIBYTE,
  objects: 256 * MEBIBYTE,
  report: 32 * MEBIBYTE,
  probes: 256 * MEBIBYTE,
};
const MAX_REPORTS = 10_000;
/** Seldom enough that a collection, a tenth of a second, does not count. */
const REPORTS_PER_COLLECTION = 250;

/** A node's name, and that of its file: a DNS subdomain (RFC 1123), so it is also one step of a path. */
const NODE_FILE = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\.json$/;

/**
 * Reads a world that {@link saveBundle} wrote, or somebody by hand: `manifest.json`, `objects/<kind>.json` (lists of API objects),
 * `nodes/<name>.json` (node reports, or why there is none) and `probes.json`. What is missing of the objects is empty. A report that
 * cannot be read leaves its node unknown, and an object itself.
 * @throws InputError with the file and what is the matter with it, when that is a file of all nodes: a bundle comes from anywhere.
 */
export async function bundleWorld(directory: string): Promise<World> {
  const root = resolve(directory);
  checkIsBundleDirectory(root, directory);
  const manifest = parseAs(
    manifestSchema,
    readJson(root, 'manifest.json', MAX_BYTES.manifest),
    'manifest.json',
  );
  if (manifest === undefined) throw broken('manifest.json', `not there: is ${directory} a bundle?`);
  const readers = KINDS.map((kind) => [kind, readObjects(root, kind)] as const);
  const { reports, unread: strangers } = readReports(join(root, 'nodes'), 'nodes');
  const unread = [
    ...(manifest.unread ?? []),
    ...readers.flatMap(([, reader]) => reader.unread),
    ...strangers,
  ];
  return {
    observedAt: manifest.observedAt,
    ...(unread.length > 0 && { unread }),
    ...(Object.fromEntries(readers.map(([kind, { objects }]) => [kind, objects])) as unknown as Pick<
      World,
      (typeof KINDS)[number]
    >),
    reports,
    probes: readProbes(root),
  };
}

/**
 * The absolute path of a bundle that is to be written. Called before a cluster is examined, too, which may take minutes.
 * @throws InputError when there is something of that name, or nothing can be written there.
 */
export function checkNewBundle(directory: string): string {
  const root = resolve(directory);
  try {
    if (lstatSync(root, { throwIfNoEntry: false }) !== undefined) {
      throw new InputError(`cannot write the bundle ${directory}: it already exists; name a new directory`);
    }
    mkdirSync(dirname(root), { recursive: true });
    accessSync(dirname(root), constants.W_OK);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new InputError(
      `cannot write the bundle ${directory}: ${problem}; name a directory that can be created`,
    );
  }
  return root;
}

/**
 * Writes a world to a new directory that only its owner can read. Only the fields of API objects that the path needs are written, and
 * nothing that looks like a secret: events quote programs, and node reports may come from an older release.
 */
export async function saveBundle(world: World, directory: string): Promise<void> {
  const root = checkNewBundle(directory);
  const making = `${root}.${process.pid}.tmp`;
  const write = (file: string, document: unknown) =>
    writeFileSync(join(making, file), `${JSON.stringify(document)}\n`, { mode: 0o600 });
  try {
    for (const part of ['objects', 'nodes']) mkdirSync(join(making, part), { recursive: true, mode: 0o700 });
    for (const kind of KINDS)
      write(
        `objects/${kind}.json`,
        world[kind].map((object) => messagesWithoutSecrets(slim[kind](object), ['message'])),
      );
    for (const [node, report] of world.reports) {
      if (!NODE_FILE.test(`${node}.json`))
        throw new UserError(`cannot write the report of node ${JSON.stringify(node)}: not a name of a node`);
      write(
        `nodes/${node}.json`,
        'value' in report
          ? reportWithoutSecrets(report.value)
          : { unknown: textWithoutSecrets(report.unknown) },
      );
    }
    write('probes.json', messagesWithoutSecrets(world.probes, ['detail', 'untold']));
    write('manifest.json', {
      apiVersion: BUNDLE_VERSION,
      kind: 'Bundle',
      observedAt: world.observedAt,
      ...(world.unread && { unread: messagesWithoutSecrets([...world.unread], ['why']) }),
    } satisfies z.infer<typeof manifestSchema>);
    renameSync(making, root);
  } catch (cause) {
    rmSync(making, { recursive: true, force: true });
    const problem = fileProblem(cause);
    if (problem === undefined) throw cause;
    throw new UserError(`cannot write the bundle ${directory}: ${problem}`, { cause });
  }
}

/** The node reports of a directory, and what in it is none. */
interface Reports {
  reports: Map<string, Observed<NodeReport>>;
  unread: NonNullable<World['unread']>[number][];
}

/**
 * The node reports of a directory, `<node>.json` each. A report that cannot be read leaves its node unknown with the reason; a file of another
 * name is unread. `name` is the directory's in errors and reasons.
 */
export function readReports(directory: string, name = directory): Reports {
  const reports = new Map<string, Observed<NodeReport>>();
  const unread: Reports['unread'] = [];
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return { reports, unread };
  if (!stat.isDirectory()) throw broken(name, 'not a directory');
  const files = readdirSync(directory).sort();
  if (files.length > MAX_REPORTS) throw broken(name, `has ${files.length} files, more than ${MAX_REPORTS}`);
  for (const file of files) {
    const node = NODE_FILE.exec(file)?.[1];
    if (node === undefined) {
      const shown = /^[\w.-]+$/.test(file) ? file : JSON.stringify(file);
      unread.push({
        kind: 'file',
        what: `file ${shown}`.slice(0, 253),
        why: `${name}: want <name of the node>.json`,
      });
      continue;
    }
    reports.set(node, readReport(join(directory, file), `${name}/${file}`));
    // Texts and parsed documents are garbage by now, which the engine would let pile up to twice what is kept.
    if (reports.size % REPORTS_PER_COLLECTION === 0) Bun.gc(true);
  }
  return { reports, unread };
}

function readReport(path: string, name: string): Observed<NodeReport> {
  let text: string;
  try {
    if (lstatSync(path).isSymbolicLink())
      return { unknown: `${name}: a symbolic link, which is not followed` };
    text = readRegularFile(path, MAX_BYTES.report);
  } catch (cause) {
    return { unknown: `${name}: ${problemOf(cause, path)}` };
  }
  return parseReport(text, name);
}

/** What is the matter with a file, without its path. */
function problemOf(cause: unknown, path: string): string {
  if (cause instanceof NotRegularFile) return cause.problem;
  return fileProblem(cause) ?? messageOf(cause).replace(`${path}: `, '');
}

function readObjects<K extends (typeof KINDS)[number]>(root: string, kind: K): ObjectReader<K> {
  const file = `objects/${kind}.json`;
  checkNoLink(join(root, 'objects'), 'objects');
  const document = readJson(root, file, MAX_BYTES.objects);
  const reader = new ObjectReader(kind, file);
  if (document === undefined) return reader;
  // `kubectl get -o json` writes a List.
  const items: unknown = Array.isArray(document) ? document : (document as { items?: unknown } | null)?.items;
  if (!Array.isArray(items)) throw broken(file, 'want a list of objects');
  reader.add(items);
  return reader;
}

function readProbes(root: string): ProbeResult[] {
  const document = readJson(root, 'probes.json', MAX_BYTES.probes);
  return document === undefined ? [] : parseAs(z.array(probeResultSchema), document, 'probes.json')!;
}

/** Refuses a path that is not a directory. A link to one is fine: the user typed it, and it did not come with the bundle. */
function checkIsBundleDirectory(path: string, name: string): void {
  let problem: string | undefined;
  try {
    if (!statSync(path).isDirectory()) problem = 'it is not a directory';
  } catch (cause) {
    problem = fileProblem(cause) ?? messageOf(cause);
  }
  if (problem !== undefined) {
    throw new InputError(
      `cannot read the bundle ${name}: ${problem}; give a directory that "${calledAs()} doctor --save" wrote`,
    );
  }
}

/** The JSON document of a file; undefined when there is none. */
function readJson(directory: string, file: string, limit: number): unknown {
  const path = join(directory, file);
  if (!checkNoLink(path, file)) return undefined;
  let text: string;
  try {
    text = readRegularFile(path, limit);
  } catch (cause) {
    throw broken(file, problemOf(cause, path), cause);
  }
  try {
    return parseJson(text, file);
  } catch (cause) {
    throw broken(file, messageOf(cause).replace(`${file}: `, ''), cause);
  }
}

/** Whether something is there. A link could lead out of the bundle, to a file that whoever sends it should not read. */
function checkNoLink(path: string, name: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink()) throw broken(name, 'a symbolic link, which a bundle has none of');
  return stat !== undefined;
}

function parseAs<T extends z.ZodType>(schema: T, document: unknown, file: string): z.infer<T> | undefined {
  if (document === undefined) return undefined;
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw broken(file, schemaProblem(parsed.error), parsed.error);
}

/**
 * One line, whatever is quoted of the file. A cause that says more than this line (all issues of a ZodError, line breaks of the file) is left
 * out, since whoever prints the error would add it.
 */
function broken(file: string, what: string, cause?: unknown): InputError {
  const message = `bundle: ${file}: ${what.replaceAll('\n', '\\n')}`;
  return new InputError(message, message.includes(messageOf(cause)) ? { cause } : {});
}
