/**
 * What a member applies its log to: the machine alone, or, in runs with
 * sessions, the machine behind the very runner that hosts use.
 *
 * @module
 */
import type { RaftError } from "../errors.ts";
import type { Entry, LogIndex, SnapshotMeta } from "../core/types.ts";
import {
  MachineRunner,
  type MachineRunnerOptions,
} from "../rsm/machine_runner.ts";
import type { Applied, StateMachine } from "../state_machine.ts";
import { BYTES } from "./numbered_commands.ts";
import {
  MAX_RETIRED_CLIENTS,
  type SessionOptions,
} from "./options_sessions.ts";
import type { SimMachine } from "./subject.ts";
import type { AnySubject } from "./world.ts";

type AnyMachine = SimMachine<unknown, unknown, unknown, unknown>;

/**
 * What an entry did: its command was `applied`, or answered by the result of
 * the same one before it, or `refused` as one of an expired session; it was
 * `held` by a machine that outlived its process; or there is no command.
 */
export type EntryEffect =
  | { readonly type: "applied" | "repeated"; readonly result: unknown }
  | { readonly type: "refused"; readonly error: RaftError }
  | { readonly type: "held" | "none" };

/** A replica of the state, over all lives of its member. */
export interface Replica {
  /**
   * The process starts. Returns whether everything is as it was; if not, the
   * log has to be applied from the snapshot on.
   */
  restart(): boolean;
  /** Applies entries in order; one effect each. */
  apply(entries: readonly Entry[]): EntryEffect[];
  /** Answers from what the machine holds. */
  query(query: unknown): unknown;
  /** What the machine may hold beyond the entries applied to it. */
  readonly heldIndex: LogIndex;
  /** Digest of the machine, if it has one and holds no more than is applied. */
  checksum(): number | undefined;
  /** Digest of the session table, if there is one. */
  sessionChecksum(): number | undefined;
  /** The whole state, if it can be copied now. */
  capture(): Uint8Array | undefined;
  /** Becomes what was captured; without data it only goes on from there. */
  install(meta: SnapshotMeta, data: Uint8Array): void;
}

/** What decides about a replica. */
export interface ReplicaParts {
  readonly subject: AnySubject;
  readonly sessions: SessionOptions;
  /** Whether the machine keeps its state over a crash (H57). */
  readonly isDurable: boolean;
}

/** Makes an empty replica. */
export function newReplica(parts: ReplicaParts): Replica {
  return parts.sessions.clientPermille > 0
    ? new SessionReplica(parts)
    : new PlainReplica(parts);
}

/** The limits of a session table, as a runner takes them. */
function limitsOf(options: SessionOptions): MachineRunnerOptions {
  const { maxClients, maxResultsPerClient, maxResults } = options;
  return {
    maxClients,
    maxRetiredClients: MAX_RETIRED_CLIENTS,
    maxResultsPerClient,
    maxResults,
  };
}

/** A machine that gets commands as they are. */
class PlainReplica implements Replica {
  readonly heldIndex: LogIndex = 0;
  readonly #parts: ReplicaParts;
  #machine: AnyMachine;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#machine = parts.subject.create();
  }

  restart(): boolean {
    const { isDurable, subject } = this.#parts;
    if (!isDurable) this.#machine = subject.create();
    return isDurable;
  }

  apply(entries: readonly Entry[]): EntryEffect[] {
    const { subject } = this.#parts;
    const commands: Applied<unknown>[] = [];
    for (const entry of entries) {
      if (entry.type !== "command") continue;
      const { index, term } = entry;
      commands.push({ index, term, command: subject.decode(entry.data) });
    }
    const results = applyNow(this.#machine, commands);
    let used = 0;
    return entries.map(({ type }) =>
      type === "command"
        ? { type: "applied", result: results[used++] }
        : { type: "none" }
    );
  }

  query(query: unknown): unknown {
    return queryNow(this.#machine, query);
  }

  checksum(): number | undefined {
    return this.#machine.checksum?.();
  }

  sessionChecksum(): undefined {}

  capture(): Uint8Array | undefined {
    return this.#machine.capture?.();
  }

  install(_meta: SnapshotMeta, data: Uint8Array): void {
    if (data.length > 0) this.#machine.install?.(data);
  }
}

/** A machine behind a runner, which keeps the sessions. */
class SessionReplica implements Replica {
  readonly #parts: ReplicaParts;
  #machine: WrappedMachine;
  #runner: MachineRunner<Uint8Array, unknown, unknown, unknown>;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#machine = new WrappedMachine(parts);
    this.#runner = this.#newRunner();
  }

  get heldIndex(): LogIndex {
    return this.#machine.appliedIndex ?? 0;
  }

  restart(): boolean {
    if (!this.#parts.isDurable) this.#machine = new WrappedMachine(this.#parts);
    this.#runner = this.#newRunner();
    return false;
  }

  apply(entries: readonly Entry[]): EntryEffect[] {
    this.#machine.ran.clear();
    const outcomes = this.#runner.apply(entries);
    if (!Array.isArray(outcomes)) throw new TypeError(NOT_AT_ONCE);
    return outcomes.map((outcome, i): EntryEffect => {
      const entry = entries[i];
      switch (outcome.type) {
        case "result": {
          const { result } = outcome;
          const isRun = this.#machine.ran.has(entry?.index ?? 0);
          return { type: isRun ? "applied" : "repeated", result };
        }
        case "refused":
          return outcome;
        case "none":
          return { type: entry?.type === "command" ? "held" : "none" };
      }
    });
  }

  query(query: unknown): unknown {
    return this.#machine.query(query);
  }

  checksum(): number | undefined {
    return this.#runner.isReplaying ? undefined : this.#machine.digest();
  }

  sessionChecksum(): number {
    return this.#runner.sessionChecksum();
  }

  capture(): Uint8Array | undefined {
    if (this.#runner.isReplaying) return undefined;
    const state = this.#machine.capture();
    return state && joined([...this.#runner.sessionFrames(), state]);
  }

  install(meta: SnapshotMeta, data: Uint8Array): void {
    if (data.length === 0) return this.#runner.skipTo(meta.index);
    this.#runner.restoreNow(meta, data, (state) => {
      this.#machine.install(state, meta.index);
    });
  }

  #newRunner(): MachineRunner<Uint8Array, unknown, unknown, unknown> {
    return new MachineRunner(this.#machine, limitsOf(this.#parts.sessions));
  }
}

/** The subject's machine, as a runner wants one: its commands are bytes. */
class WrappedMachine
  implements StateMachine<Uint8Array, unknown, unknown, unknown> {
  readonly command = BYTES;
  /** Indexes of the commands that were applied since it was cleared. */
  readonly ran: Set<LogIndex> = new Set();
  readonly #parts: ReplicaParts;
  readonly #machine: AnyMachine;
  #appliedIndex: LogIndex = 0;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#machine = parts.subject.create();
  }

  get appliedIndex(): LogIndex | undefined {
    return this.#parts.isDurable ? this.#appliedIndex : undefined;
  }

  apply(entries: readonly Applied<Uint8Array>[]): unknown[] {
    const { subject } = this.#parts;
    const commands = entries.map(({ index, term, command }) => {
      this.ran.add(index);
      return { index, term, command: subject.decode(command) };
    });
    const results = applyNow(this.#machine, commands);
    this.#appliedIndex = entries.at(-1)?.index ?? this.#appliedIndex;
    return results;
  }

  query(query: unknown): unknown {
    return queryNow(this.#machine, query);
  }

  digest(): number | undefined {
    return this.#machine.checksum?.();
  }

  capture(): Uint8Array | undefined {
    return this.#machine.capture?.();
  }

  install(state: Uint8Array, index: LogIndex): void {
    this.#machine.install?.(state);
    this.#appliedIndex = index;
  }

  snapshot(): never {
    throw new TypeError(NOT_AT_ONCE);
  }

  restore(): never {
    throw new TypeError(NOT_AT_ONCE);
  }
}

const NOT_AT_ONCE =
  "Cannot wait in a simulation: snapshots are captured and installed at once";

function applyNow(
  machine: AnyMachine,
  commands: readonly Applied<unknown>[],
): unknown[] {
  if (commands.length === 0) return [];
  const results = machine.apply(commands);
  if (!Array.isArray(results) || results.length !== commands.length) {
    throw new TypeError(
      `Cannot simulate the machine: apply() did not return ${commands.length} results at once`,
    );
  }
  return results;
}

function queryNow(machine: AnyMachine, query: unknown): unknown {
  const answer = machine.query(query);
  if (answer instanceof Promise) {
    throw new TypeError(
      "Cannot simulate the machine: query() did not answer at once",
    );
  }
  return answer;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new Uint8Array(length);
  let used = 0;
  for (const part of parts) {
    whole.set(part, used);
    used += part.length;
  }
  return whole;
}
