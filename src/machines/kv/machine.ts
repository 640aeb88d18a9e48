import { RaftError } from "../../errors.ts";
import { fromSortKey, toSortKey, utf8Length } from "./key_order.ts";
import { parseKvCommand, parseKvQuery } from "./schema.ts";
import { readStore, snapshotChunks } from "./snapshot.ts";
import { Store, type StoredValue } from "./store.ts";
import type {
  KvAnswer,
  KvCommand,
  KvDelete,
  KvExpectation,
  KvItem,
  KvList,
  KvListAnswer,
  KvPut,
  KvQuery,
  KvResult,
} from "./types.ts";
import type {
  Applied,
  Schema,
  SnapshotSource,
  StateMachine,
} from "../../state_machine.ts";

const DEFAULT_LIST_LIMIT = 100;
const DEFAULT_LIST_BYTES = 1024 * 1024;

const commandSchema: Schema<KvCommand> = { parse: parseKvCommand };

/**
 * An ordered key-value store in memory.
 *
 * A revision is a counter of the whole store. Every applied command takes the
 * next one, a delete too, even of a key that is not there; a command whose
 * expectation does not hold is not applied and takes none. A key's revision
 * is that of its last write.
 *
 * Values are kept as they are given and copied when they are read. Writes and
 * reads of a key are O(log n).
 */
export class KvMachine
  implements StateMachine<KvCommand, KvResult, KvQuery, KvAnswer> {
  readonly command: Schema<KvCommand> = commandSchema;
  #store: Store = new Store();

  /** The revision given out last; 0 at first. */
  get revision(): number {
    return this.#store.revision;
  }

  /** Number of keys. */
  get size(): number {
    return this.#store.size;
  }

  /** Applies commands in order; their values belong to the machine then. */
  apply(entries: readonly Applied<KvCommand>[]): KvResult[] {
    return entries.map(({ command }) => this.#apply(command));
  }

  /**
   * Answers from the present state.
   *
   * @throws {RaftError} `invalidCommand` if the query is malformed.
   */
  query(query: KvQuery): KvAnswer {
    const checked = checkQuery(query);
    switch (checked.type) {
      case "get": {
        const sortKey = toSortKey(checked.key);
        const stored = this.#store.get(sortKey);
        return {
          type: "get",
          item: stored === undefined ? null : toItem(checked.key, stored),
        };
      }
      case "list":
        return this.#list(checked);
      default: {
        const unreachable: never = checked;
        return unreachable;
      }
    }
  }

  /** Captures the store in O(keys / 100) and streams it in chunks. */
  snapshot(): SnapshotSource {
    const capture = this.#store.capture();
    return { chunks: () => snapshotChunks(capture) };
  }

  /**
   * Replaces the store; on an error it stays what it was.
   *
   * @throws {RaftError} `corrupt` or `unsupportedFormat`.
   */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.#store = await readStore(chunks);
  }

  /** A digest of keys, values and revisions. O(1): kept with each write. */
  checksum(): number {
    return this.#store.digest;
  }

  #apply(command: KvCommand): KvResult {
    switch (command.type) {
      case "put":
        return this.#put(command);
      case "delete":
        return this.#delete(command);
      default: {
        const unreachable: never = command;
        throw unknownType("command", unreachable);
      }
    }
  }

  #put({ key, value, expect }: KvPut): KvResult {
    const sortKey = toSortKey(key);
    const conflict = this.#conflict(sortKey, expect);
    if (conflict !== undefined) {
      return conflict;
    }
    const revision = this.#store.nextRevision();
    this.#store.put(sortKey, value, revision);
    return { type: "put", revision };
  }

  #delete({ key, expect }: KvDelete): KvResult {
    const sortKey = toSortKey(key);
    const conflict = this.#conflict(sortKey, expect);
    if (conflict !== undefined) {
      return conflict;
    }
    const revision = this.#store.nextRevision();
    const deleted = this.#store.delete(sortKey);
    return { type: "delete", revision, deleted };
  }

  /** The result of a command whose expectation does not hold. */
  #conflict(
    sortKey: string,
    expect: KvExpectation | undefined,
  ): KvResult | undefined {
    if (expect === undefined || expect.type === "any") {
      return undefined;
    }
    const found = this.#store.get(sortKey)?.revision ?? 0;
    return holds(expect, found)
      ? undefined
      : { type: "conflict", revision: found };
  }

  #list(query: KvList): KvListAnswer {
    const limit = query.limit ?? DEFAULT_LIST_LIMIT;
    const prefix = toSortKey(query.prefix ?? "");
    const after = toSortKey(query.after ?? "");
    let bytesLeft = query.maxBytes ?? DEFAULT_LIST_BYTES;
    const items: KvItem[] = [];
    for (const [sortKey, stored] of this.#store.from(maxText(prefix, after))) {
      if (sortKey === after) {
        continue;
      }
      if (!sortKey.startsWith(prefix)) {
        break;
      }
      const key = fromSortKey(sortKey);
      bytesLeft -= utf8Length(key) + stored.value.length;
      if (items.length > 0 && (items.length === limit || bytesLeft < 0)) {
        return { type: "list", items, next: items.at(-1)?.key ?? null };
      }
      items.push(toItem(key, stored));
    }
    return { type: "list", items, next: null };
  }
}

/** Whether a key at a revision, 0 if it is not there, is as expected. */
function holds(expect: KvExpectation, found: number): boolean {
  switch (expect.type) {
    case "any":
      return true;
    case "revision":
      return found === expect.revision;
    case "present":
      return found > 0;
    case "absent":
      return found === 0;
    default: {
      const unreachable: never = expect;
      throw unknownType("expectation", unreachable);
    }
  }
}

/** The item, with a copy of the value: the reader may do with it what it likes. */
function toItem(key: string, { value, revision }: StoredValue): KvItem {
  return { key, value: new Uint8Array(value), revision };
}

function checkQuery(query: KvQuery): KvQuery {
  try {
    return parseKvQuery(query);
  } catch (cause) {
    throw new RaftError(
      "invalidCommand",
      `Cannot answer a key-value query: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      { cause },
    );
  }
}

/** For commands of a later release, which the types here do not know. */
function unknownType(
  what: string,
  value: { readonly type: unknown },
): RaftError {
  return new RaftError(
    "unsupportedFormat",
    `Cannot apply a key-value command: unknown ${what} "${value.type}"`,
  );
}

function maxText(left: string, right: string): string {
  return left < right ? right : left;
}
