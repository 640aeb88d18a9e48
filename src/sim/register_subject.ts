/**
 * The default subject: register lists, a mix of reads and writes, and a
 * history check that knows nothing of logs.
 *
 * @module
 */
import {
  checkLinearizable,
  type SequentialModel,
  type TimedOperation,
} from "./linearizability.ts";
import type { SimRandom } from "./prng.ts";
import {
  decodeRegisterCommand,
  encodeRegisterCommand,
  lastId,
  nextList,
  type RegisterCommand,
  type RegisterList,
  RegisterMachine,
  type RegisterQuery,
  type RegisterResult,
} from "./register_machine.ts";
import type { HistoryEntry, Operation, Subject } from "./subject.ts";
import { fail } from "./violation.ts";

/** Shares of the operations, and what they touch. */
export interface RegisterWorkload {
  readonly keyCount: number;
  readonly readPermille: number;
  readonly appendPermille: number;
  readonly compareAndSetPermille: number;
  /** Most padding of a command; some commands have much less. */
  readonly padBytes: number;
  /** Whether repeated commands get their first answer again. */
  readonly deduplicate: boolean;
}

type RegisterHistory = readonly HistoryEntry<
  RegisterCommand,
  RegisterResult,
  RegisterQuery,
  RegisterList
>[];

/** Draws a workload. */
export function drawRegisterWorkload(
  random: SimRandom,
  deduplicate: boolean,
): RegisterWorkload {
  return {
    keyCount: random.pick([1, 2, 5]),
    readPermille: random.pick([200, 500]),
    appendPermille: random.pick([0, 200]),
    compareAndSetPermille: random.pick([0, 200]),
    padBytes: random.pick([0, 40, 400]),
    deduplicate,
  };
}

/** Makes the default subject. */
export function registerSubject(
  workload: RegisterWorkload,
): Subject<RegisterCommand, RegisterResult, RegisterQuery, RegisterList> {
  return {
    create: () => new RegisterMachine({ deduplicate: workload.deduplicate }),
    encode: encodeRegisterCommand,
    decode: decodeRegisterCommand,
    next: (random, serial, seen) =>
      drawOperation(workload, random, serial, seen),
    checkHistory: checkRegisterHistory,
    idempotent: workload.deduplicate,
  };
}

function drawOperation(
  workload: RegisterWorkload,
  random: SimRandom,
  serial: number,
  seen: readonly (RegisterResult | RegisterList)[],
): Operation<RegisterCommand, RegisterQuery> {
  const key = random.below(workload.keyCount);
  const draw = random.below(1000);
  if (draw < workload.readPermille) return { type: "query", query: { key } };
  const padBytes = random.chance(300)
    ? random.below(workload.padBytes + 1)
    : random.below(Math.min(20, workload.padBytes) + 1);
  const common = { id: serial + 1, key, expect: 0, padBytes };
  const rest = draw - workload.readPermille;
  if (rest < workload.appendPermille) {
    return { type: "command", command: { ...common, type: "append" } };
  }
  if (rest < workload.appendPermille + workload.compareAndSetPermille) {
    const expect = expectation(random, seen);
    return {
      type: "command",
      command: { ...common, expect, type: "compareAndSet" },
    };
  }
  return { type: "command", command: { ...common, type: "put" } };
}

function expectation(
  random: SimRandom,
  seen: readonly (RegisterResult | RegisterList)[],
): number {
  if (seen.length === 0) return 0;
  const known = random.pick(seen);
  return lastId("before" in known ? known.before : known);
}

/** One operation on one key, for the model. */
type KeyInput =
  | { readonly type: "read" }
  | { readonly type: "write"; readonly command: RegisterCommand };

type KeyOperation = TimedOperation<KeyInput, RegisterList>;

const KEY_MODEL: SequentialModel<RegisterList, KeyInput, RegisterList> = {
  initial: [],
  step: (list, input, output) => {
    if (output !== undefined && !sameList(list, output)) return undefined;
    return input.type === "read" ? list : nextList(input.command, list);
  },
  key: (list) => list.join(),
};

/**
 * Checks that the operations on each key have a linear order.
 *
 * @throws {Violation} If there is none.
 */
export function checkRegisterHistory(history: RegisterHistory): void {
  for (const [key, entries] of byKey(history)) {
    if (checkLinearizable(keyOperations(entries), KEY_MODEL) !== "violated") {
      continue;
    }
    fail(
      "linearizability",
      `Cannot explain the history of key ${key}: no order of its ${entries.length} operations agrees with all results`,
    );
  }
}

function byKey(history: RegisterHistory): Map<number, RegisterHistory> {
  const keys = new Map<number, RegisterHistory[number][]>();
  for (const entry of history) {
    const { operation } = entry;
    const key = operation.type === "command"
      ? operation.command.key
      : operation.query.key;
    const entries = keys.get(key);
    if (entries === undefined) keys.set(key, [entry]);
    else entries.push(entry);
  }
  return keys;
}

/**
 * The operations that count. A write of unknown outcome that nobody has seen
 * may as well not have happened; one that was seen took effect before the
 * first return that shows it. Both keep the search small and its verdict.
 */
function keyOperations(entries: RegisterHistory): KeyOperation[] {
  const firstSeen = firstSightings(entries);
  const operations: KeyOperation[] = [];
  for (const { operation, outcome, result, answer, ...at } of entries) {
    const { invokedAt, consistency } = at;
    if (consistency === "stale") continue;
    if (operation.type === "query") {
      if (outcome !== "ok") continue;
      const { returnedAt } = at;
      const input = { type: "read" } as const;
      operations.push({ input, output: answer, invokedAt, returnedAt });
      continue;
    }
    const { command } = operation;
    if (outcome === "notAppended") continue;
    const seenAt = firstSeen.get(command.id);
    if (outcome === "unknown" && seenAt === undefined) continue;
    operations.push({
      input: { type: "write", command },
      output: outcome === "ok" ? result?.before : undefined,
      invokedAt,
      returnedAt: outcome === "ok" ? at.returnedAt : seenAt ?? Infinity,
    });
  }
  return operations;
}

/** When each write was first seen, by the return of what showed it. */
function firstSightings(entries: RegisterHistory): Map<number, number> {
  const firstSeen = new Map<number, number>();
  const note = (id: number, time: number) => {
    if (time < (firstSeen.get(id) ?? Infinity)) firstSeen.set(id, time);
  };
  for (const { operation, outcome, result, answer, returnedAt } of entries) {
    if (outcome === "ok") {
      for (const id of answer ?? result?.before ?? []) note(id, returnedAt);
    }
    if (operation.type === "command" && operation.command.expect !== 0) {
      // An effect of this one would show the other: keep both, undated.
      const { expect } = operation.command;
      if (!firstSeen.has(expect)) firstSeen.set(expect, Infinity);
    }
  }
  return firstSeen;
}

function sameList(left: RegisterList, right: RegisterList): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) {
    if (left[i] !== right[i]) return false;
  }
  return true;
}
