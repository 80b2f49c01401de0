import { parseJson } from './parse-json.ts';

/** How many bytes are parsed at a time, at least. */
const PIECE = 1024 * 1024;
/** What separates items. A line feed is in no string of a JSON text, so that what parses between two of them is whole items. */
const BETWEEN = ',\n';

/**
 * Parses the JSON text of an array as its bytes come, some items at a time, where each item begins a line; any other text once it is complete, which
 * takes several times its size of memory.
 */
export class JsonItems {
  readonly #take: (items: unknown[]) => void;
  readonly #name: string;
  readonly #maxWhole: number;
  #pending: Uint8Array[] = [];
  #bytes = 0;
  #characters = 0;
  /** With how many bytes the next piece is looked for. */
  #wanted = PIECE;
  #hasBegun = false;
  #isWhole = false;

  /** `name` is the text's in errors; `maxWhole`: how many bytes it may have that is parsed once it is complete. */
  constructor(name: string, take: (items: unknown[]) => void, maxWhole: number) {
    this.#name = name;
    this.#take = take;
    this.#maxWhole = maxWhole;
  }

  /** @throws what `take` throws, and an error for a text that is too large to be parsed as a whole. */
  push(chunk: Uint8Array): void {
    this.#pending.push(chunk);
    this.#bytes += chunk.length;
    if (this.#isWhole && this.#bytes > this.#maxWhole)
      throw new Error(`${this.#name}: longer than ${this.#maxWhole} bytes, and not an item a line`);
    if (this.#isWhole || this.#bytes < this.#wanted) return;
    const bytes = Buffer.concat(this.#pending);
    const end = bytes.lastIndexOf(BETWEEN);
    if (end < 0 && this.#hasBegun) {
      if (bytes.length > this.#maxWhole)
        throw new Error(`${this.#name}: an item is longer than ${this.#maxWhole} bytes`);
      this.#wanted = 2 * bytes.length;
      this.#keep(bytes);
      return;
    }
    this.#wanted = PIECE;
    const text = bytes.toString('utf8', 0, Math.max(0, end));
    const items = itemsIn(this.#hasBegun ? `[${text}]` : `${text}]`);
    if (items === undefined) {
      this.#isWhole = true;
      this.#keep(bytes);
      return;
    }
    this.#hasBegun = true;
    this.#characters += text.length + BETWEEN.length;
    this.#keep(bytes.subarray(end + BETWEEN.length));
    this.#take(items);
  }

  /**
   * To be called when all bytes have come.
   * @returns the document, where no items were taken of it.
   * @throws an error when it is not JSON, and what `take` throws.
   */
  end(): unknown {
    const text = Buffer.concat(this.#pending).toString('utf8');
    this.#keep();
    if (!this.#hasBegun) return parseJson(text, this.#name);
    const items = itemsIn(`[${text}`);
    // After a comma there is an item.
    if (items === undefined || items.length === 0)
      throw new Error(`${this.#name}: not JSON (${this.#characters + text.length} characters)`);
    this.#take(items);
    return undefined;
  }

  #keep(...pending: Uint8Array[]): void {
    this.#pending = pending;
    this.#bytes = pending.reduce((sum, { length }) => sum + length, 0);
  }
}

function itemsIn(text: string): unknown[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
