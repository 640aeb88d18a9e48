/**
 * The one promise of several commands.
 *
 * @module
 */
import { isRaftError, RaftError } from "../errors.ts";
import type { Committed } from "./options.ts";

/** Collects what becomes of commands that were appended together. */
export class ProposalBatch<R> {
  readonly #resolve: (committed: Committed<R>[]) => void;
  readonly #reject: (error: unknown) => void;
  readonly #committed: Committed<R>[] = [];
  readonly #errors: unknown[] = [];
  readonly #size: number;

  constructor(
    size: number,
    resolve: (committed: Committed<R>[]) => void,
    reject: (error: unknown) => void,
  ) {
    this.#size = size;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The next command, in their order, was applied. */
  applied(committed: Committed<R>): void {
    this.#committed.push(committed);
    this.#check();
  }

  /** What became of one is unknown, or it is in no log. */
  failed(error: unknown): void {
    this.#errors.push(error);
    this.#check();
  }

  #check(): void {
    const { length } = this.#committed;
    if (length + this.#errors.length < this.#size) return;
    if (length === this.#size) this.#resolve(this.#committed);
    else this.#reject(length === 0 ? this.#worst : this.#partial());
  }

  /** The error that promises least. */
  get #worst(): unknown {
    return this.#errors.find((error) =>
      !isRaftError(error) || error.outcome === "unknown"
    ) ?? this.#errors[0];
  }

  /**
   * They were appended together, but a new leader may have had the first of
   * them only.
   */
  #partial(): unknown {
    const cause = this.#worst;
    if (!isRaftError(cause)) return cause;
    return new RaftError(
      cause.code,
      `Cannot commit all ${this.#size} proposals: ${this.#committed.length} were applied; ${cause.message}`,
      { outcome: "unknown", leader: cause.leader, cause },
    );
  }
}
