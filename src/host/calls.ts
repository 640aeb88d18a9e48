/**
 * What callers ask of a member: checked, given a deadline and handed to the
 * owner of the promise.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { LogIndex, NodeId } from "../core/types.ts";
import { RaftError } from "../errors.ts";
import type { MachineRunner, SessionRef } from "../rsm/machine_runner.ts";
import type { StopReason } from "../status.ts";
import type { Clock } from "./clock.ts";
import {
  checkMembershipChange,
  type MembershipChange,
  type MembershipOptions,
} from "./membership_change.ts";
import type { MembershipOutcome, Memberships } from "./memberships.ts";
import {
  type BackupOptions,
  type Committed,
  deadlineOf,
  type ProposeOptions,
  type ReadConsistency,
  type ReadOptions,
  type WaitOptions,
} from "./options.ts";
import type { Proposals, ProposalWait } from "./proposals.ts";
import type { NewRead, Reads } from "./reads.ts";
import type { Capture } from "./snapshot_taker.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Transfers } from "./transfers.ts";

/** What calls need. */
export interface CallsOptions<C, R, Q, A> {
  readonly clock: Clock;
  /** How long calls wait if they do not say. */
  readonly timeoutMs: number;
  readonly core: Pick<
    RawNode,
    "id" | "commitIndex" | "conf" | "leader" | "forgetLeader"
  >;
  readonly runner: Pick<MachineRunner<C, R, Q, A>, "encode">;
  readonly proposals: Proposals<R>;
  readonly reads: Reads<Q, A>;
  readonly transfers: Transfers;
  readonly memberships: Memberships;
  readonly snapshots: Snapshots;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
  /** Asks for a turn. */
  readonly wake: () => void;
  /** Answers what can be answered at once. */
  readonly serve: () => void;
  /** How far the member is on its way out. */
  readonly phase: () => "running" | "stopping" | "stopped";
  /** What callers are told once it is. */
  readonly stopError: () => [StopReason["code"], string];
}

/** The calls of one member. None throws; what goes wrong is a rejection. */
export class Calls<C, R, Q, A> {
  readonly #options: CallsOptions<C, R, Q, A>;

  constructor(options: CallsOptions<C, R, Q, A>) {
    this.#options = options;
  }

  /** Proposes a command, of a session if given. */
  propose(
    command: C,
    options: ProposeOptions,
    session?: SessionRef,
  ): Promise<Committed<R>> {
    const { phase, proposals, runner, wake } = this.#options;
    if (phase() !== "running") return this.#refuseProposal();
    try {
      this.#assertKeepsData("propose", "notAppended");
      const committed = proposals.add({
        data: runner.encode(command, session),
        ...this.#wait(options),
      });
      wake();
      return committed;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Proposes commands, appended all or none. */
  proposeAll(
    commands: readonly C[],
    options: ProposeOptions,
  ): Promise<Committed<R>[]> {
    const { phase, proposals, runner, wake } = this.#options;
    if (phase() !== "running") return this.#refuseProposal();
    try {
      this.#assertKeepsData("propose", "notAppended");
      const data = commands.map((command) => runner.encode(command));
      const committed = proposals.addAll(data, this.#wait(options));
      wake();
      return committed;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Answers a query. */
  read(query: Q, options: ReadOptions): Promise<A> {
    const { phase, serve, wake } = this.#options;
    if (phase() !== "running") return this.#refuse();
    try {
      this.#assertKeepsData("read");
      const { consistency = "linearizable" } = options;
      const read = { query, ...this.#wait(options) };
      const answer = this.#addRead(read, consistency);
      if (consistency !== "linearizable") serve();
      if (consistency !== "stale") wake();
      return answer;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Hands the leadership over; also by a member that is stopping. */
  transferLeadership(
    to: NodeId | undefined,
    options: WaitOptions,
  ): Promise<void> {
    const { phase, transfers } = this.#options;
    if (phase() === "stopped") return this.#refuse();
    try {
      return transfers.request(to, this.#deadline(options), options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Changes who takes part. */
  changeMembership(
    change: MembershipChange,
    options: MembershipOptions,
  ): Promise<MembershipOutcome> {
    const { memberships, phase } = this.#options;
    if (phase() !== "running") return this.#refuseProposal();
    try {
      checkMembershipChange(change);
      return memberships.request(change, options, this.#deadline(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Leaves a joint configuration. */
  leaveJoint(options: WaitOptions): Promise<MembershipOutcome> {
    const { memberships, phase } = this.#options;
    if (phase() !== "running") return this.#refuseProposal();
    try {
      return memberships.leaveJoint(options, this.#deadline(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Forgets who leads. */
  forgetLeader(): void {
    const { core, inTurn } = this.#options;
    inTurn(() => core.forgetLeader());
  }

  /** Takes a snapshot of what is applied; also by a member that is stopping. */
  snapshot(options: WaitOptions): Promise<LogIndex> {
    const { phase, snapshots } = this.#options;
    if (phase() === "stopped") return this.#refuse();
    try {
      return snapshots.request(this.#deadline(options), options.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Captures the state, with every write in it that was acknowledged before;
   * `stale`: as far as this member has come.
   */
  async capture(options: BackupOptions): Promise<Capture> {
    const { phase, reads, snapshots, wake } = this.#options;
    if (phase() !== "running") return await this.#refuse();
    this.#assertKeepsData("back up");
    const wait = this.#wait({ ...options, forward: true });
    if (options.consistency !== "stale") {
      const reached = reads.barrier(wait);
      wake();
      await reached;
    }
    if (phase() === "stopped") return await this.#refuse();
    return await snapshots.capture(wait.deadline, wait.signal);
  }

  #addRead(read: NewRead<Q>, consistency: ReadConsistency): Promise<A> {
    const { core, reads } = this.#options;
    switch (consistency) {
      case "linearizable":
        return reads.add(read);
      case "lease":
        return reads.addLeased(read, core.commitIndex);
      case "stale":
        return reads.addStale(read);
    }
  }

  /** @throws {RaftError} `unsupported` on a witness: it has no state. */
  #assertKeepsData(what: string, outcome?: "notAppended"): void {
    const { conf, id, leader } = this.#options.core;
    if (!conf.witnesses.includes(id)) return;
    throw new RaftError(
      "unsupported",
      `Cannot ${what}: member ${id} is a witness and keeps no data`,
      { leader, outcome },
    );
  }

  #wait(options: ProposeOptions): ProposalWait {
    return {
      deadline: this.#deadline(options),
      forward: options.forward ?? true,
      signal: options.signal,
    };
  }

  #deadline({ timeoutMs }: WaitOptions): number {
    const { clock, timeoutMs: usual } = this.#options;
    return deadlineOf(clock.now(), timeoutMs, usual);
  }

  #refuse<T>(): Promise<T> {
    return Promise.reject(new RaftError(...this.#options.stopError()));
  }

  #refuseProposal<T>(): Promise<T> {
    return Promise.reject(
      new RaftError(...this.#options.stopError(), { outcome: "notAppended" }),
    );
  }
}
