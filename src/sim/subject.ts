/**
 * What a simulation runs: a state machine, how its commands become bytes, and
 * what clients ask of it.
 *
 * @module
 */
import type { EntryId, LogIndex, NodeId } from "../core/types.ts";
import type { StateMachine } from "../state_machine.ts";
import type { SimRandom } from "./prng.ts";

/** Something a client asks for. */
export type Operation<Command, Query> =
  | { readonly type: "command"; readonly command: Command }
  | { readonly type: "query"; readonly query: Query };

/**
 * What a query may miss: nothing that had returned before it began; nothing,
 * as far as the clocks of the members allow; or anything.
 */
export type Consistency = "linearizable" | "lease" | "stale";

/** How an operation ended, as its client knows it (H104). */
export type Outcome = "ok" | "notAppended" | "unknown";

/** One operation of the history that clients saw. */
export interface HistoryEntry<Command, Result, Query, Answer> {
  /** What was asked for. */
  readonly operation: Operation<Command, Query>;
  /** What a query asked for; commands are always linearizable. */
  readonly consistency: Consistency;
  /** The member that was asked. */
  readonly node: NodeId;
  /** Order of the invocation among all invocations and returns. */
  readonly invokedAt: number;
  /** Order of the return; `Infinity` while the outcome is unknown. */
  readonly returnedAt: number;
  /** How it ended. */
  readonly outcome: Outcome;
  /** The result of a command that is `ok`. */
  readonly result?: Result | undefined;
  /** The answer to a query that is `ok`. */
  readonly answer?: Answer | undefined;
  /** Where the command is in the log, if that is known. */
  readonly entry?: EntryId | undefined;
  /** What was applied when the query was answered. */
  readonly readAt?: LogIndex | undefined;
}

/**
 * A state machine that may also be copied and put back at once. Without both
 * methods a run takes no snapshots.
 */
export interface SimMachine<Command, Result, Query, Answer>
  extends StateMachine<Command, Result, Query, Answer> {
  /** The whole state as of the last `apply`, as bytes. */
  capture?(): Uint8Array;
  /** Becomes what was captured, whatever it held before (H67). */
  install?(state: Uint8Array): void;
}

/**
 * A state machine under test. `apply` and `query` must return at once: the
 * simulator has no event loop to wait in. Results are plain data: in runs with
 * sessions, CBOR gives them back to who repeats a command.
 */
export interface Subject<Command, Result, Query, Answer> {
  /** Makes an empty machine; called for every life of every member. */
  create(): SimMachine<Command, Result, Query, Answer>;
  /** The bytes of a command. */
  encode(command: Command): Uint8Array;
  /** The command in these bytes. */
  decode(bytes: Uint8Array): Command;
  /**
   * Draws what a client does next. `serial` is different in every call of a
   * run; `seen` are the latest results and answers of that client.
   */
  next(
    random: SimRandom,
    serial: number,
    seen: readonly (Result | Answer)[],
  ): Operation<Command, Query>;
  /**
   * Checks the whole history of a group at the end of a run, once for each
   * group; throws if it is wrong. The order of reads and writes against the log is checked in any case.
   */
  checkHistory?(
    history: readonly HistoryEntry<Command, Result, Query, Answer>[],
  ): void;
  /**
   * Whether every command may be applied twice without harm: only then may
   * the network repeat forwarded proposals (H102). Default `false`.
   */
  readonly idempotent?: boolean | undefined;
}
