import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import type { World } from '../path/model/world.ts';
import { LazyMap } from '../util/lazy-map.ts';
import { parseReport } from './report.ts';

interface Packed {
  bytes: Uint8Array;
  read(text: string): Observed<NodeReport>;
}

/** Node reports, each compressed as long as nobody asks for it: parsed, one takes fifty times as much memory, and a cluster has thousands. */
export class PackedReports {
  readonly #kept = new Map<string, Packed | { unknown: string }>();

  get size(): number {
    return this.#kept.size;
  }

  add(node: string, report: Observed<NodeReport>): void {
    if ('unknown' in report) this.#kept.set(node, report);
    // It has been checked.
    else
      this.#pack(node, JSON.stringify(report.value), (text) => ({ value: JSON.parse(text) as NodeReport }));
  }

  /** Adds one that is checked when it is asked for, with the result of {@link parseReport}. */
  addText(node: string, text: string, what: string): void {
    this.#pack(node, text, (same) => parseReport(same, what));
  }

  /** Those that were added so far. */
  all(): World['reports'] {
    return new LazyMap(this.#kept.keys(), (node) => {
      const kept = this.#kept.get(node)!;
      return 'unknown' in kept ? kept : kept.read(zstdDecompressSync(kept.bytes).toString('utf8'));
    });
  }

  #pack(node: string, text: string, read: Packed['read']): void {
    this.#kept.set(node, { bytes: zstdCompressSync(text), read });
  }
}
