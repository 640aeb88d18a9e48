/**
 * What opening a log finds out about index files, and what it learns in the
 * place of those that are missing.
 *
 * @module
 */
import type { StorageRepair } from "../../src/storage.ts";
import type { ScanTarget, SegmentScan } from "./scan.ts";
import type { PendingIndex } from "./segment_indexer.ts";

/** More than one are kept up to this; the next opening makes the others. */
const MAX_PENDING_BYTES = 32 << 20;

/** See the module. */
export class IndexCollection {
  readonly #pending: PendingIndex[] = [];
  readonly #repairs: StorageRepair[] = [];
  /** Of the pending ones. */
  #bytes = 0;

  /** Index files to be written, and the one of the segment that goes on. */
  get pending(): readonly PendingIndex[] {
    return this.#pending;
  }

  /** The files that were damaged. */
  get repairs(): readonly StorageRepair[] {
    return this.#repairs;
  }

  /** An index file is of no use. */
  noteDamage(file: string, bytes: number): void {
    this.#repairs.push({ type: "damagedIndex", file, offset: 0, bytes });
  }

  /** A segment was gone through. */
  add(target: ScanTarget, scan: SegmentScan): void {
    const { sequence, seed } = target;
    const { base, end, chain: after, index: builder } = scan;
    if (builder === undefined) return;
    if (!scan.isSealed) {
      this.#pending.push({ sequence, builder });
      return;
    }
    const isFirst = this.#bytes === 0;
    if (!isFirst && this.#bytes + builder.length > MAX_PENDING_BYTES) return;
    this.#bytes += builder.length;
    const segment = { seed, base, end, after };
    this.#pending.push({ sequence, builder, segment });
  }
}
