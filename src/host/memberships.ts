/**
 * Membership changes and the calls that wait for them (thesis §4).
 *
 * @module
 */
import type { ProposeOutcome, RawNode } from "../core/raw_node.ts";
import type {
  ChangeGuard,
  ConfChange,
  ConfChangeStep,
  ConfState,
  EntryId,
  LogIndex,
  NodeId,
} from "../core/types.ts";
import { RaftError } from "../errors.ts";
import type { RaftErrorCode } from "../errors.ts";
import {
  changeOf,
  isMember,
  learnersOf,
  type MembershipChange,
  type MembershipOptions,
  namedBy,
  newVotersOf,
  refusal,
  stepsOf,
} from "./membership_change.ts";
import type { WaitOptions } from "./options.ts";

/** A membership that took effect on the leader. */
export interface MembershipOutcome {
  /** The configuration in force. */
  readonly conf: ConfState;
  /** Index of the entry that made it. */
  readonly index: LogIndex;
}

/** What changes need of the core. */
export interface MembershipCore
  extends Pick<RawNode, "role" | "leader" | "conf"> {
  proposeConfChange(change: ConfChange, guard: ChangeGuard): ProposeOutcome;
  isCaughtUp(id: NodeId): boolean;
}

/** How far a change has come. */
type Stage =
  /** New voters are added as learners. */
  | "learning"
  /** They receive the log. */
  | "catchingUp"
  /** The change itself is in the log. */
  | "changing"
  /** The joint configuration is in force and will be left. */
  | "leaving";

/** The change under way. */
interface Running {
  /** The change itself; none to leave a joint configuration. */
  readonly steps: readonly ConfChangeStep[];
  /** Members that have to exist already. */
  readonly named: readonly NodeId[];
  /** Members that must not vote yet. */
  readonly added: readonly NodeId[];
  readonly newVoters: readonly NodeId[];
  readonly options: MembershipOptions;
  readonly deadline: number;
  stage: Stage;
  /** The entry that is waited for; `null` while catching up. */
  entry: EntryId | null;
  readonly resolve: (outcome: MembershipOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** The membership changes asked of one member: one at a time. */
export class Memberships {
  readonly #core: MembershipCore;
  readonly #inTurn: (work: () => void) => void;
  #running: Running | null = null;

  constructor(
    core: MembershipCore,
    inTurn: (work: () => void) => void,
  ) {
    this.#core = core;
    this.#inTurn = inTurn;
  }

  /** How many promises are unsettled. */
  get pendingCount(): number {
    return this.#running === null ? 0 : 1;
  }

  /** Makes a change; resolves once it is in force on this leader. */
  request(
    change: MembershipChange,
    options: MembershipOptions,
    deadline: number,
  ): Promise<MembershipOutcome> {
    const forced = options.force === true;
    const steps = stepsOf(change);
    if (steps.length === 0) {
      const more = "it names no member";
      return Promise.reject(
        refusal("invalidChange", { outcome: "notAppended", more }),
      );
    }
    return this.#run({
      steps,
      named: namedBy(change),
      added: (change.add ?? []).map(({ id }) => id),
      newVoters: forced ? [] : newVotersOf(change),
      learners: forced ? [] : learnersOf(change),
      options,
      deadline,
    });
  }

  /** Leaves a joint configuration that was to be left on demand. */
  leaveJoint(
    options: WaitOptions,
    deadline: number,
  ): Promise<MembershipOutcome> {
    const [steps, named, added, newVoters, learners] = [[], [], [], [], []];
    const nothing = { steps, named, added, newVoters, learners };
    return this.#run({ ...nothing, options, deadline });
  }

  /** An entry's change took effect. */
  applied(entry: EntryId, conf: ConfState): void {
    const running = this.#running;
    if (running === null) return;
    if (running.stage === "leaving") {
      if (conf.votersOutgoing.length === 0) this.#done(conf, entry.index);
      return;
    }
    if (running.entry?.index !== entry.index) return;
    if (running.entry.term !== entry.term) return this.#overwritten();
    if (running.stage === "learning") {
      running.stage = "catchingUp";
      running.entry = null;
      // The leadership may have been lost before the entry was applied.
      this.leaderChanged();
    } else if (
      conf.votersOutgoing.length > 0 && running.options.leave !== "explicit"
    ) running.stage = "leaving";
    else this.#done(conf, entry.index);
  }

  /** Everything up to `index` was applied: a replaced entry shows by that. */
  appliedThrough(index: LogIndex): void {
    const entry = this.#running?.entry ?? null;
    if (this.#running?.stage === "leaving") return;
    if (entry !== null && entry.index <= index) this.#overwritten();
  }

  /** Settles what a change of role decides. */
  leaderChanged(): void {
    const running = this.#running;
    if (running?.stage !== "catchingUp" || this.#core.role === "leader") return;
    const still = `members ${running.newVoters.join(", ")} stay learners`;
    this.#fail("leadershipLost", { outcome: "unknown", more: still });
  }

  /** Goes on once the new voters have caught up; settles what time decides. */
  tick(now: number): void {
    const running = this.#running;
    if (running === null) return;
    if (running.deadline <= now) this.#expire(running);
    else if (
      running.stage === "catchingUp" && this.#lagging(running).length === 0
    ) this.#proposeFinal(running);
  }

  /** Rejects the change under way; the member takes part no longer. */
  stop(code: RaftErrorCode, message: string): void {
    this.#settle()?.reject(
      new RaftError(code, message, { outcome: "unknown" }),
    );
  }

  #run(
    { learners, ...parts }:
      & Pick<
        Running,
        "steps" | "named" | "added" | "newVoters" | "options" | "deadline"
      >
      & { readonly learners: readonly ConfChangeStep[] },
  ): Promise<MembershipOutcome> {
    const { signal } = parts.options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#running !== null) {
      return Promise.reject(
        refusal("changePending", { outcome: "notAppended" }),
      );
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#settle()?.reject(signal?.reason);
      const forget = () => signal?.removeEventListener("abort", onAbort);
      const running: Running = {
        ...parts,
        stage: learners.length > 0 ? "learning" : "changing",
        entry: null,
        resolve: (outcome) => {
          forget();
          resolve(outcome);
        },
        reject: (error) => {
          forget();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort);
      this.#running = running;
      this.#inTurn(() => this.#begin(running, learners));
    });
  }

  #begin(running: Running, learners: readonly ConfChangeStep[]): void {
    if (this.#running !== running) return;
    if (this.#refuses(running)) return;
    const { conf } = this.#core;
    const steps = learners.filter(({ node }) => !conf.learners.includes(node));
    if (steps.length > 0) {
      this.#propose(running, { transition: "simple", steps });
    } else if (running.newVoters.length > 0) running.stage = "catchingUp";
    else this.#proposeFinal(running);
  }

  /** Refuses what must not even begin: new voters would wait in vain. */
  #refuses({ named, added, options: { expect } }: Running): boolean {
    const { conf, role } = this.#core;
    const missing = named.filter((id) => !isMember(conf, id));
    // To make a learner of one first would take its vote away.
    const voting = added.filter((id) => conf.voters.includes(id));
    const outcome = "notAppended";
    if (role !== "leader") this.#fail("notLeader", { outcome });
    else if (expect !== undefined && expect !== conf.version) {
      this.#fail("conflict", { outcome });
    } else if (missing.length > 0) {
      this.#fail("unknownMember", { outcome, more: missing.join(", ") });
    } else if (voting.length > 0) {
      const more = `members ${voting.join(", ")} vote already`;
      this.#fail("invalidChange", { outcome, more });
    } else return false;
    return true;
  }

  #proposeFinal(running: Running): void {
    const isFirst = running.stage !== "catchingUp";
    const { steps, options } = running;
    running.stage = "changing";
    this.#propose(running, changeOf(steps, this.#core.conf, options), isFirst);
    // The leader's own changes, a promotion say, are over in a moment.
    if (!isFirst && running.entry === null) running.stage = "catchingUp";
  }

  #propose(running: Running, change: ConfChange, isFirst = true): void {
    const core = this.#core;
    const { expect, force } = running.options;
    if (core.role !== "leader") {
      return this.#fail("notLeader", { outcome: "notAppended" });
    }
    const outcome = core.proposeConfChange(change, {
      // Once it has begun, nobody else changes anything under this leader.
      expect: isFirst ? expect : undefined,
      force,
    });
    if (outcome.type === "appended") {
      running.entry = { term: outcome.term, index: outcome.index };
    } else if (outcome.type === "dropped") {
      if (outcome.reason === "changePending" && !isFirst) return;
      this.#fail(outcome.reason, { outcome: "notAppended" });
    }
  }

  #lagging(running: Running): NodeId[] {
    return running.newVoters.filter((id) => !this.#core.isCaughtUp(id));
  }

  #expire(running: Running): void {
    const more = running.stage === "catchingUp"
      ? `members ${this.#lagging(running).join(", ")} have not caught up`
      : undefined;
    this.#fail("timeout", { outcome: "unknown", more });
  }

  #overwritten(): void {
    this.#fail("leadershipLost", { outcome: "notAppended" });
  }

  #done(conf: ConfState, index: LogIndex): void {
    this.#settle()?.resolve({ conf, index });
  }

  #fail(
    reason: Parameters<typeof refusal>[0],
    about: Parameters<typeof refusal>[1],
  ): void {
    const { leader } = this.#core;
    this.#settle()?.reject(refusal(reason, { ...about, leader }));
  }

  #settle(): Running | null {
    const running = this.#running;
    this.#running = null;
    return running;
  }
}
