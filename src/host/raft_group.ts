/**
 * A group, as its users see it.
 *
 * @module
 */
import type { GroupId, LogIndex, NodeId } from "../core/types.ts";
import type { GroupEvent, GroupStatus } from "../status.ts";
import { backupOf, type GroupBackup } from "./backup.ts";
import type { Clock } from "./clock.ts";
import type { Member } from "./member.ts";
import type {
  MembershipChange,
  MembershipOptions,
} from "./membership_change.ts";
import type { MembershipOutcome } from "./memberships.ts";
import type {
  BackupOptions,
  Committed,
  ProposeOptions,
  ReadOptions,
  WaitOptions,
} from "./options.ts";
import { MemberSession, type Session } from "./session.ts";

/**
 * This process's member of one group: proposes, reads, watches. Made by
 * `RaftHost.startGroup` and `startNode`.
 *
 * @typeParam C Commands of the machine
 * @typeParam R Results of commands
 * @typeParam Q Queries
 * @typeParam A Answers to queries
 */
export interface RaftGroup<C, R, Q, A> extends AsyncDisposable {
  /** Which group. */
  readonly group: GroupId;

  /** Which member of it this is. */
  readonly node: NodeId;

  /** Promises of proposals, reads, transfers and snapshots not settled. */
  readonly pendingCount: number;

  /**
   * Replicates a command. Resolves with the machine's result once a quorum
   * has the command on disk and this member has applied it. Waits through
   * elections; a member that does not lead passes the command on.
   *
   * Every rejection tells by `outcome` what became of the command:
   * `notAppended` (it will never be applied: propose it again) or `unknown`
   * (it may still be applied: see {@linkcode RaftGroup.session}). An aborted
   * wait rejects with the signal's reason, and its outcome is unknown.
   *
   * @throws {RaftError} `invalidCommand`, `tooLarge`, `overloaded`,
   * `notLeader`, `noLeader`, `notMember`, `leadershipLost`, `timeout`, or the
   * code with which the member stopped.
   */
  propose(command: C, options?: ProposeOptions): Promise<Committed<R>>;

  /**
   * Replicates commands together: they are appended next to each other in one
   * step, all or none, which costs little more than one command (thesis
   * §10.2). Resolves with what each came to, in their order, once the last is
   * applied. At most 16 384 commands, together no larger than one command may
   * be (`maxEntryBytes`).
   *
   * A rejection with `notAppended` means that none will ever be applied. With
   * `unknown` any number of them may be, counted from the first: a new leader
   * may have received only these.
   *
   * @throws {RaftError} As {@linkcode RaftGroup.propose}.
   */
  proposeAll(
    commands: readonly C[],
    options?: ProposeOptions,
  ): Promise<Committed<R>[]>;

  /**
   * Answers a query, by default as of a moment after the call (linearizable).
   * On any member.
   *
   * @throws {RaftError} `noLeader`, `notLeader`, `timeout`, `overloaded`, or
   * the code with which the member stopped.
   */
  read(query: Q, options?: ReadOptions): Promise<A>;

  /**
   * A client whose commands are applied exactly once.
   *
   * @param client Names the client in all its lives: 1 to 128 printable ASCII
   * characters.
   */
  session(client: string): Session<C, R>;

  /** This member at this instant; cheap, and never changes afterwards. */
  status(): GroupStatus;

  /**
   * What happens to this member. Every iteration first gets role, leader and
   * membership as they are, then each change in order, and ends after
   * `stopped` or when the signal aborts. Whoever reads too slowly is told how
   * many events were `dropped`.
   */
  events(
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<GroupEvent>;

  /**
   * Hands the leadership to another voter (thesis §3.10). Resolves once that
   * one leads, as far as this member sees. While it lasts the leader holds
   * proposals back.
   *
   * @param to Who is to lead; on the leader it may be left out, then the
   * voter with the longest log is taken.
   * @throws {RaftError} `notMember` if `to` cannot lead, `notLeader`,
   * `unreachable` if it did not take over, `leadershipLost`, `timeout`.
   */
  transferLeadership(to?: NodeId, options?: WaitOptions): Promise<void>;

  /**
   * Stores a snapshot of the machine as it is now and cuts the log below it
   * (thesis §5.1), without waiting for the next automatic one. Writes go on
   * meanwhile. Resolves once it is durable, with the last index it holds: at
   * least what was applied at the call; 0 if nothing was.
   *
   * @throws {RaftError} `unsupported` if the storage stores no snapshots,
   * `timeout`, or the code with which the member stopped.
   */
  snapshot(options?: WaitOptions): Promise<LogIndex>;

  /**
   * Captures the state of this instant, to be streamed elsewhere: sessions,
   * machine, configuration, with a manifest and a digest (see
   * {@linkcode GroupBackup}). On any member; writes go on meanwhile. Resolves
   * once the state is captured, which costs no more than a snapshot's start.
   *
   * @throws {RaftError} `noLeader` or `timeout` if nobody confirms what was
   * acknowledged (see `consistency`), `overloaded`, `unsupported` on a
   * witness, `machineFailed`, or the code with which the member stopped.
   */
  backup(options?: BackupOptions): Promise<GroupBackup>;

  /**
   * Changes who takes part, all at once: more than one voter changes through a
   * joint configuration (thesis §4.3), so that at no time two majorities can
   * decide without each other. New voters receive the log first, as learners,
   * and vote once they have caught up (thesis §4.2.1); wait long enough for
   * that. A new member is to be started with `join`, before or after. Resolves
   * once the change is in force on this leader. What is in force already, the
   * learners of a change that failed for one, needs not be undone: the same
   * call may be repeated.
   *
   * A leader that removes itself hands over first. Ids of removed members are
   * never used again; such a member stops with code `removed`.
   *
   * @throws {RangeError | TypeError} If an id, address or role is malformed.
   * @throws {RaftError} `notLeader`, `changePending` while another change is
   * under way, `conflict` with `expect`, `invalidChange` (no voters left, as
   * many witnesses as would make a quorum, a witness that is to keep data, a
   * voter that is to join again, …),
   * `unknownMember`, `removedMember`, `quorumAtRisk` if no quorum of the
   * result is known to live (see `force`), `transferring`, `leadershipLost`,
   * `timeout`. `outcome` tells whether it may still come into force.
   */
  changeMembership(
    change: MembershipChange,
    options?: MembershipOptions,
  ): Promise<MembershipOutcome>;

  /**
   * Leaves the joint configuration that a change with `leave: "explicit"`
   * entered (thesis §4.3). Resolves once the new one is in force alone.
   *
   * @throws {RaftError} As {@linkcode RaftGroup.changeMembership}.
   */
  leaveJoint(options?: WaitOptions): Promise<MembershipOutcome>;

  /**
   * A follower forgets who leads and so hears candidates at once, where it
   * otherwise ignores them for an election timeout. For operators who know
   * that the leader is gone. Nothing on a leader, or with `leaseReads`.
   */
  forgetLeader(): void;

  /**
   * Takes no more proposals, lets pending ones finish, hands the leadership
   * over, each for about an election timeout at most; then settles everything
   * and writes what is left to write. Idempotent.
   */
  stop(): Promise<void>;

  /** Stops; for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a group is made of. */
export interface LocalGroupParts<C, R, Q, A> {
  readonly member: Member<C, R, Q, A>;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly deployment: string;
  /** What else ends with the group. */
  readonly afterStop: (() => Promise<void>) | undefined;
}

/** A group whose member runs in this process. */
export class LocalGroup<C, R, Q, A> implements RaftGroup<C, R, Q, A> {
  readonly #parts: LocalGroupParts<C, R, Q, A>;
  #stopping: Promise<void> | null = null;

  constructor(parts: LocalGroupParts<C, R, Q, A>) {
    this.#parts = parts;
  }

  get group(): GroupId {
    return this.#parts.member.group;
  }

  get node(): NodeId {
    return this.#parts.member.node;
  }

  get pendingCount(): number {
    return this.#parts.member.pendingCount;
  }

  propose(command: C, options: ProposeOptions = {}): Promise<Committed<R>> {
    return this.#parts.member.calls.propose(command, options);
  }

  proposeAll(
    commands: readonly C[],
    options: ProposeOptions = {},
  ): Promise<Committed<R>[]> {
    return this.#parts.member.calls.proposeAll(commands, options);
  }

  read(query: Q, options: ReadOptions = {}): Promise<A> {
    return this.#parts.member.calls.read(query, options);
  }

  session(client: string): Session<C, R> {
    const { clock, member, timeoutMs } = this.#parts;
    return new MemberSession(client, {
      clock,
      timeoutMs,
      propose: (command, options, session) =>
        member.calls.propose(command, options, session),
    });
  }

  status(): GroupStatus {
    return this.#parts.member.status();
  }

  events(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncIterable<GroupEvent> {
    return this.#parts.member.events(options);
  }

  transferLeadership(to?: NodeId, options: WaitOptions = {}): Promise<void> {
    return this.#parts.member.calls.transferLeadership(to, options);
  }

  snapshot(options: WaitOptions = {}): Promise<LogIndex> {
    return this.#parts.member.calls.snapshot(options);
  }

  async backup(options: BackupOptions = {}): Promise<GroupBackup> {
    const { clock, deployment, member } = this.#parts;
    const { group } = this;
    const capture = await member.calls.capture(options);
    return backupOf(capture, { clock, deployment, group });
  }

  changeMembership(
    change: MembershipChange,
    options: MembershipOptions = {},
  ): Promise<MembershipOutcome> {
    return this.#parts.member.calls.changeMembership(change, options);
  }

  leaveJoint(options: WaitOptions = {}): Promise<MembershipOutcome> {
    return this.#parts.member.calls.leaveJoint(options);
  }

  forgetLeader(): void {
    this.#parts.member.calls.forgetLeader();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    await this.#parts.member.stop();
    await this.#parts.afterStop?.();
  }
}
