/**
 * Handing the leadership over (thesis §3.10), and the calls that wait for it.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { NodeId } from "../core/types.ts";
import type { RaftErrorCode } from "../errors.ts";
import { RaftError } from "../errors.ts";

/** What a transfer needs of the core. */
export type TransferCore = Pick<
  RawNode,
  "id" | "role" | "leader" | "conf" | "status" | "transferLeadership"
>;

/** What transfers are made of. */
export interface TransfersOptions {
  readonly core: TransferCore;
  /** Whether a member was heard of within the last election timeout. */
  readonly isAlive: (id: NodeId) => boolean;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** A call that waits for `to` to lead. */
interface Waiting {
  /** Known once the core was asked. */
  to: NodeId | null;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** All transfers of one member that callers wait for. */
export class Transfers {
  readonly #options: TransfersOptions;
  /** Few: a leader hands over to one member at a time. */
  #waiting: Waiting[] = [];

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#waiting.length;
  }

  /**
   * Asks for `to`, or for whoever is best prepared, to lead. Resolves once
   * that one does.
   */
  request(
    to: NodeId | undefined,
    deadline: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiting.reject(signal?.reason);
      const settle = () => {
        signal?.removeEventListener("abort", onAbort);
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
      };
      const waiting: Waiting = {
        to: null,
        deadline,
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort);
      this.#waiting.push(waiting);
      this.#options.inTurn(() => this.#begin(to, waiting));
    });
  }

  /**
   * On a leader, the voter that is best prepared to lead: alive, and with the
   * longest log known. `undefined` if there is none.
   */
  successor(): NodeId | undefined {
    const { core, isAlive } = this.#options;
    if (core.role !== "leader") return undefined;
    const status = core.status();
    let best: { readonly id: NodeId; readonly matchIndex: number } | undefined;
    for (const peer of status.progress) {
      if (peer.id === core.id || !isAlive(peer.id)) continue;
      if (!this.#mayLead(peer.id)) continue;
      if (best === undefined || peer.matchIndex > best.matchIndex) best = peer;
    }
    return best?.id;
  }

  /** Settles what a change of role or leader decides. */
  leaderChanged(): void {
    const { leader, role } = this.#options.core;
    if (leader === null) return;
    for (const waiting of this.#waiting) {
      if (waiting.to === leader) waiting.resolve();
      else if (role !== "leader" && waiting.to !== null) {
        waiting.reject(
          refused(
            "leadershipLost",
            `member ${leader} leads, not member ${waiting.to}`,
            leader,
          ),
        );
      }
    }
  }

  /** Settles what time decides: the core gives a target one timeout (H113). */
  tick(now: number): void {
    if (this.#waiting.length === 0) return;
    const { core } = this.#options;
    const givenUp = core.role === "leader" &&
      core.status().transferTarget === null;
    for (const waiting of this.#waiting) {
      if (givenUp && waiting.to !== null) {
        waiting.reject(
          refused(
            "unreachable",
            `member ${waiting.to} did not take over within an election timeout`,
            core.leader,
          ),
        );
      } else if (waiting.deadline <= now) {
        waiting.reject(
          refused("timeout", "the deadline passed", core.leader),
        );
      }
    }
  }

  /** Rejects everything; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    for (const { reject } of this.#waiting) {
      reject(new RaftError(code, message));
    }
  }

  #begin(to: NodeId | undefined, waiting: Waiting): void {
    if (!this.#waiting.includes(waiting)) return;
    const { core } = this.#options;
    const target = to ?? this.successor();
    if (target === undefined) {
      waiting.reject(
        core.role === "leader"
          ? refused("unreachable", "no other voter was heard of lately", null)
          : refused(
            "notLeader",
            "only the leader knows who is best prepared, name a member",
            core.leader,
          ),
      );
    } else if (core.leader === target) waiting.resolve();
    else if (!this.#mayLead(target)) {
      waiting.reject(
        refused(
          "notMember",
          `member ${target} is no voter that may lead`,
          core.leader,
        ),
      );
    } else {
      waiting.to = target;
      core.transferLeadership(target);
    }
  }

  #mayLead(id: NodeId): boolean {
    const { voters, witnesses } = this.#options.core.conf;
    return voters.includes(id) && !witnesses.includes(id);
  }
}

function refused(
  code: RaftErrorCode,
  why: string,
  leader: NodeId | null,
): RaftError {
  return new RaftError(code, `Cannot transfer leadership: ${why}`, { leader });
}
