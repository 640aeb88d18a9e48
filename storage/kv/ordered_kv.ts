/**
 * What a key-value engine must offer so that a storage can be built on it.
 *
 * To be correct, an engine keeps to this list:
 *
 * 1. `commit` is atomic: after any crash all of its operations are there, or
 *    none. When it resolves they are on stable storage. Of two operations on
 *    one key the later one counts.
 * 2. Commits take effect in the order in which they were called; a later one
 *    is never durable without an earlier one.
 * 3. A commit with a guard takes effect only if the guard's key holds the
 *    guard's value at that instant; else it changes nothing and rejects with
 *    `locked`.
 * 4. `get` and `list` see every commit that resolved.
 * 5. Keys are ordered by their unsigned bytes, a prefix before what it begins.
 * 6. `list` yields whole rows, in order. Rows that are changed while it runs
 *    may be seen old or new.
 * 7. What the engine is handed stays as it is until the call settles, and is
 *    not kept longer; what it hands out is the caller's.
 * 8. After `close` every call rejects, and the data is free for others.
 *
 * @module
 */

/** Sets a row, whether it exists or not. */
export interface KvSet {
  /** The kind of operation. */
  readonly type: "set";
  /** Which row. */
  readonly key: Uint8Array;
  /** What it holds from now on. */
  readonly value: Uint8Array;
}

/** Removes a row, whether it exists or not. */
export interface KvDelete {
  /** The kind of operation. */
  readonly type: "delete";
  /** Which row. */
  readonly key: Uint8Array;
}

/** One change of one row. */
export type KvOperation = KvSet | KvDelete;

/** What must hold for a commit to take effect. */
export interface KvGuard {
  /** Which row is looked at. */
  readonly key: Uint8Array;
  /** What it must hold; `undefined` if it must not exist. */
  readonly value: Uint8Array | undefined;
}

/** Which rows to list. */
export interface KvRange {
  /** Inclusive. */
  readonly start: Uint8Array;
  /** Exclusive. */
  readonly end: Uint8Array;
  /** At most this many rows; all if absent. */
  readonly limit?: number | undefined;
  /** Begins with the last row; the first if absent. */
  readonly reverse?: boolean | undefined;
}

/** A row. */
export type KvRow = readonly [key: Uint8Array, value: Uint8Array];

/** What an engine takes at once. */
export interface KvLimits {
  /** Bytes of a key; at least 32. */
  readonly keyBytes: number;
  /**
   * Bytes of a value; at least 256. The same for as long as there is data:
   * runs, metas and configurations are cut by it.
   */
  readonly valueBytes: number;
  /** Bytes of all keys and values of a commit; at least four values. */
  readonly batchBytes: number;
  /** Operations of a commit; at least 8. */
  readonly batchOps: number;
}

/**
 * An open engine. Whoever has it is the only one, as far as the engine can
 * tell: opening it takes its lock, if it has one. See the module for the rules.
 */
export interface OrderedKv {
  /** Names the data in errors: a path, if there is one. */
  readonly name: string;
  /** What a commit may hold. */
  readonly limits: KvLimits;
  /** The value of a row, `undefined` without the row. */
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** The rows of a range. */
  list(range: KvRange): AsyncIterable<KvRow>;
  /** Changes rows, all or none; resolves once that is durable. */
  commit(operations: readonly KvOperation[], guard?: KvGuard): Promise<void>;
  /** Gives the data free. Idempotent. */
  close(): Promise<void>;
}
