/**
 * What callers ask of a member: checked, given a deadline and handed to the
 * owner of the promise.
 *
 * @module
 */
import type { LogIndex, NodeId } from "../core/types.ts";
import { RaftError } from "../errors.ts";
import type { MachineRunner, SessionRef } from "../rsm/machine_runner.ts";
import type { StopReason } from "../status.ts";
import type { Clock } from "./clock.ts";
import {
  type Committed,
  deadlineOf,
  type ProposeOptions,
  type ReadOptions,
  type WaitOptions,
} from "./options.ts";
import type { Proposals, ProposalWait } from "./proposals.ts";
import type { Reads } from "./reads.ts";
import type { Snapshots } from "./snapshots.ts";
import type { Transfers } from "./transfers.ts";

/** What calls need. */
export interface CallsOptions<C, R, Q, A> {
  readonly clock: Clock;
  /** How long calls wait if they do not say. */
  readonly timeoutMs: number;
  readonly runner: Pick<MachineRunner<C, R, Q, A>, "encode">;
  readonly proposals: Proposals<R>;
  readonly reads: Reads<Q, A>;
  readonly transfers: Transfers;
  readonly snapshots: Snapshots;
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
    const { phase, reads, serve, wake } = this.#options;
    if (phase() !== "running") return this.#refuse();
    try {
      const read = { query, ...this.#wait(options) };
      const stale = options.consistency === "stale";
      const answer = stale ? reads.addStale(read) : reads.add(read);
      if (stale) serve();
      else wake();
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
