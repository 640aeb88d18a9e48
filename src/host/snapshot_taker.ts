/**
 * Taking snapshots of the own machine (thesis §5.1): captured between two
 * applies, stored while applies go on.
 *
 * @module
 */
import { type Entry, entryBytes } from "../core/types.ts";
import type { GroupId, LogIndex, SnapshotMeta } from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { isRaftError, RaftError } from "../errors.ts";
import type { SnapshotSource } from "../state_machine.ts";
import type { Storage } from "../storage.ts";
import type { Clock } from "./clock.ts";
import { paced } from "./paced.ts";
import type { Tasks } from "./tasks.ts";

/** Election timeouts to wait after the first failure; doubled with each. */
const FIRST_DELAY = 4;
const MAX_DELAY = 256;

/** A state of the machine, and which one it is. */
export interface Capture {
  readonly meta: SnapshotMeta;
  readonly source: SnapshotSource;
}

/** What taking needs, and whom it tells. */
export interface SnapshotTakerOptions {
  readonly group: GroupId;
  readonly storage: Pick<Storage, "snapshotWriter">;
  readonly clock: Clock;
  readonly tasks: Tasks;
  /** Entries applied since the last snapshot that ask for the next one. */
  readonly maxEntries: number;
  /** Their bytes that do. */
  readonly maxBytes: number;
  /** Where the last snapshot is; 0 for none. */
  readonly index: LogIndex;
  /** The state as of the last apply; `null` while there is none to take. */
  readonly capture: () => Capture | null;
  readonly electionMs: number;
  /** A snapshot is durable; called within a turn. */
  readonly onTaken: (meta: SnapshotMeta) => void;
  /** One could not be stored, and is tried again later; within a turn. */
  readonly onProblem: (meta: SnapshotMeta, error: RaftError) => void;
  /** Storage or machine failed for good. */
  readonly onFailure: (error: unknown) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** A call that waits for a snapshot at `from` or later. */
interface Waiting {
  readonly from: LogIndex;
  readonly deadline: number;
  readonly resolve: (index: LogIndex) => void;
  readonly reject: (error: unknown) => void;
}

/** A snapshot being stored. */
interface Run {
  readonly capture: Capture;
  readonly controller: AbortController;
  /** What the capture took off the counters. */
  readonly entries: number;
  readonly bytes: number;
  /** Resolves when the storage's writer is free again. */
  readonly ended: Promise<void>;
  readonly end: () => void;
}

/** Takes the snapshots of one member, one at a time. */
export class SnapshotTaker {
  readonly #options: SnapshotTakerOptions;
  /** The last snapshot known to be durable. */
  #index: LogIndex;
  /** Applied since the last capture. */
  #entries = 0;
  #bytes = 0;
  #run: Run | null = null;
  /** Whether the storage's writer is lent to a snapshot coming in. */
  #isHeld = false;
  /** Whether one is due though nothing was applied since the last. */
  #isRetaking = false;
  /** How often storing failed in a row, and when to try again. */
  #failures = 0;
  #retryAt = -Infinity;
  /** Why this storage stores no snapshots; asked once, then left alone. */
  #unsupported: RaftError | null = null;
  #waiting: Waiting[] = [];

  constructor(options: SnapshotTakerOptions) {
    this.#options = options;
    this.#index = options.index;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#waiting.length;
  }

  /** These entries were applied. */
  applied(entries: readonly Entry[]): void {
    this.#entries += entries.length;
    for (const entry of entries) this.#bytes += entryBytes(entry);
  }

  /**
   * Begins a snapshot if one is due. What is due stays due until a snapshot
   * covers it, whatever happens meanwhile (H72).
   */
  look(): void {
    if (this.#run !== null || this.#isHeld) return;
    if (this.#unsupported !== null || !this.#isDue) return;
    if (this.#options.clock.now() < this.#retryAt) return;
    const capture = this.#options.capture();
    if (capture === null) return;
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const run: Run = {
      capture,
      controller: new AbortController(),
      entries: this.#entries,
      bytes: this.#bytes,
      ended,
      end,
    };
    this.#run = run;
    this.#entries = 0;
    this.#bytes = 0;
    this.#options.tasks.start(
      this.#finish(run),
      (error) => this.#fail(run, error),
    );
  }

  /**
   * Waits for a durable snapshot at `from` or later, which is what is applied.
   */
  request(
    from: LogIndex,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<LogIndex> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (from <= this.#index) return Promise.resolve(this.#index);
    if (this.#unsupported !== null) return Promise.reject(this.#unsupported);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiting.reject(signal?.reason);
      const settle = () => {
        signal?.removeEventListener("abort", onAbort);
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
      };
      const waiting: Waiting = {
        from,
        deadline,
        resolve: (index) => {
          settle();
          resolve(index);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort);
      this.#waiting.push(waiting);
      // Somebody may have made room.
      this.#retryAt = -Infinity;
      this.#options.inTurn(() => this.look());
    });
  }

  /** The one that is stored is no good: another one takes its place. */
  retake(): void {
    this.#isRetaking = true;
    this.look();
  }

  /** Gives the storage's writer away; what is being stored is given up. */
  async hold(): Promise<void> {
    this.#isHeld = true;
    const run = this.#run;
    if (run === null) return;
    run.controller.abort(new Error("A newer snapshot comes in"));
    await run.ended;
  }

  /** The writer is free again. */
  resume(): void {
    this.#isHeld = false;
    this.#options.inTurn(() => this.look());
  }

  /** A snapshot that came in is durable and restored. */
  installed(index: LogIndex): void {
    this.#entries = 0;
    this.#bytes = 0;
    this.#isRetaking = false;
    this.#reached(index);
  }

  /** Rejects what has waited long enough. */
  tick(now: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.deadline > now) continue;
      waiting.reject(
        new RaftError(
          "timeout",
          "Cannot take a snapshot: it was not stored before the deadline",
        ),
      );
    }
  }

  /** Rejects everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    const error = new RaftError(code, message);
    this.#run?.controller.abort(error);
    this.#rejectAll(error);
  }

  get #isDue(): boolean {
    const { maxBytes, maxEntries } = this.#options;
    return this.#entries >= maxEntries || this.#bytes >= maxBytes ||
      this.#isRetaking ||
      this.#waiting.some(({ from }) => from > this.#index);
  }

  /** Stores, then reports, then frees the writer: in this order. */
  async #finish(run: Run): Promise<void> {
    try {
      await this.#store(run);
      this.#options.inTurn(() => this.#stored(run));
    } finally {
      run.end();
    }
  }

  async #store({ capture, controller }: Run): Promise<void> {
    const { clock, group, storage } = this.#options;
    const { meta, source } = capture;
    try {
      const writer = await storage.snapshotWriter(group, meta);
      try {
        const pace = { clock, signal: controller.signal, inBackground: true };
        for await (const chunk of paced(chunksOf(capture), pace)) {
          await writer.write(chunk);
        }
        await writer.commit();
      } finally {
        await writer.abort();
      }
    } finally {
      source.release?.();
    }
  }

  #stored({ capture }: Run): void {
    this.#run = null;
    this.#isRetaking = false;
    this.#failures = 0;
    this.#options.onTaken(capture.meta);
    this.#reached(capture.meta.index);
    this.look();
  }

  #fail(run: Run, error: unknown): void {
    this.#options.inTurn(() => {
      this.#run = null;
      this.#entries += run.entries;
      this.#bytes += run.bytes;
      if (run.controller.signal.aborted) this.look();
      else if (isRaftError(error, "unsupported")) {
        this.#unsupported = error;
        this.#rejectAll(error);
      } else if (isRaftError(error, "snapshotFailed")) {
        this.#putOff(run, error);
      } else this.#options.onFailure(error);
    });
  }

  /** What is due stays due; those who wait may ask again (H56). */
  #putOff({ capture }: Run, error: RaftError): void {
    const { clock, electionMs, onProblem } = this.#options;
    const delay = Math.min(FIRST_DELAY * 2 ** this.#failures, MAX_DELAY);
    this.#failures++;
    this.#retryAt = clock.now() + delay * electionMs;
    this.#rejectAll(error);
    onProblem(capture.meta, error);
  }

  #reached(index: LogIndex): void {
    this.#index = Math.max(this.#index, index);
    for (const waiting of this.#waiting) {
      if (waiting.from <= index) waiting.resolve(index);
    }
  }

  #rejectAll(error: RaftError): void {
    for (const { reject } of this.#waiting) reject(error);
  }
}

/** The captured state; what goes wrong with it is the machine's failure. */
async function* chunksOf(
  { meta, source }: Capture,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source.chunks();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RaftError(
      "machineFailed",
      `Cannot take a snapshot at ${meta.index}: ${reason}`,
      { cause },
    );
  }
}
