/**
 * The state machine contract: what users replicate.
 *
 * To be correct, a machine keeps to this list:
 *
 * 1. It is deterministic: equal commands in equal order give equal states and
 *    results on every member. No clock, no randomness, no locale, no outside
 *    reads (H127).
 * 2. Domain errors are results. A thrown error stops this member.
 * 3. `apply` is never called while an earlier `apply` or a `restore` is
 *    pending; `query` may be called while neither is.
 * 4. `snapshot` captures the state as of the last `apply` before it returns;
 *    the chunks are read later, while applies go on (H68).
 * 5. `restore` replaces the state; nothing of the old one survives (H67).
 * 6. Commands and results are plain data: CBOR gives back what it was given.
 *    Commands go through the log, results of sessions through their table.
 *
 * What `apply` is given is the machine's own, byte fields too: it may keep it
 * and share it with nobody. Chunks belong to whoever made them: `restore`
 * copies what it keeps (H121). `machineCases` of `@balsa/raft/testing` tests
 * all this.
 *
 * @module
 */
import type { LogIndex, Term } from "./core/types.ts";

/** Checks an unknown value; every zod schema is one. */
export interface Schema<T> {
  /** Returns the value as `T`, or throws. */
  parse(input: unknown): T;
}

/** A committed command, at its place in the log. */
export interface Applied<Command> {
  /** Its place in the log; ascending, not always without gaps. */
  readonly index: LogIndex;
  /** Term of the leader that took it. */
  readonly term: Term;
  /** What `StateMachine.command` let through. */
  readonly command: Command;
}

/** A captured state that can be streamed. */
export interface SnapshotSource {
  /** The state in chunks of at most a few hundred kilobytes. */
  chunks(): AsyncIterable<Uint8Array>;
  /** Called once, when the chunks are no longer needed. */
  release?(): void;
}

/** State that is replicated by applying commands in log order. */
export interface StateMachine<Command, Result, Query, Answer> {
  /** Checks a command before it enters the log, never after. */
  readonly command: Schema<Command>;
  /** Applies committed commands in order; one result each. */
  apply(entries: readonly Applied<Command>[]): Result[] | Promise<Result[]>;
  /** Answers from the current state, changing nothing. */
  query(query: Query): Answer | Promise<Answer>;
  /** Captures the state. */
  snapshot(): SnapshotSource;
  /** Replaces the state by a captured one. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** What a machine with a disk of its own already holds. */
  readonly appliedIndex?: LogIndex | undefined;
  /** A digest of the state, by which replicas detect that they diverged. */
  checksum?(): number;
}
