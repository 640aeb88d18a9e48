/**
 * The machine that the simulator replicates unless told otherwise: lists under
 * keys, whose every answer shows which writes it contains.
 *
 * @module
 */
import type { Applied, Schema, SnapshotSource } from "../state_machine.ts";
import type { SimMachine } from "./subject.ts";
import { mix32 } from "./trace_hash.ts";

/** A write. The ids of all writes of a run are different. */
export interface RegisterCommand {
  /**
   * `put` replaces the list by its own id, `append` adds its id, and
   * `compareAndSet` is a `put` that needs `expect` to be the last id.
   */
  readonly type: "put" | "append" | "compareAndSet";
  readonly id: number;
  readonly key: number;
  /** 0 for the empty list; only for `compareAndSet`. */
  readonly expect: number;
  /** Bytes that do nothing but take room. */
  readonly padBytes: number;
}

/** Asks for the list under a key. */
export interface RegisterQuery {
  readonly key: number;
}

/** The ids in a list, oldest first. */
export type RegisterList = readonly number[];

/** What a write found. */
export interface RegisterResult {
  /** `false` only for a `compareAndSet` that did not find what it expects. */
  readonly done: boolean;
  /** The list before the write. */
  readonly before: RegisterList;
}

const TYPES = ["put", "append", "compareAndSet"] as const;
const HEADER_BYTES = 13;

/** The bytes of a command. */
export function encodeRegisterCommand(command: RegisterCommand): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + command.padBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, TYPES.indexOf(command.type));
  view.setUint32(1, command.id);
  view.setUint32(5, command.key);
  view.setUint32(9, command.expect);
  return bytes;
}

/** The inverse of {@linkcode encodeRegisterCommand}. */
export function decodeRegisterCommand(bytes: Uint8Array): RegisterCommand {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = TYPES[view.getUint8(0)];
  if (type === undefined) {
    throw new RangeError(
      `Cannot decode a register command: its type is ${
        view.getUint8(0)
      }, wanted less than ${TYPES.length}`,
    );
  }
  return {
    type,
    id: view.getUint32(1),
    key: view.getUint32(5),
    expect: view.getUint32(9),
    padBytes: bytes.length - HEADER_BYTES,
  };
}

/** What a write does to a list; the machine and its model share this line. */
export function nextList(
  command: RegisterCommand,
  list: RegisterList,
): RegisterList {
  switch (command.type) {
    case "put":
      return [command.id];
    case "append":
      return [...list, command.id];
    case "compareAndSet":
      return lastId(list) === command.expect ? [command.id] : list;
    default: {
      const unreachable: never = command.type;
      return unreachable;
    }
  }
}

/** The newest id of a list, 0 for an empty one. */
export function lastId(list: RegisterList): number {
  return list[list.length - 1] ?? 0;
}

/** What a register machine may do differently. */
export interface RegisterMachineOptions {
  /**
   * Whether a repeated id gets its first answer again and changes nothing.
   * Default `false`.
   */
  readonly deduplicate?: boolean | undefined;
}

/** Lists under keys. */
export class RegisterMachine
  implements
    SimMachine<RegisterCommand, RegisterResult, RegisterQuery, RegisterList> {
  /** Accepts everything that looks like a command. */
  readonly command: Schema<RegisterCommand> = { parse: parseRegisterCommand };
  readonly #lists = new Map<number, RegisterList>();
  readonly #results: Map<number, RegisterResult> | undefined;
  #checksum = 0;

  /** Makes an empty machine. */
  constructor(options: RegisterMachineOptions = {}) {
    if (options.deduplicate) this.#results = new Map();
  }

  /** Applies writes in order. */
  apply(entries: readonly Applied<RegisterCommand>[]): RegisterResult[] {
    return entries.map(({ command }) => this.#applyOne(command));
  }

  /** The list under a key, empty if there is none. */
  query(query: RegisterQuery): RegisterList {
    return this.#lists.get(query.key) ?? [];
  }

  /** Digest of all lists and of the order in which they came to be. */
  checksum(): number {
    return this.#checksum >>> 0;
  }

  /** Lists, checksum and remembered results, as bytes. */
  capture(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify({
      lists: [...this.#lists],
      results: this.#results && [...this.#results],
      checksum: this.#checksum,
    }));
  }

  /** Becomes what was captured. */
  install(state: Uint8Array): void {
    const captured = JSON.parse(new TextDecoder().decode(state));
    this.#lists.clear();
    for (const [key, list] of captured.lists) this.#lists.set(key, list);
    this.#results?.clear();
    for (const [id, result] of captured.results ?? []) {
      this.#results?.set(id, result);
    }
    this.#checksum = captured.checksum;
  }

  /** Captures at once, streams afterwards. */
  snapshot(): SnapshotSource {
    const captured = this.capture();
    return {
      async *chunks() {
        yield await Promise.resolve(captured);
      },
    };
  }

  /** Becomes what was captured. */
  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: number[] = [];
    for await (const chunk of chunks) {
      for (const byte of chunk) parts.push(byte);
    }
    this.install(Uint8Array.from(parts));
  }

  #applyOne(command: RegisterCommand): RegisterResult {
    const first = this.#results?.get(command.id);
    if (first !== undefined) return first;
    const before = this.query(command);
    const after = nextList(command, before);
    this.#lists.set(command.key, after);
    this.#checksum = mix32(mix32(this.#checksum, command.key), lastId(after));
    const result = { done: after !== before, before };
    this.#results?.set(command.id, result);
    return result;
  }
}

/**
 * Checks a command.
 *
 * @throws {TypeError} If it is none.
 */
export function parseRegisterCommand(input: unknown): RegisterCommand {
  if (typeof input === "object" && input !== null) {
    const { type, id, key, expect, padBytes } = input as Record<
      string,
      unknown
    >; // every field is checked below
    const known = TYPES.find((name) => name === type);
    if (
      known !== undefined && isUint32(id) && isUint32(key) &&
      isUint32(expect) && isUint32(padBytes)
    ) {
      return { type: known, id, key, expect, padBytes };
    }
  }
  throw new TypeError("Cannot take a command: it is no register command");
}

function isUint32(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 &&
    Number(value) < 2 ** 32;
}
