/**
 * A key-value engine in memory, for tests: of storages, and of what a storage
 * does when its engine fails.
 *
 * @module
 */
import { copyBytes } from "../../src/codec.ts";
import { compareBytes, isSameBytes } from "./bytes.ts";
import { closedError, fencedError, lockedError } from "./errors.ts";
import type {
  KvGuard,
  KvLimits,
  KvOperation,
  KvRange,
  KvRow,
  OrderedKv,
} from "./ordered_kv.ts";

/** Options of {@linkcode MemoryKv}. */
export interface MemoryKvOptions {
  /**
   * What a commit may hold.
   *
   * @default values of 64 KiB, 1000 operations or 800 KB in a commit
   */
  readonly limits?: Partial<KvLimits> | undefined;
  /**
   * Called before every commit with its number, 1, 2, 3 …, and what is to be
   * done. The commit waits for the promise it returns, and fails, with
   * nothing changed, if that rejects or the function throws.
   */
  readonly onCommit?:
    | ((
      commit: number,
      operations: readonly KvOperation[],
    ) => void | Promise<void>)
    | undefined;
}

const DEFAULT_LIMITS: KvLimits = {
  keyBytes: 2048,
  valueBytes: 65_536,
  batchBytes: 800_000,
  batchOps: 1000,
};

/** Data in memory that engines open, one at a time. */
export class MemoryKv {
  readonly #options: MemoryKvOptions;
  /** In the order of their keys; never changed, only replaced. */
  #rows: KvRow[] = [];
  /** Who has it open. */
  #owner: OpenMemoryKv | undefined;
  #commits = 0;

  /** Data of its own, empty. */
  constructor(options: MemoryKvOptions = {}) {
    this.#options = options;
  }

  /** What a commit may hold. */
  get limits(): KvLimits {
    return { ...DEFAULT_LIMITS, ...this.#options.limits };
  }

  /** Commits that took effect, or failed. */
  get commits(): number {
    return this.#commits;
  }

  /** Opens the data. @throws {RaftError} `locked` if it is open. */
  // deno-lint-ignore require-await -- a rejection, never a throw
  async open(): Promise<OrderedKv> {
    if (this.#owner !== undefined) {
      throw lockedError("memory", "it is open already");
    }
    const rows: RowStore = {
      limits: this.limits,
      all: () => this.#rows,
      commit: (operations, requireOpen) =>
        this.#commit(operations, requireOpen),
      close: () => this.crash(),
    };
    this.#owner = new OpenMemoryKv(rows);
    return this.#owner;
  }

  /** Takes the data from whoever has it open, as a crash does. */
  crash(): void {
    this.#owner?.expire();
    this.#owner = undefined;
  }

  /** Data of its own that holds the same. */
  copy(options: MemoryKvOptions = this.#options): MemoryKv {
    const copy = new MemoryKv(options);
    copy.#rows = [...this.#rows];
    return copy;
  }

  /** Copies of all rows, in order. */
  rows(): KvRow[] {
    return this.#rows.map(([key, value]) => [copyBytes(key), copyBytes(value)]);
  }

  /** Changes rows behind everybody's back, as damage does. */
  put(key: Uint8Array, value: Uint8Array | undefined): void {
    const own = copyBytes(key);
    this.#rows = apply(this.#rows, [
      value === undefined
        ? { type: "delete", key: own }
        : { type: "set", key: own, value: copyBytes(value) },
    ]);
  }

  async #commit(
    operations: readonly KvOperation[],
    requireOpen: () => void,
  ): Promise<void> {
    this.#commits++;
    await this.#options.onCommit?.(this.#commits, operations);
    requireOpen();
    this.#rows = apply(this.#rows, operations);
  }
}

/** What an open engine works on. */
interface RowStore {
  readonly limits: KvLimits;
  readonly all: () => readonly KvRow[];
  readonly commit: (
    operations: readonly KvOperation[],
    requireOpen: () => void,
  ) => Promise<void>;
  readonly close: () => void;
}

class OpenMemoryKv implements OrderedKv {
  readonly name = "memory";
  readonly #store: RowStore;
  #isOver = false;
  /** Settles when no earlier commit is at work. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: RowStore) {
    this.#store = store;
  }

  get limits(): KvLimits {
    return this.#store.limits;
  }

  /** From now on every call rejects. */
  expire(): void {
    this.#isOver = true;
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    const value = find(this.#store.all(), key);
    return value && copyBytes(value);
  }

  async *list(range: KvRange): AsyncGenerator<KvRow> {
    this.#requireOpen();
    const rows = this.#store.all();
    const from = lowerBound(rows, range.start);
    const to = Math.max(from, lowerBound(rows, range.end));
    const count = Math.min(to - from, range.limit ?? Infinity);
    for (let i = 0; i < count; i++) {
      await Promise.resolve();
      this.#requireOpen();
      const row = rows[range.reverse === true ? to - 1 - i : from + i];
      if (row !== undefined) yield [copyBytes(row[0]), copyBytes(row[1])];
    }
  }

  commit(operations: readonly KvOperation[], guard?: KvGuard): Promise<void> {
    const own = operations.map(copyOperation);
    const done = this.#queue.then(() => this.#commit(own, guard));
    this.#queue = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    await this.#queue;
    this.#store.close();
  }

  async #commit(
    operations: readonly KvOperation[],
    guard: KvGuard | undefined,
  ): Promise<void> {
    this.#requireOpen();
    requireFit(operations, this.limits);
    if (guard !== undefined) {
      const found = find(this.#store.all(), guard.key);
      if (!isSameBytes(found, guard.value)) throw fencedError(this.name);
    }
    await this.#store.commit(operations, () => this.#requireOpen());
  }

  #requireOpen(): void {
    if (this.#isOver) throw closedError(this.name);
  }
}

/** Rows with operations applied in order. */
function apply(
  rows: readonly KvRow[],
  operations: readonly KvOperation[],
): KvRow[] {
  const result = [...rows];
  for (const operation of operations) {
    const at = lowerBound(result, operation.key);
    const row = result[at];
    const isThere = row !== undefined && isSameBytes(row[0], operation.key);
    const added: KvRow[] = operation.type === "set"
      ? [[operation.key, operation.value]]
      : [];
    result.splice(at, isThere ? 1 : 0, ...added);
  }
  return result;
}

function find(
  rows: readonly KvRow[],
  key: Uint8Array,
): Uint8Array | undefined {
  const row = rows[lowerBound(rows, key)];
  return row !== undefined && isSameBytes(row[0], key) ? row[1] : undefined;
}

/** Where the first row lies whose key is not below `key`. */
function lowerBound(rows: readonly KvRow[], key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const row = rows[middle];
    if (row !== undefined && compareBytes(row[0], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function copyOperation(operation: KvOperation): KvOperation {
  const key = copyBytes(operation.key);
  return operation.type === "set"
    ? { type: "set", key, value: copyBytes(operation.value) }
    : { type: "delete", key };
}

/** An engine refuses what it does not take; a test has to notice. */
function requireFit(
  operations: readonly KvOperation[],
  limits: KvLimits,
): void {
  let bytes = 0;
  for (const operation of operations) {
    const value = operation.type === "set" ? operation.value.length : 0;
    bytes += operation.key.length + value;
    if (operation.key.length > limits.keyBytes || value > limits.valueBytes) {
      throw new RangeError(
        `Cannot commit: a row has ${operation.key.length} and ${value} bytes, wanted at most ${limits.keyBytes} and ${limits.valueBytes}`,
      );
    }
  }
  if (operations.length <= limits.batchOps && bytes <= limits.batchBytes) {
    return;
  }
  throw new RangeError(
    `Cannot commit: ${operations.length} operations of ${bytes} bytes, wanted at most ${limits.batchOps} of ${limits.batchBytes}`,
  );
}
