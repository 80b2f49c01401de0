import { z } from 'zod';
import { type ProbeResult, probeResultSchema } from '../path/model/probe.ts';
import type { World } from '../path/model/world.ts';
import { InputError, messageOf } from '../util/errors.ts';
import { JsonItems } from '../util/json-items.ts';
import { BUNDLE_VERSION, KINDS, type Kind, type Manifest, manifestSchema } from './bundle-layout.ts';
import { ObjectReader } from './objects.ts';
import { ProbeInterning } from './probe-interning.ts';
import { schemaProblem } from './schema-problem.ts';

/** The longest name of something that was not read. */
const MAX_WHAT = 253;

/** How many bytes a list may have that is not written an item a line, as a bundle's are: it is parsed all at once. */
const MAX_WHOLE = 256 * 1024 * 1024;

/** A file of a bundle that is being read. */
export interface BundlePart {
  push(chunk: Uint8Array): void;
  end(): void;
}

/** What has been read of a bundle, whose files come in any order. */
export class BundleParts {
  reports: World['reports'] = new Map();
  /** Files among the reports that are not reports. */
  readonly strangers: NonNullable<World['unread']>[number][] = [];
  readonly #readers = new Map<Kind, ObjectReader<Kind>>();
  #manifest: Manifest | undefined;
  readonly #probes: ProbeResult[] = [];
  readonly #interning = new ProbeInterning();

  /** Takes the text of a file of the bundle that is no report, as {@link begin}. */
  take(file: string, text: string): void {
    const part = this.begin(file);
    part.push(Buffer.from(text));
    part.end();
  }

  /**
   * Begins a file of the bundle that is no report: `manifest.json`, `probes.json`, `objects/<kind>.json`. What it gets and its end throw an InputError with
   * what is the matter with the file.
   */
  begin(file: string): BundlePart {
    const { take, finish } = this.#readerOf(file);
    const items = new JsonItems(file, take, MAX_WHOLE);
    const checked = <T>(work: () => T): T => {
      try {
        return work();
      } catch (cause) {
        if (cause instanceof InputError) throw cause;
        throw broken(file, messageOf(cause).replace(`${file}: `, ''), cause);
      }
    };
    return {
      push: (chunk) => checked(() => items.push(chunk)),
      end: () =>
        checked(() => {
          const document = items.end();
          if (document !== undefined) finish(document);
        }),
    };
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

  /** What becomes of the items of a file, and of its document where it has not come as items. */
  #readerOf(file: string): { take(items: unknown[]): void; finish(document: unknown): void } {
    if (file === 'manifest.json') {
      const take = () => {
        throw broken(file, 'want an object');
      };
      return {
        take,
        finish: (document) => {
          this.#manifest = manifestOf(document, file);
        },
      };
    }
    if (file === 'probes.json') {
      const take = (items: unknown) => {
        for (const probe of parseAs(z.array(probeResultSchema), items, file, this.#probes.length))
          this.#probes.push(this.#interning.probe(probe));
      };
      return { take, finish: take };
    }
    const kind = KINDS.find((one) => file === `objects/${one}.json`)!;
    const reader = new ObjectReader<Kind>(kind, file);
    this.#readers.set(kind, reader);
    return {
      take: (items) => reader.add(items),
      finish: (document) => {
        // `kubectl get -o json` writes a List.
        const items: unknown = Array.isArray(document)
          ? document
          : (document as { items?: unknown } | null)?.items;
        if (!Array.isArray(items)) throw broken(file, 'want a list of objects');
        reader.add(items);
      },
    };
  }
}

function manifestOf(document: unknown, file: string): Manifest {
  const version = (document as { apiVersion?: unknown } | null)?.apiVersion;
  if (typeof version === 'string' && version !== BUNDLE_VERSION) {
    const theirs = JSON.stringify(version.slice(0, 100));
    throw broken(
      file,
      `apiVersion is ${theirs}, and this program reads ${BUNDLE_VERSION}; use the version that saved the bundle`,
    );
  }
  return parseAs(manifestSchema, document, file);
}

/** `offset`: how many items of the file came before the document, which is then a list of others. */
function parseAs<T extends z.ZodType>(schema: T, document: unknown, file: string, offset = 0): z.infer<T> {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  throw broken(file, schemaProblem(parsed.error, offset), parsed.error);
}

/**
 * An error about a file of a bundle, of one line, whatever is quoted of the file. A cause that says more than this line (all issues of a ZodError, line
 * breaks of the file) is left out, since whoever prints the error would add it.
 */
export function broken(file: string, what: string, cause?: unknown): InputError {
  const message = `bundle: ${file}: ${what.replaceAll('\n', '\\n')}`;
  return new InputError(message, message.includes(messageOf(cause)) ? { cause } : {});
}
