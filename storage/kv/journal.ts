/**
 * Commits of any size. What does not fit into one commit of the engine is
 * written in pieces that nobody can see, and switched on by the last one.
 *
 * Rows that are invisible anyhow go first. The rest, if it still does not fit,
 * is written to a journal; a marker says that the journal is whole, and from
 * then on it is carried out whatever happens: operations set and delete whole
 * rows, so that they may be repeated.
 *
 * @module
 */
import { hashBytes } from "../../src/checksum.ts";
import { joinBytes, viewOf } from "./bytes.ts";
import { JOURNAL_RANGE, journalKey, MARKER_KEY } from "./keys.ts";
import type { KvGuard, KvOperation, OrderedKv } from "./ordered_kv.ts";
import { ROW_OVERHEAD_BYTES, type RowCodec } from "./rows.ts";

/** What is to be written at once. */
export interface Change {
  /** Written first, but only if the rest does not fit into one commit. */
  readonly prelude: KvOperation[];
  /** Rows that nobody can see before the switch. */
  readonly ahead: KvOperation[];
  /** Rows that show the change. */
  readonly switch: KvOperation[];
}

/** Where changes go. */
export interface JournalTarget {
  readonly kv: OrderedKv;
  readonly codec: RowCodec;
  readonly guard: KvGuard;
}

/** Writes a change, all of it or, as far as anybody can see, nothing. */
export async function writeChange(
  target: JournalTarget,
  change: Change,
): Promise<void> {
  const { kv, guard } = target;
  const all = [...change.ahead, ...change.switch];
  if (all.length === 0) return;
  if (isOneCommit(kv, all)) return await kv.commit(all, guard);
  await commitInPieces(target, [...change.prelude, ...change.ahead]);
  if (isOneCommit(kv, change.switch)) {
    return await kv.commit(change.switch, guard);
  }
  const journal = encodeOperations(change.switch);
  const pieces = cut(journal, kv.limits.valueBytes - ROW_OVERHEAD_BYTES)
    .map((piece, at) => target.codec.set(journalKey(at), piece));
  await commitInPieces(target, pieces);
  const marker = encodeMarker(pieces.length, hashBytes(journal));
  await kv.commit([target.codec.set(MARKER_KEY, marker)], guard);
  await carryOut(target, change.switch);
}

/**
 * Carries out the journal that a crash left whole, removes one that it left
 * unfinished.
 *
 * @throws {RaftError} `corrupt` if the journal is not what its marker says.
 */
export async function recoverJournal(target: JournalTarget): Promise<void> {
  const { kv, codec } = target;
  const value = await kv.get(MARKER_KEY);
  if (value === undefined) return await removeJournal(target);
  const body = viewOf(codec.body(MARKER_KEY, value));
  const { count, hash } = codec.parse(MARKER_KEY, () => ({
    count: body.getUint32(0, true),
    hash: body.getUint32(4, true),
  }));
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < count; at++) {
    const key = journalKey(at);
    pieces.push(codec.body(key, await kv.get(key)));
  }
  const journal = joinBytes(pieces);
  if (hashBytes(journal) !== hash) {
    throw codec.corrupt(MARKER_KEY, "the journal is not the one it is about");
  }
  const operations = codec.parse(MARKER_KEY, () => decodeOperations(journal));
  await carryOut(target, operations);
}

async function carryOut(
  target: JournalTarget,
  operations: readonly KvOperation[],
): Promise<void> {
  await commitInPieces(target, operations);
  await target.kv.commit([{ type: "delete", key: MARKER_KEY }], target.guard);
  await removeJournal(target);
}

async function removeJournal(target: JournalTarget): Promise<void> {
  const keys: KvOperation[] = [];
  for await (const [key] of target.kv.list(JOURNAL_RANGE)) {
    keys.push({ type: "delete", key });
  }
  await commitInPieces(target, keys);
}

/** Commits operations in order, as many at a time as fit. */
export async function commitInPieces(
  { kv, guard }: JournalTarget,
  operations: readonly KvOperation[],
): Promise<void> {
  let from = 0;
  while (from < operations.length) {
    let to = from;
    let bytes = 0;
    while (to < operations.length && to - from < kv.limits.batchOps) {
      bytes += operationBytes(operations[to]);
      if (to > from && bytes > kv.limits.batchBytes) break;
      to++;
    }
    await kv.commit(operations.slice(from, to), guard);
    from = to;
  }
}

function isOneCommit(
  { limits }: OrderedKv,
  operations: readonly KvOperation[],
): boolean {
  if (operations.length > limits.batchOps) return false;
  let bytes = 0;
  for (const operation of operations) bytes += operationBytes(operation);
  return bytes <= limits.batchBytes;
}

function operationBytes(operation: KvOperation | undefined): number {
  if (operation === undefined) return 0;
  const { key } = operation;
  return operation.type === "set"
    ? key.length + operation.value.length
    : key.length;
}

/** Bytes in pieces of a size; none for no bytes. */
export function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    pieces.push(bytes.subarray(at, at + size));
  }
  return pieces;
}

function encodeMarker(pieces: number, hash: number): Uint8Array {
  const body = new Uint8Array(8);
  viewOf(body).setUint32(0, pieces, true);
  viewOf(body).setUint32(4, hash, true);
  return body;
}

function encodeOperations(operations: readonly KvOperation[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const operation of operations) {
    parts.push(encodeU32(operation.key.length), operation.key);
    if (operation.type === "delete") parts.push(encodeU32(0));
    else parts.push(encodeU32(1 + operation.value.length), operation.value);
  }
  return joinBytes(parts);
}

function encodeU32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

function decodeOperations(bytes: Uint8Array): KvOperation[] {
  const operations: KvOperation[] = [];
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) {
      throw new Error("Cannot read the journal: it ends within an operation");
    }
    return bytes.slice(at, at += length);
  };
  while (at < bytes.length) {
    const key = take(viewOf(take(4)).getUint32(0, true));
    const mark = viewOf(take(4)).getUint32(0, true);
    operations.push(
      mark === 0
        ? { type: "delete", key }
        : { type: "set", key, value: take(mark - 1) },
    );
  }
  return operations;
}
