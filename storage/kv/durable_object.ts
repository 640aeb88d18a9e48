/**
 * The SQL storage of a Durable Object as the engine of a storage: a member
 * that lives at the edge.
 *
 * A commit is one `transactionSync`, and has resolved when `sync` says that it
 * is durable. The platform sees to it that there is one object of a name;
 * within the object a second opening is refused with `locked`. Loads nothing
 * of `node:` and compiles no code at run time, as Workers demand.
 *
 * ```ts ignore
 * import { KvStorage } from "@balsa/raft/storage/kv";
 * import { useDurableObjectKv } from "@balsa/raft/storage/kv/durable-object";
 *
 * export class Member extends DurableObject {
 *   readonly #storage = new KvStorage({
 *     open: () => useDurableObjectKv(this.ctx.storage),
 *   });
 * }
 * ```
 *
 * @module
 */
import { closedError, failed, fencedError, lockedError } from "./errors.ts";
import { isSameBytes } from "./bytes.ts";
import type {
  KvGuard,
  KvLimits,
  KvOperation,
  KvRange,
  KvRow,
  OrderedKv,
} from "./ordered_kv.ts";
import { toOwnBytes } from "./own_bytes.ts";
import { pageRows } from "./paging.ts";

/** As much of `DurableObjectState.storage` as is needed. */
export interface DurableObjectStorage {
  /** The object's database. */
  readonly sql: {
    /** Carries out a statement. */
    exec(
      query: string,
      ...bindings: (Uint8Array | number)[]
    ): { toArray(): unknown[] };
  };
  /** Carries out a function, all of its statements or none. */
  transactionSync<T>(action: () => T): T;
  /** Resolves once everything written is durable. */
  sync(): Promise<void>;
}

/** Options of {@linkcode useDurableObjectKv}. */
export interface DurableObjectKvOptions {
  /**
   * The table that the rows are in, made if it does not exist: letters, digits
   * and underscores.
   *
   * @default "balsa_rows"
   */
  readonly table?: string | undefined;
}

/** The platform allows 2 MB in a row. */
const LIMITS: KvLimits = {
  keyBytes: 1024,
  valueBytes: 1 << 20,
  batchBytes: 16 << 20,
  batchOps: 10_000,
};

/** Tables that are in use, by storage. */
const inUse = new WeakMap<DurableObjectStorage, Set<string>>();

/**
 * Uses the storage of a Durable Object.
 *
 * @throws {RaftError} `locked` if the object uses the table already.
 * @throws {RangeError} If the name of the table is none.
 */
// deno-lint-ignore require-await -- a rejection, never a throw
export async function useDurableObjectKv(
  storage: DurableObjectStorage,
  options: DurableObjectKvOptions = {},
): Promise<OrderedKv> {
  const table = options.table ?? "balsa_rows";
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(table)) {
    throw new RangeError(
      `Cannot use a Durable Object: its table is "${table}", wanted letters, digits and underscores`,
    );
  }
  const tables = inUse.get(storage) ?? new Set();
  if (tables.has(table)) {
    throw lockedError(table, "this object has it open already");
  }
  const engine = new DurableObjectKv(storage, table, () => {
    tables.delete(table);
  });
  inUse.set(storage, tables.add(table));
  return engine;
}

class DurableObjectKv implements OrderedKv {
  readonly name: string;
  readonly limits: KvLimits = LIMITS;
  readonly #storage: DurableObjectStorage;
  readonly #release: () => void;
  #isClosed = false;

  constructor(
    storage: DurableObjectStorage,
    table: string,
    release: () => void,
  ) {
    this.#storage = storage;
    this.name = table;
    this.#release = release;
    this.#query(
      `CREATE TABLE IF NOT EXISTS ${table} (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID`,
    );
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    return this.#read(key);
  }

  list(range: KvRange): AsyncIterable<KvRow> {
    const order = range.reverse === true ? "DESC" : "ASC";
    const query =
      `SELECT k, v FROM ${this.name} WHERE k >= ? AND k < ? ORDER BY k ${order} LIMIT ?`;
    return pageRows(range, ({ start, end, limit }) => {
      this.#requireOpen();
      return this.#query(query, start, end, limit).map((row): KvRow => [
        toOwnBytes(this.name, fieldOf(row, "k")),
        toOwnBytes(this.name, fieldOf(row, "v")),
      ]);
    });
  }

  async commit(
    operations: readonly KvOperation[],
    guard?: KvGuard,
  ): Promise<void> {
    this.#requireOpen();
    try {
      this.#storage.transactionSync(() => this.#apply(operations, guard));
      await this.#storage.sync();
    } catch (error) {
      throw failed(`write to "${this.name}"`, error);
    }
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#release();
  }

  #apply(operations: readonly KvOperation[], guard?: KvGuard): void {
    if (guard !== undefined) {
      const found = this.#read(guard.key);
      if (!isSameBytes(found, guard.value)) throw fencedError(this.name);
    }
    for (const operation of operations) {
      if (operation.type === "delete") {
        this.#query(`DELETE FROM ${this.name} WHERE k = ?`, operation.key);
      } else {
        this.#query(
          `INSERT INTO ${this.name} (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`,
          operation.key,
          operation.value,
        );
      }
    }
  }

  #read(key: Uint8Array): Uint8Array | undefined {
    const [row] = this.#query(`SELECT v FROM ${this.name} WHERE k = ?`, key);
    return row === undefined
      ? undefined
      : toOwnBytes(this.name, fieldOf(row, "v"));
  }

  #query(sql: string, ...bindings: (Uint8Array | number)[]): unknown[] {
    return this.#storage.sql.exec(sql, ...bindings).toArray();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw closedError(this.name);
  }
}

function fieldOf(row: unknown, name: string): unknown {
  return typeof row === "object" && row !== null
    ? Reflect.get(row, name)
    : undefined;
}
