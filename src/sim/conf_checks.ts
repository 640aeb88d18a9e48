/**
 * Configuration safety: members agree on configurations, and whoever may act
 * at this instant, by winning an election or by committing, needs somebody
 * from every quorum that another one may act with (thesis §4.1, H76, H77).
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { LogIndex, NodeId } from "../core/types.ts";
import type { CommittedLog, ConfAt } from "./committed_log.ts";
import {
  type ConfRoles,
  isQuorum,
  quorumsOverlap,
  rolesKey,
  votesIn,
} from "./conf_model.ts";
import type { MarkCounter } from "./marks.ts";
import type { MemberView } from "./oracle.ts";
import { fail } from "./violation.ts";

type ListsOf = Pick<
  ConfRoles,
  "voters" | "learners" | "learnersNext" | "staging"
>;

/** Checks the configurations of one group. */
export class ConfChecks {
  readonly #members: readonly MemberView[];
  readonly #committed: CommittedLog;
  readonly #marks: MarkCounter;
  /** Pairs of configurations that were tried out, and what came of it. */
  readonly #overlaps = new Map<string, boolean>();
  /** Ticks since a leader lost its vote. */
  readonly #handOverTicks = new Map<NodeId, number>();
  readonly #maxHandOverTicks: number;

  /** Watches `members`. */
  constructor(
    members: readonly MemberView[],
    committed: CommittedLog,
    marks: MarkCounter,
    maxHandOverTicks: number,
  ) {
    this.#maxHandOverTicks = maxHandOverTicks;
    this.#members = members;
    this.#committed = committed;
    this.#marks = marks;
  }

  /** A member has started, applied something, or changed its configuration. */
  settled(member: MemberView, core: RawNode): void {
    const { appliedIndex, conf } = core;
    // Who joins knows nothing until a leader writes to it.
    if (appliedIndex === 0 && conf.voters.length === 0) return;
    const expected = this.#committed.confAt(appliedIndex);
    if (rolesKey(conf) !== rolesKey(expected.conf)) {
      fail(
        "confAgreement",
        `Member ${member.id} has applied ${appliedIndex} and goes by ${
          rolesKey(conf)
        }, entry ${expected.index} made it ${rolesKey(expected.conf)}`,
      );
    }
  }

  /** A member goes by another configuration than before its last step. */
  switched(member: MemberView, core: RawNode): void {
    const { conf } = core;
    if (conf.votersOutgoing.length > 0) this.#marks.hit("jointEntered");
    this.#checkOverlaps(member, core);
  }

  /** A member has become leader, with these votes. */
  elected(
    member: MemberView,
    core: RawNode,
    hasVoted: (voter: NodeId) => boolean,
  ): void {
    const { conf, term } = core;
    this.#mayLead(member, core);
    if (!isQuorum(conf, hasVoted)) {
      fail(
        "electionQuorum",
        `Member ${member.id} leads term ${term} without the votes of a quorum of ${
          rolesKey(conf)
        }`,
      );
    }
    const newest = this.#committed.lastConf.conf.version;
    // Who slept as a candidate may win late, and lead nobody any more.
    if (conf.version < newest - 1 && this.#mayAct(member)) {
      fail(
        "configurationSafety",
        `Member ${member.id} leads term ${term} by configuration ${conf.version}, ${newest} is committed`,
      );
    }
    if (conf.votersOutgoing.length > 0) this.#marks.hit("electedInJoint");
    if (conf.version < newest) this.#marks.hit("electedByOlderConf");
    this.#checkOverlaps(member, core);
  }

  /**
   * A tick has passed at a member. A leader that has lost its vote looks for a
   * successor, and then goes (thesis §4.2.2, H78).
   */
  ticked({ id }: MemberView, { conf, role, term }: RawNode): void {
    if (role !== "leader" || votesIn(conf, id)) {
      this.#handOverTicks.delete(id);
      return;
    }
    const ticks = (this.#handOverTicks.get(id) ?? 0) + 1;
    this.#handOverTicks.set(id, ticks);
    if (ticks === 1) this.#marks.hit("leaderWithoutVote");
    if (ticks <= this.#maxHandOverTicks) return;
    fail(
      "leaderEligible",
      `Member ${id} still leads term ${term}, ${ticks} ticks after it lost its vote`,
    );
  }

  /** Entries behind `index` were committed: the changes among them count. */
  committed(index: LogIndex): void {
    let before = this.#committed.confAt(index);
    for (const after of this.#committed.confsAfter(index)) {
      this.#markChange(before, after);
      before = after;
    }
  }

  /** Only a voter that keeps the whole log is elected (H12, H89). */
  #mayLead(member: MemberView, { conf, term }: RawNode): void {
    if (votesIn(conf, member.id) && !conf.witnesses.includes(member.id)) return;
    fail(
      "leaderEligible",
      `Member ${member.id} leads term ${term}, by ${rolesKey(conf)} it may not`,
    );
  }

  /**
   * The configuration of a leader changed. Without a vote it may lead on until
   * somebody has taken over (thesis §4.2.2); as a witness it may not.
   */
  leadsOn(member: MemberView, { conf, term }: RawNode): void {
    if (!conf.witnesses.includes(member.id)) return;
    fail(
      "leaderEligible",
      `Member ${member.id} leads term ${term} as a witness`,
    );
  }

  #markChange(before: ConfAt, after: ConfAt): void {
    const marks = this.#marks;
    const isNow = (list: keyof ListsOf, from: keyof ListsOf) =>
      after.conf[list].some((id) => before.conf[from].includes(id));
    if (isNow("voters", "staging")) marks.hit("stagingPromoted");
    if (isNow("voters", "learners")) marks.hit("learnerPromoted");
    if (isNow("learners", "voters") || isNow("learnersNext", "voters")) {
      marks.hit("voterDemoted");
    }
    if (after.conf.witnesses.length > before.conf.witnesses.length) {
      marks.hit("witnessAdded");
    }
    if (after.conf.removed.length > before.conf.removed.length) {
      marks.hit("memberRemoved");
    }
    if (after.conf.voters.length === 1 && before.conf.voters.length > 1) {
      marks.hit("downToOneVoter");
    }
    const termAt = (index: LogIndex) => this.#committed.termAt(index);
    const { votersOutgoing } = before.conf;
    if (votersOutgoing.length === 0) return;
    marks.hit("jointLeft");
    if (termAt(before.index) !== termAt(after.index)) {
      marks.hit("jointLeftByAnother");
    }
  }

  #checkOverlaps(member: MemberView, core: RawNode): void {
    const key = rolesKey(core.conf);
    for (const other of this.#members) {
      if (other.core === undefined || other.id === member.id) continue;
      if (rolesKey(other.core.conf) === key) continue;
      if (!this.#mayAct(other) || !this.#mayAct(member)) continue;
      this.#marks.hit("confsDiffer");
      if (this.#overlap(core.conf, other.core.conf)) continue;
      fail(
        "configurationSafety",
        `Member ${member.id} may act by ${key} and member ${other.id} by ${
          rolesKey(other.core.conf)
        }: their quorums need not overlap`,
      );
    }
  }

  /**
   * Whether a member, as everything stands, may still commit as leader or win
   * an election: a quorum of its configuration has not heard of a newer term,
   * or has no newer log.
   */
  #mayAct({ id, core }: MemberView): boolean {
    if (core === undefined) return false;
    const { conf, role, term } = core;
    if (role === "leader") {
      return isQuorum(
        conf,
        (voter) =>
          voter === id ||
          (this.#viewOf(voter)?.disk.hardState.term ?? 0) <= term,
      );
    }
    if (!votesIn(conf, id) || conf.witnesses.includes(id)) return false;
    if (this.#mustApplyFirst(core)) return false;
    const { lastIndex } = core;
    const lastTerm = core.termAt(lastIndex) ?? 0;
    // Who begins with nothing helps nobody who has something (H80).
    const isNoHelp = (voter: NodeId) => {
      const loss = this.#viewOf(voter)?.loss;
      return loss?.isTurnedAway === true ||
        lastIndex > 0 && loss?.isHalfFilled === true;
    };
    if (isNoHelp(id)) return false;
    return isQuorum(conf, (voter) => {
      const log = this.#viewOf(voter)?.disk.durable;
      if (isNoHelp(voter)) return false;
      return voter === id || log === undefined || log.lastTerm < lastTerm ||
        log.lastTerm === lastTerm && log.lastIndex <= lastIndex;
    });
  }

  /** A member that knows of a committed change does not campaign before it. */
  #mustApplyFirst({ appliedIndex, commitIndex }: RawNode): boolean {
    return this.#committed.confAt(commitIndex).index > appliedIndex;
  }

  #overlap(left: ConfRoles, right: ConfRoles): boolean {
    const pair = `${rolesKey(left)} ${rolesKey(right)}`;
    const known = this.#overlaps.get(pair);
    if (known !== undefined) return known;
    const overlap = quorumsOverlap(left, right);
    this.#overlaps.set(pair, overlap);
    return overlap;
  }

  #viewOf(id: NodeId): MemberView | undefined {
    return this.#members.find((member) => member.id === id);
  }
}
