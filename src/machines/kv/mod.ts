/**
 * A replicated key-value store: put, delete, get, list in key order, and
 * compare-and-set by revision.
 *
 * @example Without a cluster, to see what it does
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { KvMachine } from "@balsa/raft/machines/kv";
 *
 * const machine = new KvMachine();
 * const value = new TextEncoder().encode("hello");
 * const results = machine.apply([
 *   { index: 1, term: 1, command: { type: "put", key: "a", value } },
 * ]);
 * assertEquals(results, [{ type: "put", revision: 1 }]);
 * ```
 *
 * @module
 */
export { KvMachine } from "./machine.ts";
export { isKvKey } from "./key_order.ts";
export {
  type KvAnswer,
  type KvCommand,
  type KvDelete,
  type KvExpectation,
  type KvGet,
  type KvGetAnswer,
  type KvItem,
  type KvList,
  type KvListAnswer,
  type KvPut,
  type KvQuery,
  type KvResult,
  MAX_KEY_BYTES,
  MAX_LIST_BYTES,
  MAX_LIST_LIMIT,
  MAX_VALUE_BYTES,
} from "./types.ts";
export type {
  Applied,
  Schema,
  SnapshotSource,
  StateMachine,
} from "../../state_machine.ts";
export type { Flavor, LogIndex, Term } from "../../core/types.ts";
