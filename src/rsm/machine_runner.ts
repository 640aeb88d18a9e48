/**
 * The one path from the log to a state machine (H43): decodes what was
 * committed, keeps the sessions, applies, and puts both into one snapshot.
 *
 * @module
 */
import { isRaftError, RaftError } from "../errors.ts";
import { frameChunks, FrameParser, FrameReader } from "../snapshot_frames.ts";
import { CommandCodec, type SessionRef } from "./command_codec.ts";
import { type MachineRunnerOptions, parseLimits } from "./limits.ts";
import {
  type ApplyOutcome,
  outcomesOf,
  sessionExpired,
  type Step,
} from "./outcomes.ts";
import {
  parseSessions,
  readSessions,
  type RestoredSessions,
  sessionFrames,
} from "./session_snapshot.ts";
import { type SessionLimits, Sessions } from "./sessions.ts";
import type { Entry, LogIndex, SnapshotMeta } from "../core/types.ts";
import type {
  Applied,
  SnapshotSource,
  StateMachine,
} from "../state_machine.ts";

export type { SessionRef } from "./command_codec.ts";
export type { MachineRunnerOptions } from "./limits.ts";
export { type ApplyOutcome, MAX_RESULT_BYTES } from "./outcomes.ts";

const NONE_STEP: Step = { type: "none" };
const APPLY_STEP: Step = { type: "apply", slot: undefined };

/**
 * Runs one state machine by one log.
 *
 * Calls do not overlap: while a promise of `apply` or `restore` is pending,
 * neither may be called again and `snapshot` throws; `query` waits. After a
 * failed `apply` or `restore` every call fails alike, until a `restore`
 * replaces the state.
 */
export class MachineRunner<C, R, Q, A> {
  readonly #machine: StateMachine<C, R, Q, A>;
  readonly #codec: CommandCodec<C>;
  readonly #limits: SessionLimits;
  /** As of `#appliedIndex`; replaced as a whole by `restore`. */
  #sessions: Sessions;
  /** Machine and sessions hold exactly the entries up to here. */
  #appliedIndex: LogIndex = 0;
  /** The `apply` or `restore` that is not done yet. Never rejects. */
  #pending: Promise<void> | undefined;
  /** Why the machine cannot be used; sessions may be ahead of it. */
  #failure: RaftError | undefined;

  /**
   * Takes over `machine`, which is in its initial state or holds what its
   * `appliedIndex` says.
   *
   * @throws {RangeError} If an option is out of range.
   */
  constructor(
    machine: StateMachine<C, R, Q, A>,
    options: MachineRunnerOptions = {},
  ) {
    this.#machine = machine;
    this.#codec = new CommandCodec(machine.command);
    this.#limits = parseLimits(options);
    this.#sessions = new Sessions(this.#limits);
  }

  /**
   * The last entry that is in the state; 0 at first, also for a machine with a
   * disk of its own: the log is replayed to it for the sessions, and what it
   * holds is not applied to it again (H57).
   */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /**
   * Whether the log is being replayed to a machine with a disk of its own
   * that holds more; until it is done there is no state to capture.
   */
  get isReplaying(): boolean {
    return (this.#machine.appliedIndex ?? 0) > this.#appliedIndex;
  }

  /**
   * The bytes for an entry that holds `command`, checked by the machine's
   * schema; of a session if given.
   *
   * @throws {RaftError} `invalidCommand` with outcome `notAppended`.
   */
  encode(command: C, session?: SessionRef): Uint8Array {
    return this.#codec.encode(command, session);
  }

  /**
   * Applies the entries that follow `appliedIndex`, in order; one outcome
   * each. Returns no promise unless the machine does. The commands go to the
   * machine in one call. A command of a session that was applied before, in an
   * earlier batch or in this one, gets the first result again.
   *
   * @throws {RaftError} `machineFailed`, naming the entries, if the machine
   * threw or an entry cannot be decoded; `invariantBroken`, changing nothing,
   * if the entries do not follow or calls overlap.
   */
  apply(
    entries: readonly Entry[],
  ): ApplyOutcome<R>[] | Promise<ApplyOutcome<R>[]> {
    this.#assertUsable("apply");
    this.#assertFollows(entries);
    const commands: Applied<C>[] = [];
    const steps: Step[] = [];
    for (const entry of entries) {
      steps.push(this.#plan(entry, commands));
    }
    let results: R[] | Promise<R[]>;
    try {
      results = commands.length === 0 ? [] : this.#machine.apply(commands);
      if (Array.isArray(results)) {
        return this.#finish(entries, steps, results);
      }
    } catch (cause) {
      throw this.#fail(`apply ${describeRange(entries)}`, cause);
    }
    return this.#finishLater(entries, steps, results);
  }

  /**
   * Answers a query from the state as of some index ≥ the present
   * `appliedIndex`.
   *
   * @throws {RaftError} `machineFailed` if the machine threw now or failed
   * before; an error of this class that it threw itself passes unchanged.
   */
  query(query: Q): A | Promise<A> {
    if (this.#pending !== undefined) {
      return this.#pending.then(() => this.query(query));
    }
    this.#assertUsable("query");
    try {
      const answer = this.#machine.query(query);
      return answer instanceof Promise
        ? answer.catch((cause) => {
          throw queryFailed(cause);
        })
        : answer;
    } catch (cause) {
      throw queryFailed(cause);
    }
  }

  /**
   * Captures sessions and machine as of `appliedIndex`, which belongs into the
   * snapshot's meta data (H68).
   *
   * @throws {RaftError} `machineFailed`, or `invariantBroken` while an `apply`
   * or `restore` is pending or the log is replayed to a machine that is ahead.
   */
  snapshot(): SnapshotSource {
    const frames = this.sessionFrames();
    const index = this.#appliedIndex;
    let machine: SnapshotSource;
    try {
      machine = this.#machine.snapshot();
    } catch (cause) {
      throw this.#fail(`take a snapshot at ${index}`, cause);
    }
    return {
      async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
        yield* frameChunks(frames);
        yield* machine.chunks();
      },
      release: () => machine.release?.(),
    };
  }

  /**
   * What a snapshot as of `appliedIndex` begins with; the machine's own bytes
   * follow. The frames are made as they are read, while applies go on.
   *
   * @throws {RaftError} Like {@linkcode snapshot}.
   */
  sessionFrames(): Iterable<Uint8Array> {
    this.#assertUsable("take a snapshot");
    const index = this.#appliedIndex;
    if (this.isReplaying) {
      throw new RaftError(
        "invariantBroken",
        `Cannot take a snapshot at ${index}: the machine holds ` +
          `${this.#machine.appliedIndex}, the log is still being replayed`,
      );
    }
    const sessions = this.#sessions.capture();
    return { [Symbol.iterator]: () => sessionFrames(sessions, index) };
  }

  /**
   * Replaces the state by a snapshot's, from its bytes cut anywhere. Sessions
   * and `appliedIndex` change only if all of it was restored. A machine with a
   * disk of its own that already holds more keeps it.
   *
   * @throws {RaftError} `corrupt`, `unsupportedFormat` or `unsupported` if the
   * sessions cannot be restored, with nothing changed; `machineFailed` if the
   * machine refused its part; `invariantBroken` if the snapshot is older than
   * the state (H63) or calls overlap.
   */
  async restore(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    this.#assertNewer(meta);
    const work = this.#restore(meta, chunks);
    await this.#track(work);
  }

  /**
   * {@linkcode restore} for who has all bytes and cannot wait: `become` gives
   * the machine its part, unless it already holds more.
   *
   * @throws {RaftError} Like {@linkcode restore}.
   */
  restoreNow(
    meta: SnapshotMeta,
    bytes: Uint8Array,
    become: (bytes: Uint8Array) => void,
  ): void {
    this.#assertNewer(meta);
    const parser = new FrameParser(bytes);
    const restored = parseSessions(parser, this.#limits);
    assertIndex(meta, restored);
    try {
      if (!this.#holds(meta.index)) {
        become(parser.rest());
      }
    } catch (cause) {
      throw this.#fail(`restore a snapshot at ${meta.index}`, cause);
    }
    this.#adopt(restored);
  }

  /**
   * Counts everything up to `index` as applied, without applying it: a witness
   * keeps no state (thesis §11.7.2).
   *
   * @throws {RaftError} `invariantBroken` if that goes back or calls overlap.
   */
  skipTo(index: LogIndex): void {
    this.#assertIdle("skip entries");
    if (index < this.#appliedIndex) {
      throw new RaftError(
        "invariantBroken",
        `Cannot skip to ${index}: ${this.#appliedIndex} is applied`,
      );
    }
    this.#appliedIndex = index;
  }

  /**
   * A digest of the session table; see {@linkcode Sessions.checksum}. Members
   * at one `appliedIndex` must agree on it. O(results kept).
   */
  sessionChecksum(): number {
    return this.#sessions.checksum();
  }

  /** Decides one entry; the command to apply is pushed to `commands`. */
  #plan(entry: Entry, commands: Applied<C>[]): Step {
    if (entry.type !== "command") {
      return NONE_STEP;
    }
    const held = entry.index <= (this.#machine.appliedIndex ?? 0);
    try {
      const { session, command } = this.#codec.decode(entry.data);
      const step = session === undefined ? APPLY_STEP : this.#admit(session);
      if (step.type !== "apply") {
        return step;
      }
      if (held) {
        if (step.slot !== undefined) {
          step.slot.bytes = null;
        }
        return NONE_STEP;
      }
      commands.push({
        index: entry.index,
        term: entry.term,
        command: command as C, // The schema checked it before it was logged.
      });
      return step;
    } catch (cause) {
      throw this.#fail(`apply entry ${entry.index}`, cause);
    }
  }

  #admit(session: SessionRef): Step {
    const admission = this.#sessions.admit(session);
    if (admission.type !== "expired") {
      return admission;
    }
    return {
      type: "refused",
      error: sessionExpired(
        `sequence ${session.sequence} of client ${session.client} is not ` +
          `above ${admission.floor}, up to which results are no longer kept`,
      ),
    };
  }

  /** Fills the slots and makes the outcomes. */
  #finish(
    entries: readonly Entry[],
    steps: readonly Step[],
    results: readonly R[],
  ): ApplyOutcome<R>[] {
    const outcomes = outcomesOf(steps, results);
    this.#appliedIndex = entries.at(-1)?.index ?? this.#appliedIndex;
    return outcomes;
  }

  async #finishLater(
    entries: readonly Entry[],
    steps: readonly Step[],
    results: Promise<R[]>,
  ): Promise<ApplyOutcome<R>[]> {
    const finish = async (): Promise<ApplyOutcome<R>[]> => {
      try {
        return this.#finish(entries, steps, await results);
      } catch (cause) {
        throw this.#fail(`apply ${describeRange(entries)}`, cause);
      }
    };
    return await this.#track(finish());
  }

  async #restore(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const reader = new FrameReader(chunks);
    try {
      const restored = await readSessions(reader, this.#limits);
      assertIndex(meta, restored);
      try {
        if (!this.#holds(meta.index)) {
          await this.#machine.restore(reader.rest());
        }
      } catch (cause) {
        throw this.#fail(`restore a snapshot at ${meta.index}`, cause);
      }
      this.#adopt(restored);
    } finally {
      await reader.close();
    }
  }

  #adopt({ sessions, index }: RestoredSessions): void {
    this.#sessions = sessions;
    this.#appliedIndex = index;
    this.#failure = undefined;
  }

  /** Whether the machine needs no snapshot to be at least at `index`. */
  #holds(index: LogIndex): boolean {
    const { appliedIndex } = this.#machine;
    return this.#failure === undefined && appliedIndex !== undefined &&
      appliedIndex >= index;
  }

  /** Marks `work` as pending until it settles. */
  async #track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(noop, noop).then(() => {
      this.#pending = undefined;
    });
    this.#pending = settled;
    await settled;
    return await work;
  }

  #fail(action: string, cause: unknown): RaftError {
    this.#failure = new RaftError(
      "machineFailed",
      `Cannot ${action}: ${messageOf(cause)}`,
      { cause },
    );
    return this.#failure;
  }

  #assertIdle(action: string): void {
    if (this.#pending !== undefined) {
      throw new RaftError(
        "invariantBroken",
        `Cannot ${action}: an apply or restore is pending`,
      );
    }
  }

  #assertNewer({ index }: SnapshotMeta): void {
    this.#assertIdle("restore");
    if (index < this.#appliedIndex) {
      throw new RaftError(
        "invariantBroken",
        `Cannot restore a snapshot at ${index}: ` +
          `${this.#appliedIndex} is applied`,
      );
    }
  }

  #assertUsable(action: string): void {
    this.#assertIdle(action);
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
  }

  #assertFollows(entries: readonly Entry[]): void {
    let next = this.#appliedIndex + 1;
    for (const { index } of entries) {
      if (index !== next) {
        throw new RaftError(
          "invariantBroken",
          `Cannot apply entry ${index}: ${next} comes next`,
        );
      }
      next += 1;
    }
  }
}

function noop(): void {}

function assertIndex(meta: SnapshotMeta, { index }: RestoredSessions): void {
  if (index === meta.index) {
    return;
  }
  throw new RaftError(
    "corrupt",
    `Cannot restore a snapshot at ${meta.index}: its content is as of ` +
      `${index}`,
  );
}

function describeRange(entries: readonly Entry[]): string {
  const first = entries[0]?.index;
  const last = entries.at(-1)?.index;
  return first === last ? `entry ${first}` : `entries ${first} to ${last}`;
}

function queryFailed(cause: unknown): RaftError {
  return isRaftError(cause) ? cause : new RaftError(
    "machineFailed",
    `Cannot answer a query: ${messageOf(cause)}`,
    { cause },
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
