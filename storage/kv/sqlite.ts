/**
 * SQLite as the engine of a storage: `node:sqlite` on Deno and Node from 22.13
 * on, `bun:sqlite` on Bun, or a driver that you hand in.
 *
 * The database is in WAL mode with `synchronous=FULL`: a commit has survived
 * a power loss when it resolves. It is locked exclusively as long as it is
 * open, and the lock ends with the process. The drivers are synchronous: a
 * commit blocks the event loop while the disk works, which a log in files
 * (`@balsa/raft/storage/wal`) does not.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { mkdtempSync, rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { KvStorage } from "@balsa/raft/storage/kv";
 * import { openSqliteKv } from "@balsa/raft/storage/kv/sqlite";
 *
 * const directory = mkdtempSync(join(tmpdir(), "balsa-"));
 * const path = join(directory, "raft.db");
 * const storage = new KvStorage({ open: () => openSqliteKv({ path }) });
 * const { groups } = await storage.open({ deployment: "orders" });
 * assertEquals(groups, []);
 * await storage.close();
 * rmSync(directory, { recursive: true });
 * ```
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
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

/** What a statement can be given. */
export type SqliteValue = Uint8Array | number;

/** As much of a prepared statement as is needed; all drivers have it. */
export interface SqliteStatement {
  /** Carries it out. */
  run(...values: SqliteValue[]): unknown;
  /** The first row as an object, `undefined` or `null` without one. */
  get(...values: SqliteValue[]): unknown;
  /** All rows as objects. */
  all(...values: SqliteValue[]): unknown[];
  /** Frees it, for drivers that close no database before. */
  finalize?(): unknown;
}

/** As much of an open database as is needed; all drivers have it. */
export interface SqliteDatabase {
  /** Carries out statements that return nothing. */
  exec(sql: string): unknown;
  /** Compiles a statement. */
  prepare(sql: string): SqliteStatement;
  /** Closes it, releases its locks. */
  close(): unknown;
}

/** Options of {@linkcode openSqliteKv}. */
export interface SqliteKvOptions {
  /** Path of the database file, for nothing else; made if it does not exist. */
  readonly path: string;
  /**
   * Opens a database, for a driver of your own; `better-sqlite3` fits as it
   * is: `(path) => new Database(path)`.
   *
   * @default that of {@linkcode runtimeDriver}
   */
  readonly driver?: ((path: string) => SqliteDatabase) | undefined;
}

/** SQLite itself takes values of up to 1 GB; entries are far smaller. */
const LIMITS: KvLimits = {
  keyBytes: 1024,
  valueBytes: 64 << 20,
  batchBytes: 256 << 20,
  batchOps: 100_000,
};

const SET_UP = [
  "PRAGMA busy_timeout = 0",
  // Rows of 1 KiB fit into a page of this size without an overflow page.
  "PRAGMA page_size = 8192",
  "PRAGMA locking_mode = EXCLUSIVE",
] as const;

const HARDEN = [
  "PRAGMA synchronous = FULL",
  // Where fsync alone promises nothing (H129); no effect elsewhere.
  "PRAGMA fullfsync = ON",
  "PRAGMA checkpoint_fullfsync = ON",
  "PRAGMA journal_size_limit = 67108864",
] as const;

/**
 * Opens a database file and takes its lock.
 *
 * @throws {RaftError} `unsupported` if the runtime has no SQLite, `locked` if
 * somebody has the file open, `corrupt`, or `storageFailed`.
 */
// deno-lint-ignore require-await -- a rejection, never a throw
export async function openSqliteKv(
  options: SqliteKvOptions,
): Promise<OrderedKv> {
  const { path } = options;
  const driver = options.driver ?? runtimeDriver();
  const database = guarded(path, () => driver(path));
  try {
    return guarded(path, () => {
      setUp(database, path);
      return new SqliteKv(database, path);
    });
  } catch (error) {
    database.close();
    throw error;
  }
}

function setUp(database: SqliteDatabase, path: string): void {
  for (const pragma of SET_UP) database.exec(pragma);
  // Before anything is written: the mode is a part of the file.
  database.exec("BEGIN IMMEDIATE");
  const isNew = isEmpty(database, path);
  database.exec("COMMIT");
  const mode = readOne(database, "PRAGMA journal_mode = WAL", "journal_mode");
  if (mode !== "wal") {
    throw new Error("Cannot use the database: it refuses the WAL mode");
  }
  for (const pragma of HARDEN) database.exec(pragma);
  // The first access takes the lock, which stays.
  database.exec("BEGIN IMMEDIATE");
  if (isNew) {
    database.exec(
      "CREATE TABLE IF NOT EXISTS balsa_rows (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
    );
  }
  database.exec("COMMIT");
}

/**
 * Whether there is nothing at all yet. A database with other tables is
 * somebody else's, or its own table has lost its name: nothing to begin anew.
 *
 * @throws {RaftError} `corrupt` if it has pages and not the table.
 */
function isEmpty(database: SqliteDatabase, path: string): boolean {
  const own = "SELECT name FROM sqlite_schema WHERE name = 'balsa_rows'";
  if (readOne(database, own, "name") !== undefined) return false;
  const pages = readOne(database, "PRAGMA page_count", "page_count");
  // Its first page is there from the beginning.
  if (typeof pages === "number" && pages <= 1) return true;
  throw damaged(path, "it has pages, but not the table of a storage");
}

/** A field of the first row that a statement returns. */
function readOne(
  database: SqliteDatabase,
  sql: string,
  field: string,
): unknown {
  const statement = database.prepare(sql);
  const row = statement.get();
  statement.finalize?.();
  return readField(row, field);
}

class SqliteKv implements OrderedKv {
  readonly name: string;
  readonly limits: KvLimits = LIMITS;
  readonly #database: SqliteDatabase;
  readonly #get: SqliteStatement;
  readonly #set: SqliteStatement;
  readonly #delete: SqliteStatement;
  readonly #forward: SqliteStatement;
  readonly #backward: SqliteStatement;
  #isClosed = false;

  constructor(database: SqliteDatabase, path: string) {
    this.name = path;
    this.#database = database;
    this.#get = database.prepare("SELECT v FROM balsa_rows WHERE k = ?");
    this.#set = database.prepare(
      "INSERT INTO balsa_rows (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    );
    this.#delete = database.prepare("DELETE FROM balsa_rows WHERE k = ?");
    const range = "SELECT k, v FROM balsa_rows WHERE k >= ? AND k < ?";
    this.#forward = database.prepare(`${range} ORDER BY k LIMIT ?`);
    this.#backward = database.prepare(`${range} ORDER BY k DESC LIMIT ?`);
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    return guarded(this.name, () => this.#read(key));
  }

  list(range: KvRange): AsyncIterable<KvRow> {
    const statement = range.reverse === true ? this.#backward : this.#forward;
    return pageRows(range, ({ start, end, limit }) => {
      this.#requireOpen();
      return guarded(
        this.name,
        () =>
          statement.all(start, end, limit).map((row): KvRow => [
            toOwnBytes(this.name, readField(row, "k")),
            toOwnBytes(this.name, readField(row, "v")),
          ]),
      );
    });
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async commit(
    operations: readonly KvOperation[],
    guard?: KvGuard,
  ): Promise<void> {
    this.#requireOpen();
    guarded(this.name, () => {
      this.#database.exec("BEGIN IMMEDIATE");
      try {
        this.#apply(operations, guard);
        this.#database.exec("COMMIT");
      } catch (error) {
        this.#rollBack();
        throw error;
      }
    });
  }

  // deno-lint-ignore require-await -- a rejection, never a throw
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    guarded(this.name, () => {
      for (const statement of this.#statements()) statement.finalize?.();
      this.#database.close();
    });
  }

  #statements(): readonly SqliteStatement[] {
    return [
      this.#get,
      this.#set,
      this.#delete,
      this.#forward,
      this.#backward,
    ];
  }

  #read(key: Uint8Array): Uint8Array | undefined {
    const row = this.#get.get(key);
    return row === undefined || row === null
      ? undefined
      : toOwnBytes(this.name, readField(row, "v"));
  }

  #apply(operations: readonly KvOperation[], guard?: KvGuard): void {
    if (guard !== undefined) {
      const found = this.#read(guard.key);
      if (!isSameBytes(found, guard.value)) throw fencedError(this.name);
    }
    for (const operation of operations) {
      if (operation.type === "delete") this.#delete.run(operation.key);
      else this.#set.run(operation.key, operation.value);
    }
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite rolls back by itself after most errors.
    }
  }

  #requireOpen(): void {
    if (this.#isClosed) throw closedError(this.name);
  }
}

/**
 * The runtime's own SQLite, for a driver of yours that does a little more.
 *
 * @throws {RaftError} `unsupported` if the runtime has none.
 */
export function runtimeDriver(): (path: string) => SqliteDatabase {
  for (const [module, name] of DRIVERS) {
    const found: unknown = readField(builtinModule(module), name);
    if (isDatabaseClass(found)) return (path) => new found(path);
  }
  throw new RaftError(
    "unsupported",
    "Cannot open a database: this runtime has no SQLite, use a newer one or hand in a driver",
  );
}

const DRIVERS = [
  ["bun:sqlite", "Database"],
  ["node:sqlite", "DatabaseSync"],
] as const;

/** A module of the runtime, if it has one of this name. */
function builtinModule(name: string): unknown {
  const process: unknown = Reflect.get(globalThis, "process");
  const load = readField(process, "getBuiltinModule");
  if (typeof load !== "function") return undefined;
  try {
    return Reflect.apply(load, process, [name]);
  } catch {
    // Some runtimes throw at names they do not know.
    return undefined;
  }
}

function isDatabaseClass(
  value: unknown,
): value is new (path: string) => SqliteDatabase {
  return typeof value === "function";
}

function readField(value: unknown, name: string): unknown {
  const isObject = typeof value === "object" || typeof value === "function";
  return isObject && value !== null ? Reflect.get(value, name) : undefined;
}

/** Tells the errors of all drivers apart in the same way. */
function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    switch (primaryCode(error)) {
      case "BUSY":
      case "LOCKED":
        throw lockedError(path, "someone else has it open");
      case "CORRUPT":
      case "NOTADB":
        throw damaged(path, "SQLite finds it damaged", error);
      default:
        throw failed(`use "${path}"`, error);
    }
  }
}

function damaged(path: string, what: string, cause?: unknown): RaftError {
  const at = { file: path, offset: 0 };
  return new RaftError("corrupt", `Cannot trust "${path}": ${what}`, {
    ...at,
    cause,
  });
}

const PRIMARY_CODES: ReadonlyMap<number, string> = new Map([
  [5, "BUSY"],
  [6, "LOCKED"],
  [11, "CORRUPT"],
  [26, "NOTADB"],
]);

/** SQLite's primary result code, however the driver tells it. */
function primaryCode(error: unknown): string | undefined {
  for (const name of ["errcode", "errno"]) {
    const number = readField(error, name);
    if (typeof number === "number") return PRIMARY_CODES.get(number & 0xff);
  }
  const code = readField(error, "code");
  const [, name] = /^SQLITE_([A-Z]+)/.exec(String(code)) ?? [];
  // Some calls of some drivers tell no more than the message.
  const message = String(readField(error, "message"));
  return name ?? MESSAGES.find(([text]) => message.includes(text))?.[1];
}

const MESSAGES = [
  ["database is locked", "BUSY"],
  ["disk image is malformed", "CORRUPT"],
  ["is not a database", "NOTADB"],
] as const;
