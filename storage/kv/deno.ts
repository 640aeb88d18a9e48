/**
 * Deno KV as the engine of a storage: a database file of your own, or any
 * instance that you hand in, also one of `@deno/kv` on Node.
 *
 * A file is locked as long as it is open. An instance that is handed in may
 * be somewhere else and has no lock: whoever opens the data last has it, and
 * the next write of the one before rejects with `locked`. Until then the one
 * before does not know; see to it that it is stopped, as with any member that
 * is started twice.
 *
 * Deno needs the flag `--unstable-kv`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { KvStorage } from "@balsa/raft/storage/kv";
 * import { openDenoKv } from "@balsa/raft/storage/kv/deno";
 *
 * const path = `${await Deno.makeTempDir()}/raft.kv`;
 * const storage = new KvStorage({ open: () => openDenoKv(path) });
 * const { groups } = await storage.open({ deployment: "orders" });
 * assertEquals(groups, []);
 * await storage.close();
 * ```
 *
 * @module
 */
import { RaftError } from "../../src/errors.ts";
import { closedError, failed, fencedError, lockedError } from "./errors.ts";
import { isSameBytes } from "./bytes.ts";
import { MAX_KEY_BYTES } from "./keys.ts";
import type {
  KvGuard,
  KvLimits,
  KvOperation,
  KvRange,
  KvRow,
  OrderedKv,
} from "./ordered_kv.ts";
import { toOwnBytes } from "./own_bytes.ts";

/** A part of a Deno KV key, as far as it may be one of a prefix. */
export type DenoKvKeyPart = string | number | bigint | boolean | Uint8Array;

/** A row of Deno KV; without the row, value and versionstamp are null. */
export interface DenoKvEntry {
  /** Which row. */
  readonly key: readonly unknown[];
  /** What it holds. */
  readonly value: unknown;
  /** Names the commit that set it. */
  readonly versionstamp: string | null;
}

/** As much of an atomic operation of Deno KV as is needed. */
export interface DenoKvAtomic {
  /** Demands that a row is as some commit left it. */
  check(
    check: {
      readonly key: DenoKvKeyPart[];
      readonly versionstamp: string | null;
    },
  ): unknown;
  /** Sets a row. */
  set(key: DenoKvKeyPart[], value: unknown): unknown;
  /** Removes a row. */
  delete(key: DenoKvKeyPart[]): unknown;
  /** Carries all of it out, or nothing. */
  commit(): Promise<{ readonly ok: boolean; readonly versionstamp?: string }>;
}

/** As much of `Deno.Kv` as is needed. */
export interface DenoKvInstance {
  /** A row. */
  get(key: DenoKvKeyPart[]): Promise<DenoKvEntry>;
  /** The rows of a range, the end excluded. */
  list(
    selector: {
      readonly start: DenoKvKeyPart[];
      readonly end: DenoKvKeyPart[];
    },
    options: { readonly limit?: number; readonly reverse?: boolean },
  ): AsyncIterable<DenoKvEntry>;
  /** Starts an atomic operation. */
  atomic(): DenoKvAtomic;
  /** Closes it. */
  close(): void;
}

/** Options of {@linkcode useDenoKv}. */
export interface DenoKvOptions {
  /**
   * Before every key, so that others may use the same instance. Short: it
   * counts in every commit.
   *
   * @default ["balsa"]
   */
  readonly prefix?: readonly DenoKvKeyPart[] | undefined;
}

const VALUE_BYTES = 65_536;
const BATCH_BYTES = 819_200;
const BATCH_OPS = 1000;
/** All keys of a commit, the guard's too. */
const BATCH_KEY_BYTES = 81_920;
/** What Deno KV makes at most of a key of ours: zeros count twice. */
const ENCODED_KEY_BYTES = 2 * MAX_KEY_BYTES + 2;
const MAX_PREFIX_BYTES = 256;

/** What is open in this process, by instance and prefix. */
const inUse = new WeakMap<DenoKvInstance, Set<string>>();

/**
 * Opens a Deno KV database file, with a lock file beside it.
 *
 * @throws {RaftError} `unsupported` without Deno KV, `locked` if somebody has
 * the file open, or `storageFailed`.
 */
export async function openDenoKv(path: string): Promise<OrderedKv> {
  const open = denoFunction("openKv");
  if (open === undefined) {
    throw new RaftError(
      "unsupported",
      "Cannot open Deno KV: the runtime has none, or lacks the flag --unstable-kv",
    );
  }
  const lock = takeLock(path);
  try {
    const opened: unknown = await open(path);
    if (!isInstance(opened)) throw new TypeError("It is no instance");
    return new DenoKv(opened, {
      name: path,
      prefix: ["balsa"],
      release: () => {
        opened.close();
        lock.close();
      },
    });
  } catch (error) {
    lock.close();
    throw failed(`open "${path}"`, error);
  }
}

/**
 * Uses an instance that is open. Closing the engine leaves it open.
 *
 * @throws {RaftError} `locked` if this process uses the instance already, with
 * the same prefix.
 */
// deno-lint-ignore require-await -- a rejection, never a throw
export async function useDenoKv(
  kv: DenoKvInstance,
  options: DenoKvOptions = {},
): Promise<OrderedKv> {
  const prefix = options.prefix ?? ["balsa"];
  const text = describePrefix(prefix);
  const name = `deno-kv:${text}`;
  const prefixes = inUse.get(kv) ?? new Set();
  if (prefixes.has(text)) {
    throw lockedError(name, "this process has it open already");
  }
  const engine = new DenoKv(kv, {
    name,
    prefix,
    release: () => void prefixes.delete(text),
  });
  inUse.set(kv, prefixes.add(text));
  return engine;
}

/** How an engine was opened. */
interface Opening {
  readonly name: string;
  readonly prefix: readonly DenoKvKeyPart[];
  readonly release: () => void;
}

class DenoKv implements OrderedKv {
  readonly name: string;
  readonly limits: KvLimits;
  readonly #kv: DenoKvInstance;
  readonly #opening: Opening;
  /** The guard that was looked at last, and the commit that it came with. */
  #known:
    | { readonly guard: KvGuard; readonly versionstamp: string }
    | undefined;
  /** Settles when no earlier commit is at work. */
  #queue: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(kv: DenoKvInstance, opening: Opening) {
    this.#kv = kv;
    this.#opening = opening;
    this.name = opening.name;
    const prefixBytes = sizeOf(opening.prefix);
    if (prefixBytes > MAX_PREFIX_BYTES) {
      throw new RangeError(
        `Cannot use Deno KV: the prefix has ${prefixBytes} bytes, wanted at most ${MAX_PREFIX_BYTES}`,
      );
    }
    const keyBytes = prefixBytes + ENCODED_KEY_BYTES;
    // One of them is the guard's.
    const keys = Math.min(BATCH_OPS, Math.floor(BATCH_KEY_BYTES / keyBytes));
    this.limits = {
      keyBytes: 1024,
      valueBytes: VALUE_BYTES,
      // Deno KV counts every key twice.
      batchBytes: BATCH_BYTES - 2 * keys * keyBytes,
      batchOps: keys - 1,
    };
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen();
    const { value } = await this.#kv.get(this.#keyOf(key));
    return value === null ? undefined : toOwnBytes(this.name, value);
  }

  async *list(range: KvRange): AsyncGenerator<KvRow> {
    this.#requireOpen();
    const selector = {
      start: this.#keyOf(range.start),
      end: this.#keyOf(range.end),
    };
    const options = {
      ...range.limit === undefined ? {} : { limit: range.limit },
      reverse: range.reverse === true,
    };
    for await (const { key, value } of this.#kv.list(selector, options)) {
      yield [toOwnBytes(this.name, key.at(-1)), toOwnBytes(this.name, value)];
    }
  }

  commit(operations: readonly KvOperation[], guard?: KvGuard): Promise<void> {
    const done = this.#queue.then(() => this.#commit(operations, guard));
    this.#queue = done.catch(() => {});
    return done;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#queue;
    this.#opening.release();
  }

  async #commit(
    operations: readonly KvOperation[],
    guard: KvGuard | undefined,
  ): Promise<void> {
    this.#requireOpen();
    const atomic = this.#kv.atomic();
    if (guard !== undefined) {
      const versionstamp = await this.#look(guard);
      atomic.check({ key: this.#keyOf(guard.key), versionstamp });
    }
    for (const operation of operations) {
      const key = this.#keyOf(operation.key);
      if (operation.type === "delete") atomic.delete(key);
      else atomic.set(key, operation.value);
    }
    const { ok } = await atomic.commit();
    if (!ok) throw fencedError(this.name);
  }

  /** The commit that left the guard's row as it has to be. */
  async #look(guard: KvGuard): Promise<string | null> {
    if (this.#known?.guard === guard) return this.#known.versionstamp;
    const found = await this.#kv.get(this.#keyOf(guard.key));
    const value = found.value === null
      ? undefined
      : toOwnBytes(this.name, found.value);
    if (!isSameBytes(value, guard.value)) throw fencedError(this.name);
    const { versionstamp } = found;
    if (versionstamp !== null) this.#known = { guard, versionstamp };
    return versionstamp;
  }

  #keyOf(key: Uint8Array): DenoKvKeyPart[] {
    return [...this.#opening.prefix, key];
  }

  #requireOpen(): void {
    if (this.#isClosed) throw closedError(this.name);
  }
}

/** A lock on the file beside a database; it ends with the process. */
function takeLock(path: string): { readonly close: () => void } {
  const file = `${path}.lock`;
  const open = denoFunction("openSync");
  if (open === undefined) throw lockedError(path, "there is no way to lock it");
  let opened: unknown;
  try {
    opened = open(file, { read: true, write: true, create: true });
    const exclusive = true;
    if (callMethod(opened, "tryLockSync", exclusive) === true) {
      return { close: () => void callMethod(opened, "close") };
    }
  } catch (error) {
    throw failed(`lock "${file}"`, error);
  }
  callMethod(opened, "close");
  throw lockedError(path, "someone else has it open");
}

/** A function of the runtime, if it is Deno and has it. */
function denoFunction(
  name: string,
): ((...values: unknown[]) => unknown) | undefined {
  const deno: unknown = Reflect.get(globalThis, "Deno");
  const found: unknown = isObject(deno) ? Reflect.get(deno, name) : undefined;
  return typeof found === "function"
    ? (...values) => Reflect.apply(found, deno, values)
    : undefined;
}

function callMethod(
  target: unknown,
  name: string,
  ...values: unknown[]
): unknown {
  const method: unknown = isObject(target)
    ? Reflect.get(target, name)
    : undefined;
  if (typeof method === "function") {
    return Reflect.apply(method, target, values);
  }
  throw new TypeError(`Cannot call ${name}: there is no such method`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isInstance(value: unknown): value is DenoKvInstance {
  return isObject(value) &&
    ["get", "list", "atomic", "close"].every(
      (name) => typeof Reflect.get(value, name) === "function",
    );
}

function describePrefix(prefix: readonly DenoKvKeyPart[]): string {
  return prefix.map((part) =>
    part instanceof Uint8Array ? `[${part.join()}]` : `${typeof part} ${part}`
  ).join(", ");
}

/** At most what Deno KV makes of a prefix. */
function sizeOf(prefix: readonly DenoKvKeyPart[]): number {
  let bytes = 0;
  for (const part of prefix) {
    if (typeof part === "string") {
      bytes += 2 * new TextEncoder().encode(part).length + 2;
    } else if (part instanceof Uint8Array) bytes += 2 * part.length + 2;
    else bytes += 2 + String(part).length;
  }
  return bytes;
}
