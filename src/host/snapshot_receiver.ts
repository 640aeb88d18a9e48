/**
 * Receiving snapshots (thesis §5.1): the data is stored first, and only then
 * does the core hear of it.
 *
 * @module
 */
import type { InstallSnapshot } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { GroupId, SnapshotMeta } from "../core/types.ts";
import { isRaftError, RaftError } from "../errors.ts";
import type { Storage } from "../storage.ts";
import type { SnapshotTransfer } from "../transport.ts";
import type { Clock } from "./clock.ts";
import type { IgnoredReason } from "./options.ts";
import { paced, unlessAborted } from "./paced.ts";
import type { SnapshotTaker } from "./snapshot_taker.ts";

/** What the receiver needs of the core. */
export type SnapshotReceiverCore = Pick<
  RawNode,
  "term" | "commitIndex" | "appliedIndex" | "termAt" | "step"
>;

/** What receiving needs. */
export interface SnapshotReceiverOptions {
  readonly group: GroupId;
  readonly core: SnapshotReceiverCore;
  readonly storage: Pick<Storage, "snapshotWriter">;
  readonly clock: Clock;
  /** Lends the storage's writer. */
  readonly taker: Pick<SnapshotTaker, "hold" | "resume">;
  /** A snapshot could not be stored; the member goes on. */
  readonly onProblem: (meta: SnapshotMeta, error: RaftError) => void;
  /** The storage failed for good. */
  readonly onFailure: (error: unknown) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** Why a message of a sender is not to be believed; else `null`. */
export type Admission = (message: InstallSnapshot) => IgnoredReason | null;

/** A snapshot coming in. */
interface Incoming {
  readonly admit: Admission;
  readonly message: InstallSnapshot;
  readonly transfer: SnapshotTransfer;
  readonly controller: AbortController;
  /**
   * `storing`: may be given up. `installing`: its data is durable, the core
   * is about to have it.
   */
  state: "waiting" | "storing" | "installing";
  /** Whether what came of it may be of use when it comes again (H66). */
  isUseful: boolean;
  /** Resolves when storage's writer and the log are free for the next. */
  readonly ended: Promise<void>;
  readonly end: () => void;
  /** Resolves when machine and log are at the snapshot. */
  readonly installed: Promise<void>;
  readonly install: () => void;
}

/** Takes the snapshots that leaders send to one member, one at a time. */
export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  /** All that are not over, those that will be refused included. */
  readonly #arriving = new Set<Incoming>();
  /** The one that has the storage's writer (H73). */
  #current: Incoming | null = null;
  /** The one that follows. */
  #next: Incoming | null = null;
  #stopped: RaftError | null = null;

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  /** Whether one is coming in. */
  get isBusy(): boolean {
    return this.#current !== null;
  }

  /**
   * Takes a snapshot whole: resolves once the machine has it.
   *
   * @throws {RaftError} If it is refused, replaced by a newer one, or does
   * not arrive whole; then nothing of it is seen, but what came is gone on
   * with when a snapshot of the same token comes.
   */
  async receive(transfer: SnapshotTransfer, admit: Admission): Promise<void> {
    if (this.#stopped !== null) throw this.#stopped;
    const incoming = newIncoming(transfer, admit);
    this.#arriving.add(incoming);
    try {
      await this.#enter(incoming);
      await this.#check(incoming);
      await this.#store(incoming);
      await this.#install(incoming);
    } catch (error) {
      if (isRaftError(error, "storageFailed")) this.#options.onFailure(error);
      if (isRaftError(error, "snapshotFailed")) {
        this.#options.inTurn(() =>
          this.#options.onProblem(transfer.meta, error)
        );
      }
      throw error;
    } finally {
      this.#leave(incoming);
    }
  }

  /** The snapshot that the core took is durable and restored. */
  installed(): void {
    this.#current?.install();
  }

  /** Gives up what is wanted no longer. */
  tick(): void {
    const current = this.#current;
    if (current === null || current.state !== "storing") return;
    const objection = this.#objection(current);
    if (objection === null) return;
    current.isUseful = this.#isNeeded(current.message);
    current.controller.abort(objection);
  }

  /** Gives everything up; the member takes part no longer. */
  stop(error: RaftError): void {
    this.#stopped = error;
    for (const { controller } of this.#arriving) controller.abort(error);
  }

  /**
   * Waits for the place of the one before, or takes it away: the newest wins,
   * and what the core already has is not disturbed (H73).
   */
  async #enter(incoming: Incoming): Promise<void> {
    await this.#check(incoming);
    const current = this.#current;
    if (current === null) {
      this.#current = incoming;
      return;
    }
    const before = this.#next ?? current;
    if (!isNewer(incoming.message, before.message)) {
      throw refused(incoming, "a newer one is coming in");
    }
    const error = refused(before, "a newer one is coming in");
    if (before.state !== "installing") before.controller.abort(error);
    if (current.state !== "installing") current.controller.abort(error);
    this.#next = incoming;
    await unlessAborted(current.ended, incoming.controller.signal);
  }

  /** Hands the place on, if it had it. */
  #leave(incoming: Incoming): void {
    this.#arriving.delete(incoming);
    if (this.#next === incoming) this.#next = null;
    if (this.#current !== incoming) return;
    this.#current = this.#next;
    this.#next = null;
    incoming.end();
    this.#options.taker.resume();
  }

  async #store(incoming: Incoming): Promise<void> {
    const { clock, group, storage, taker } = this.#options;
    const { controller: { signal }, message, transfer } = incoming;
    const { token } = transfer;
    incoming.state = "storing";
    await unlessAborted(taker.hold(), signal);
    const writer = await storage.snapshotWriter(group, message.snapshot, {
      token,
    });
    try {
      const chunks = transfer.chunks(writer.offset);
      for await (const chunk of paced(chunks, { clock, signal })) {
        await writer.write(chunk);
      }
      await this.#check(incoming);
      if (signal.aborted) throw signal.reason;
      incoming.state = "installing";
      await writer.commit();
    } catch (error) {
      // Another failure behind the first, which is the one to tell about.
      if (incoming.isUseful) await writer.suspend().catch(() => {});
      throw error;
    } finally {
      await writer.abort();
    }
  }

  /** Only now the core hears of it, and acknowledges (H75). */
  async #install(incoming: Incoming): Promise<void> {
    const { core } = this.#options;
    const isTaken = await this.#inTurn(incoming, () => {
      const before = core.appliedIndex;
      core.step(incoming.message);
      return core.appliedIndex > before;
    });
    if (!isTaken) throw refused(incoming, "it is needed no longer");
    await unlessAborted(incoming.installed, incoming.controller.signal);
  }

  /** @throws {RaftError} If the snapshot must not, or need not, come in. */
  async #check(incoming: Incoming): Promise<void> {
    const objection = await this.#inTurn(incoming, () => {
      const { admit, message } = incoming;
      const reason = admit(message);
      if (reason !== null) {
        incoming.isUseful = false;
        return refused(incoming, reason);
      }
      const found = this.#objection(incoming);
      if (found === null) return null;
      incoming.isUseful = this.#isNeeded(message);
      // The leader learns where this member is (H63).
      this.#options.core.step(message);
      return found;
    });
    if (objection !== null) throw objection;
  }

  /**
   * Whether the state would still be of use. Its sender may lead no more, and
   * again in a moment: it sends the same then (H66).
   */
  #isNeeded({ snapshot }: InstallSnapshot): boolean {
    const { core } = this.#options;
    return snapshot.index > core.commitIndex &&
      core.termAt(snapshot.index) !== snapshot.term;
  }

  #objection(incoming: Incoming): RaftError | null {
    const { core } = this.#options;
    const { snapshot, term } = incoming.message;
    if (term < core.term) {
      return refused(incoming, `its term ${term} is below ${core.term}`);
    }
    if (snapshot.index <= core.commitIndex) {
      return refused(incoming, `${core.commitIndex} is committed here`);
    }
    if (core.termAt(snapshot.index) === snapshot.term) {
      return refused(incoming, "the log holds its last entry");
    }
    return null;
  }

  /** What `work` returns, in a turn. What it throws stops the member. */
  #inTurn<T>(incoming: Incoming, work: () => T): Promise<T> {
    const { signal } = incoming.controller;
    const answer = new Promise<T>((resolve) => {
      this.#options.inTurn(() => {
        if (!signal.aborted) resolve(work());
      });
    });
    return unlessAborted(answer, signal);
  }
}

/** What the core is told of a snapshot once it is stored. */
export function messageOf(transfer: SnapshotTransfer): InstallSnapshot {
  const { from, meta, term, to } = transfer;
  return { type: "installSnapshot", from, to, term, snapshot: meta };
}

function newIncoming(transfer: SnapshotTransfer, admit: Admission): Incoming {
  let end = () => {};
  let install = () => {};
  return {
    admit,
    message: messageOf(transfer),
    transfer,
    controller: new AbortController(),
    state: "waiting",
    isUseful: true,
    ended: new Promise((resolve) => {
      end = resolve;
    }),
    end: () => end(),
    installed: new Promise((resolve) => {
      install = resolve;
    }),
    install: () => install(),
  };
}

/** Whether `a` may replace `b`, which has the writer. */
function isNewer(a: InstallSnapshot, b: InstallSnapshot): boolean {
  return a.term > b.term ||
    (a.term === b.term && a.snapshot.index >= b.snapshot.index);
}

function refused(incoming: Incoming, why: string): RaftError {
  const { index }: SnapshotMeta = incoming.message.snapshot;
  return new RaftError(
    "unsupported",
    `Cannot take the snapshot at ${index} of member ${incoming.message.from}: ${why}`,
  );
}
