/**
 * A deterministic simulator of whole clusters, for Balsa itself and for the
 * state machines of its users.
 *
 * One seed gives one run, bit for bit, on every runtime: time is virtual, and
 * network, disks, clocks, clients and faults draw from the seed. Checkers see
 * every member after every step; at the end, faults stop and the cluster has
 * to recover within a stated time.
 *
 * @module
 */
export {
  checkLinearizable,
  DEFAULT_STEP_LIMIT,
  type Linearizability,
  type SequentialModel,
  type TimedOperation,
} from "./linearizability.ts";
export {
  addMarks,
  type Mark,
  type MarkCounts,
  MARKS,
  noMarks,
} from "./marks.ts";
export { drawOptions } from "./draw_options.ts";
export type * from "./options.ts";
export type * from "./options_protocol.ts";
export type { SessionOptions } from "./options_sessions.ts";
export { overridden, type SimOverrides } from "./overrides.ts";
export { SimRandom } from "./prng.ts";
export { shrink, type ShrinkOptions, type Shrunk } from "./shrink.ts";
export {
  type SimFailure,
  type SimResult,
  simulate,
  type SimulateOptions,
} from "./simulate.ts";
export type {
  Consistency,
  HistoryEntry,
  Operation,
  Outcome,
  SimMachine,
  Subject,
} from "./subject.ts";
export type { MemberState, TraceLine } from "./simulation.ts";
export type { SnapshotOptions } from "./snapshots.ts";
export {
  recordTrace,
  type Replay,
  replayTrace,
  TRACE_VERSION,
  type TraceDifference,
} from "./trace.ts";
export type { CheckName, FailureKind } from "./violation.ts";
export { Violation } from "./violation.ts";
export type { SimHooks } from "./world.ts";
export type * from "../core/mod.ts";
export type * from "../state_machine.ts";
