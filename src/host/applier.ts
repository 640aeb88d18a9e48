/**
 * Feeds committed entries to the machine: in order, in slices small enough
 * that one group's applies do not starve the others (H110).
 *
 * @module
 */
import type { Entry } from "../core/types.ts";
import type { ApplyOutcome } from "../rsm/machine_runner.ts";
import type { Clock } from "./clock.ts";
import type { Tasks } from "./tasks.ts";

/** A slice that takes longer is halved, one that takes far less doubled. */
const SLICE_BUDGET_MS = 2;
const MAX_SLICE_COUNT = 1_024;
const FIRST_SLICE_COUNT = 64;

/** The part of the machine's runner that applies. */
export interface Runner<R> {
  /** One outcome per entry, in order. */
  apply(
    entries: readonly Entry[],
  ): ApplyOutcome<R>[] | Promise<ApplyOutcome<R>[]>;
}

/** Where results and failures go. */
export interface ApplierOptions<R> {
  readonly runner: Runner<R>;
  readonly clock: Clock;
  readonly tasks: Tasks;
  /** These entries were applied; called within a turn. */
  readonly onApplied: (
    entries: readonly Entry[],
    outcomes: readonly ApplyOutcome<R>[],
  ) => void;
  /** The machine failed; its state is unknown, the member must stop (H125). */
  readonly onFailure: (error: unknown) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** The queue between commit and machine. */
export class Applier<R> {
  readonly #options: ApplierOptions<R>;
  /** Batches as the core handed them out, without the empty ones. */
  #batches: (readonly Entry[])[] = [];
  /** Entries of the first batch that were taken already. */
  #taken = 0;
  /** The asynchronous apply under way; while there is one, no other starts. */
  #running: Promise<void> | null = null;
  /** Whether the state is about to be replaced. */
  #isHeld = false;
  #sliceCount = FIRST_SLICE_COUNT;

  constructor(options: ApplierOptions<R>) {
    this.#options = options;
  }

  /** Whether {@linkcode step} would apply something. */
  get hasWork(): boolean {
    return this.#running === null && !this.#isHeld && this.#batches.length > 0;
  }

  /** Whether an asynchronous apply is under way. */
  get isBusy(): boolean {
    return this.#running !== null;
  }

  /**
   * Drops what is queued, since a snapshot takes its place, and applies
   * nothing before {@linkcode release}. Resolves when the machine rests.
   */
  hold(): Promise<void> {
    this.#isHeld = true;
    this.#batches = [];
    this.#taken = 0;
    return this.#running ?? Promise.resolve();
  }

  /** The state was replaced: what was queued since is applied to it. */
  release(): void {
    this.#isHeld = false;
  }

  /** Queues committed entries, contiguous to those before. */
  push(entries: readonly Entry[]): void {
    if (entries.length > 0) this.#batches.push(entries);
  }

  /** Applies one slice, or starts to. */
  step(): void {
    if (!this.hasWork) return;
    const entries = this.#takeSlice();
    // A reading of the clock costs about as much as applying one entry.
    const measured = entries.length >= Math.min(this.#sliceCount, 16);
    const startedAt = measured ? this.#options.clock.now() : 0;
    const outcomes = this.#options.runner.apply(entries);
    if (!(outcomes instanceof Promise)) {
      if (measured) this.#adapt(this.#options.clock.now() - startedAt);
      this.#options.onApplied(entries, outcomes);
      return;
    }
    const { inTurn, onFailure, tasks } = this.#options;
    const work = this.#finish(entries, outcomes);
    this.#running = work.catch(() => {});
    tasks.start(work, (error) => inTurn(() => onFailure(error)));
  }

  async #finish(
    entries: readonly Entry[],
    pending: Promise<readonly ApplyOutcome<R>[]>,
  ): Promise<void> {
    const outcomes = await pending;
    this.#options.inTurn(() => {
      this.#running = null;
      this.#options.onApplied(entries, outcomes);
    });
  }

  #takeSlice(): readonly Entry[] {
    const first = this.#batches[0] ?? [];
    const from = this.#taken;
    const through = Math.min(first.length, from + this.#sliceCount);
    if (through === first.length) {
      this.#batches.shift();
      this.#taken = 0;
    } else {
      this.#taken = through;
    }
    const whole = from === 0 && through === first.length;
    return whole ? first : first.slice(from, through);
  }

  #adapt(elapsedMs: number): void {
    if (elapsedMs > SLICE_BUDGET_MS) {
      this.#sliceCount = Math.max(1, this.#sliceCount >> 1);
    } else if (elapsedMs < SLICE_BUDGET_MS / 4) {
      this.#sliceCount = Math.min(MAX_SLICE_COUNT, this.#sliceCount * 2);
    }
  }
}
