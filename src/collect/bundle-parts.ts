import { z } from 'zod';
import { type ProbeResult, probeResultSchema } from '../path/model/probe.ts';
import type { World } from '../path/model/world.ts';
import { InputError, messageOf } from '../util/errors.ts';
import { parseJson } from '../util/parse-json.ts';
import { KINDS, type Kind, type Manifest, manifestSchema } from './bundle-layout.ts';
import { ObjectReader } from './objects.ts';
import { schemaProblem } from './schema-problem.ts';

/** The longest name of something that was not read. */
const MAX_WHAT = 253;

/** What has been read of a bundle, whose files come in any order. */
export class BundleParts {
  reports: World['reports'] = new Map();
  /** Files among the reports that are not reports. */
  readonly strangers: NonNullable<World['unread']>[number][] = [];
  readonly #readers = new Map<Kind, ObjectReader<Kind>>();
  #manifest: Manifest | undefined;
  #probes: ProbeResult[] = [];

  /**
   * Takes the text of a file of the bundle that is no report: `manifest.json`, `probes.json`, `objects/<kind>.json`.
   * @throws InputError with what is the matter with it.
   */
  take(file: string, text: string): void {
    const document = documentOf(text, file);
    if (file === 'manifest.json') this.#manifest = parseAs(manifestSchema, document, file);
    else if (file === 'probes.json') this.#probes = parseAs(z.array(probeResultSchema), document, file);
    else this.#takeObjects(file, document);
  }

  /** Notes a file among the reports, in the directory `directory`, whose name is not that of a node. */
  addStranger(file: string, directory: string): void {
    const shown = /^[\w.-]+$/.test(file) ? file : JSON.stringify(file);
    this.strangers.push({
      kind: 'file',
      what: `file ${shown}`.slice(0, MAX_WHAT),
      why: `${directory}: want <name of the node>.json`,
    });
  }

  /**
   * All of it; `name` is the bundle's in errors.
   * @throws InputError when there was no manifest.
   */
  world(name: string): World {
    if (this.#manifest === undefined) throw broken('manifest.json', `not there: is ${name} a bundle?`);
    const readers = KINDS.map((kind) => [kind, this.#readers.get(kind)] as const);
    const unread = [
      ...(this.#manifest.unread ?? []),
      ...readers.flatMap(([, reader]) => reader?.unread ?? []),
      ...this.strangers,
    ];
    return {
      observedAt: this.#manifest.observedAt,
      ...(unread.length > 0 && { unread }),
      ...(Object.fromEntries(
        readers.map(([kind, reader]) => [kind, reader?.objects ?? []]),
      ) as unknown as Pick<World, Kind>),
      reports: this.reports,
      probes: this.#probes,
    };
  }

  #takeObjects(file: string, document: unknown): void {
    const kind = KINDS.find((one) => file === `objects/${one}.json`)!;
    // `kubectl get -o json` writes a List.
    const items: unknown = Array.isArray(document)
      ? document
      : (document as { items?: unknown } | null)?.items;
    if (!Array.isArray(items)) throw broken(file, 'want a list of objects');
    const reader = new ObjectReader<Kind>(kind, file);
    reader.add(items);
    this.#readers.set(kind, reader);
  }
}

function documentOf(text: string, file: string): unknown {
  try {
    return parseJson(text, file);
  } catch (cause) {
    throw broken(file, messageOf(cause).replace(`${file}: `, ''), cause);
  }
}

function parseAs<T extends z.ZodType>(schema: T, document: unknown, file: string): z.infer<T> {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw broken(file, schemaProblem(parsed.error), parsed.error);
}

/**
 * An error about a file of a bundle, of one line, whatever is quoted of the file. A cause that says more than this line (all issues of a ZodError, line
 * breaks of the file) is left out, since whoever prints the error would add it.
 */
export function broken(file: string, what: string, cause?: unknown): InputError {
  const message = `bundle: ${file}: ${what.replaceAll('\n', '\\n')}`;
  return new InputError(message, message.includes(messageOf(cause)) ? { cause } : {});
}
