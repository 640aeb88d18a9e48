/**
 * Group commit: one storage write in flight, everything else joined behind it.
 *
 * @module
 */
import type { GroupWrite, Storage } from "../storage.ts";
import type { Tasks } from "./tasks.ts";

/** Whose write it is; told in the order in which it added. */
export interface WriteOwner {
  /** The write added with this number, and all before it, are durable. */
  written(number: number): void;
}

/** What goes to storage in one call. */
interface Batch {
  readonly writes: GroupWrite[];
  /** Parallel to `numbers`; who waits for what. */
  readonly owners: WriteOwner[];
  readonly numbers: number[];
  /** Whether any part must be flushed before it counts. */
  sync: boolean;
  /** Told once the batch is durable, or has failed. */
  readonly barriers: (() => void)[];
}

/** Where writes go and who hears when that fails. */
export interface WritePipelineOptions {
  readonly storage: Storage;
  readonly tasks: Tasks;
  readonly now: () => number;
  /** The storage failed, for good (H44): called once. */
  readonly onFailure: (error: unknown) => void;
}

/** Joins the writes of all groups of a host. */
export class WritePipeline {
  readonly #options: WritePipelineOptions;
  /** What the next call to storage will carry. */
  #pending: Batch = emptyBatch();
  /** What storage is writing. */
  #inFlight: Batch | null = null;
  /** When that was handed over; meaningful while something is in flight. */
  #startedAt = 0;
  /** Set by the first failure and never cleared: nothing is retried (H44). */
  #failed = false;
  #writeCount = 0;

  constructor(options: WritePipelineOptions) {
    this.#options = options;
  }

  /** How many batches were handed to storage. */
  get writeCount(): number {
    return this.#writeCount;
  }

  /** How long the write in flight has been under way; 0 without one. */
  stalledMs(now: number): number {
    return this.#inFlight === null ? 0 : now - this.#startedAt;
  }

  /**
   * Joins a write to the next batch. `number` is handed back to `owner` once
   * it is durable.
   */
  add(
    owner: WriteOwner,
    number: number,
    write: GroupWrite,
    options: { readonly sync: boolean },
  ): void {
    if (this.#failed) return;
    const batch = this.#pending;
    batch.writes.push(write);
    batch.owners.push(owner);
    batch.numbers.push(number);
    if (options.sync) batch.sync = true;
  }

  /** Hands the joined writes to storage, unless a write is in flight. */
  flush(): void {
    if (this.#inFlight !== null || this.#failed) return;
    if (this.#pending.writes.length === 0) return;
    const batch = this.#pending;
    this.#pending = emptyBatch();
    this.#inFlight = batch;
    this.#startedAt = this.#options.now();
    this.#writeCount++;
    this.#options.tasks.start(
      this.#write(batch),
      (error) => this.#fail(error),
    );
  }

  /** Resolves once everything added so far is durable, or has failed. */
  barrier(): Promise<void> {
    const last = this.#pending.writes.length > 0
      ? this.#pending
      : this.#inFlight;
    if (last === null || this.#failed) return Promise.resolve();
    return new Promise((resolve) => last.barriers.push(resolve));
  }

  async #write(batch: Batch): Promise<void> {
    await this.#options.storage.write(batch.writes, { sync: batch.sync });
    this.#inFlight = null;
    for (const [position, owner] of batch.owners.entries()) {
      owner.written(batch.numbers[position] ?? 0);
    }
    for (const pass of batch.barriers) pass();
    this.flush();
  }

  #fail(error: unknown): void {
    const lost = [this.#inFlight, this.#pending];
    this.#failed = true;
    this.#inFlight = null;
    this.#pending = emptyBatch();
    this.#options.onFailure(error);
    for (const batch of lost) batch?.barriers.forEach((pass) => pass());
  }
}

function emptyBatch(): Batch {
  return { writes: [], owners: [], numbers: [], sync: false, barriers: [] };
}
