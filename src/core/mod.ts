/**
 * The Raft protocol as a pure, synchronous state machine, for embedders who
 * own their event loop, their disk and their network.
 *
 * A {@linkcode RawNode} takes ticks, messages and proposals, and hands out a
 * {@linkcode Ready}: what to write, what to send before and after the write,
 * what to apply. It reads no clock and does no I/O; randomness is handed in.
 *
 * @example One turn of a lone voter
 * ```ts
 * import { EMPTY_CONF, INITIAL_HARD_STATE, RawNode } from "@balsa/raft/core";
 * import { assertEquals } from "@std/assert";
 *
 * const node = new RawNode({
 *   id: 1,
 *   random: () => 0.5,
 *   restored: {
 *     hardState: INITIAL_HARD_STATE,
 *     snapshot: { index: 0, term: 0, conf: { ...EMPTY_CONF, voters: [1] } },
 *     firstIndex: 1,
 *     lastIndex: 0,
 *     prevTerm: 0,
 *     termRuns: [],
 *     tail: [],
 *     appliedIndex: 0,
 *   },
 * });
 * node.campaign();
 * while (node.hasReady()) {
 *   const ready = node.ready();
 *   // Here: write ready.hardState and ready.entries, flush, send messages.
 *   node.persisted(ready.number);
 *   for (const entry of ready.committedEntries) node.applied(entry.index);
 * }
 * assertEquals(node.role, "leader");
 * assertEquals(node.appliedIndex, 1);
 * ```
 *
 * @module
 */
export { type CoreConfig, DEFAULT_CONFIG } from "./config.ts";
export { applyChange, isJoint } from "./conf_change.ts";
export type { Removal } from "./departure.ts";
export { InvariantError } from "./invariant.ts";
export type * from "./message.ts";
export type { ProgressState } from "./progress.ts";
export {
  type ProposeAnswer,
  type ProposeOutcome,
  RawNode,
  type RawNodeOptions,
} from "./raw_node.ts";
export type { RaftOptions } from "./raft.ts";
export type { Load, ReadState, Ready, RestoredState } from "./ready.ts";
export type { CoreStatus, ProgressStatus } from "./status.ts";
export type { StepResult } from "./step.ts";
export * from "./types.ts";
export { MAX_MEMBERS, validateChange } from "./validate_change.ts";
