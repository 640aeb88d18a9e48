/**
 * The checkers: they see every member after every step, and every message as
 * it leaves, and know what no member knows: all the disks.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type {
  ConfState,
  Entry,
  LogIndex,
  NodeId,
  Role,
  Term,
} from "../core/types.ts";
import {
  CommittedLog,
  EntryRegister,
  type Reign,
  VoteRegister,
} from "./committed_log.ts";
import type { SimDisk } from "./disk.ts";
import {
  checkEntryIds,
  isMajority,
  lastIndexBelow,
  termRunsThrough,
} from "./log_terms.ts";
import type { MarkCounter } from "./marks.ts";
import { fail } from "./violation.ts";

/** A member as the checkers see it. */
export interface MemberView {
  readonly id: NodeId;
  /** Counts restarts. */
  readonly life: number;
  readonly disk: SimDisk;
}

/**
 * The core checks itself in O(n) after every step that changed what it shows,
 * and after so many others: fields out of sight move then too.
 */
const MAX_UNCHECKED_STEPS = 8;

/** What a member showed after its last step. */
interface Seen {
  role: Role;
  term: Term;
  commit: LogIndex;
  applied: LogIndex;
  last: LogIndex;
  /** Whether a Ready was taken since the member was elected. */
  readySinceElected: boolean;
}

/** Checks one cluster, all its life. */
export class Oracle {
  /** What the cluster has committed. */
  readonly committed: CommittedLog = new CommittedLog();
  /** Leaders of all terms. */
  readonly reigns: ReadonlyMap<Term, Reign>;
  readonly #reigns = new Map<Term, Reign>();
  readonly #entries = new EntryRegister();
  readonly #votes = new VoteRegister();
  readonly #members: readonly MemberView[];
  readonly #marks: MarkCounter;
  readonly #seen: Seen[] = [];
  readonly #candidates = new Map<Term, Set<NodeId>>();
  #newestTerm: Term = 0;
  #unchecked = 0;

  /** Watches `members`, which may still be empty. */
  constructor(members: readonly MemberView[], marks: MarkCounter) {
    this.reigns = this.#reigns;
    this.#members = members;
    this.#marks = marks;
  }

  /** A member has started, for the first time or again. */
  started(member: MemberView, core: RawNode): void {
    const { hardState } = member.disk;
    this.#seen[member.id] = {
      role: "follower",
      term: hardState.term,
      commit: 0,
      applied: 0,
      last: member.disk.durable.lastIndex,
      readySinceElected: false,
    };
    if (core.lastIndex !== member.disk.durable.lastIndex) {
      fail(
        "logAccuracy",
        `Cannot trust the restart of ${member.id}: its last index is ${core.lastIndex}, its disk ends at ${member.disk.durable.lastIndex}`,
      );
    }
    this.observe(member, core);
  }

  /** A member has taken a step. */
  observe(member: MemberView, core: RawNode): void {
    const seen = this.#seenOf(member.id);
    const { role, term, commitIndex, appliedIndex, lastIndex } = core;
    if (term < seen.term) {
      fail(
        "monotonicTerm",
        `Member ${member.id} went back from term ${seen.term} to ${term}`,
      );
    }
    if (role !== seen.role || term !== seen.term) {
      this.#roleChanged(member, core, seen);
    }
    if (role === "leader") this.#leads(member, term, lastIndex, seen);
    if (commitIndex !== seen.commit) {
      this.#commitMoved(member, core, seen.commit);
    }
    if (appliedIndex < seen.applied || appliedIndex > commitIndex) {
      fail(
        "commitMonotonic",
        `Member ${member.id} has applied ${appliedIndex}, before ${seen.applied}, committed ${commitIndex}`,
      );
    }
    if (lastIndex > 0 && core.termAt(lastIndex) === undefined) {
      fail(
        "currentIndex",
        `Member ${member.id} has no entry at its last index ${lastIndex}`,
      );
    }
    const isChanged = role !== seen.role || term !== seen.term ||
      commitIndex !== seen.commit || appliedIndex !== seen.applied ||
      lastIndex !== seen.last;
    if (isChanged || ++this.#unchecked >= MAX_UNCHECKED_STEPS) {
      this.#unchecked = 0;
      core.check();
    }
    seen.role = role;
    seen.term = term;
    seen.commit = commitIndex;
    seen.applied = appliedIndex;
    seen.last = lastIndex;
  }

  /** A Ready was taken and is about to be written. */
  readyTaken(member: MemberView, core: RawNode, ready: Ready): void {
    const seen = this.#seenOf(member.id);
    const { written } = member.disk;
    const first = ready.entries[0];
    if (first !== undefined) {
      if (first.index > written.lastIndex + 1 || first.index < 1) {
        fail(
          "entryIds",
          `Member ${member.id} writes from ${first.index} on, its log ends at ${written.lastIndex}`,
        );
      }
      if (first.index <= written.lastIndex) {
        this.#suffixReplaced(member, core, first, seen);
      }
      checkEntryIds(member.id, ready.entries, written.termAt(first.index - 1));
    }
    if (seen.role === "leader") seen.readySinceElected = true;
  }

  /** A Ready's entries are in the member's log. */
  entriesWritten(member: MemberView, entries: readonly Entry[]): void {
    const { written } = member.disk;
    for (const { index, term } of entries) {
      if (this.#entries.note(index, term, written.digestAt(index))) continue;
      fail(
        "logMatching",
        `Member ${member.id} has another log up to (index ${index}, term ${term}) than a member before`,
      );
    }
  }

  /** Every Ready was taken: the disk's copy is the whole log. */
  readysDrained(member: MemberView, core: RawNode): void {
    const { written } = member.disk;
    const last = core.lastIndex;
    if (
      last === written.lastIndex &&
      (core.termAt(last) ?? 0) === written.lastTerm
    ) return;
    fail(
      "logAccuracy",
      `Member ${member.id} ends at (index ${last}, term ${
        core.termAt(last)
      }), what it wrote at (index ${written.lastIndex}, term ${written.lastTerm})`,
    );
  }

  /** A vote is given for good; nobody may give another one in the term. */
  votes(term: Term, voter: NodeId, candidate: NodeId): void {
    const before = this.#votes.note(term, voter, candidate);
    if (before === undefined) return;
    this.#marks.hit("voteRepeated");
    if (before === candidate) return;
    fail(
      "oneVotePerTerm",
      `Member ${voter} votes for ${candidate} in term ${term}, it had voted for ${before}`,
    );
  }

  /** The newest term that had a leader. */
  get newestTerm(): Term {
    return this.#newestTerm;
  }

  /** Whether several members stood for election in a term. */
  isContested(term: Term): boolean {
    return (this.#candidates.get(term)?.size ?? 0) > 1;
  }

  /** Whether a quorum of `conf` has (index, term) on its disks right now. */
  onQuorum(conf: ConfState, index: LogIndex, term: Term): boolean {
    const has = (id: NodeId) => {
      const view = this.#members.find((member) => member.id === id);
      return view !== undefined && view.disk.durable.termAt(index) === term;
    };
    return isMajority(conf.voters, has) &&
      (conf.votersOutgoing.length === 0 ||
        isMajority(conf.votersOutgoing, has));
  }

  #seenOf(id: NodeId): Seen {
    const seen = this.#seen[id];
    if (seen === undefined) {
      throw new RangeError(`Cannot observe member ${id}: it was not started`);
    }
    return seen;
  }

  #roleChanged(member: MemberView, core: RawNode, seen: Seen): void {
    const { role, term } = core;
    if (role === "leader") this.#elected(member, core, seen);
    if (seen.role === "leader") {
      this.#marks.hit("leaderSteppedDown");
      if (term === seen.term) this.#marks.hit("leaderLostQuorum");
    }
    if (seen.role === "candidate" && role !== "leader") {
      this.#marks.hit("candidateFailed");
      if (this.isContested(seen.term) && !this.#reigns.has(seen.term)) {
        this.#marks.hit("splitVote");
      }
    }
    if (role === "candidate") {
      const others = this.#candidates.get(term);
      if (others === undefined) {
        this.#candidates.set(term, new Set([member.id]));
      } else others.add(member.id);
    }
  }

  #elected(member: MemberView, core: RawNode, seen: Seen): void {
    const { term } = core;
    const before = this.#reigns.get(term);
    if (before !== undefined) {
      fail(
        "electionSafety",
        `Member ${member.id} (life ${member.life}) leads term ${term}, as did member ${before.node} (life ${before.life})`,
      );
    }
    this.votes(term, member.id, member.id);
    seen.readySinceElected = false;
    this.#checkCompleteness(member, core);
    const inheritedIndex = lastIndexBelow(core, term);
    this.#reigns.set(term, {
      node: member.id,
      life: member.life,
      inheritedIndex,
      inherited: termRunsThrough(core, inheritedIndex),
      lastIndex: core.lastIndex,
    });
    this.#newestTerm = Math.max(this.#newestTerm, term);
    this.#markElection(core, inheritedIndex);
  }

  #checkCompleteness(member: MemberView, core: RawNode): void {
    const index = this.committed.lastIndexBefore(core.term);
    if (index === 0) return;
    if (core.termAt(index) === this.committed.termAt(index)) return;
    fail(
      "leaderCompleteness",
      `Member ${member.id} leads term ${core.term} without the entry (index ${index}, term ${
        this.committed.termAt(index)
      }) that was committed before; it has term ${core.termAt(index)} there`,
    );
  }

  #markElection(core: RawNode, inheritedIndex: LogIndex): void {
    this.#marks.hit("leaderElected");
    if (this.#reigns.size > 1) this.#marks.hit("leaderOfLaterTerm");
    if (inheritedIndex > this.committed.lastIndex) {
      this.#marks.hit("priorTermEntriesAtElection");
      const next = this.committed.lastIndex + 1;
      if (this.onQuorum(core.conf, next, core.termAt(next) ?? 0)) {
        this.#marks.hit("figure8Threat");
      }
    }
    const longer = this.#members.some(({ disk }) =>
      disk.durable.lastIndex > inheritedIndex
    );
    if (longer) this.#marks.hit("shorterLogElected");
  }

  #leads(
    member: MemberView,
    term: Term,
    lastIndex: LogIndex,
    seen: Seen,
  ): void {
    if (seen.role === "leader" && seen.term === term && lastIndex < seen.last) {
      fail(
        "leaderAppendOnly",
        `Leader ${member.id} of term ${term} cut its log from ${seen.last} to ${lastIndex}`,
      );
    }
    const reign = this.#reigns.get(term);
    if (reign !== undefined) reign.lastIndex = lastIndex;
  }

  #suffixReplaced(
    member: MemberView,
    core: RawNode,
    first: Entry,
    seen: Seen,
  ): void {
    const { written } = member.disk;
    if (first.term !== written.termAt(first.index)) {
      this.#marks.hit("conflictTruncated");
    }
    if (seen.role === "leader" && seen.readySinceElected) {
      fail(
        "leaderAppendOnly",
        `Leader ${member.id} of term ${core.term} replaces its log from ${first.index} on`,
      );
    }
    if (
      first.index <= this.committed.lastIndex &&
      written.digestAt(first.index) === this.committed.digestAt(first.index)
    ) {
      fail(
        "committedNotPopped",
        `Member ${member.id} replaces its log from ${first.index} on, committed is ${this.committed.lastIndex}`,
      );
    }
  }

  #commitMoved(member: MemberView, core: RawNode, before: LogIndex): void {
    const { commitIndex: index, role, term } = core;
    if (index < before || index > core.lastIndex) {
      fail(
        "commitMonotonic",
        `Member ${member.id} moved its commit index from ${before} to ${index}, its log ends at ${core.lastIndex}`,
      );
    }
    if (role === "leader" && index > this.committed.lastIndex) {
      this.#leaderCommitted(member, core, index);
    }
    if (index > this.committed.lastIndex) {
      fail(
        "commitOnQuorum",
        `Member ${member.id} (${role} of term ${term}) takes ${index} for committed, the cluster has committed ${this.committed.lastIndex}`,
      );
    }
    if ((core.termAt(index) ?? 0) !== this.committed.termAt(index)) {
      fail(
        "committedForever",
        `Member ${member.id} takes (index ${index}, term ${
          core.termAt(index)
        }) for committed, the cluster has committed term ${
          this.committed.termAt(index)
        } there`,
      );
    }
  }

  #leaderCommitted(member: MemberView, core: RawNode, index: LogIndex): void {
    const { term } = core;
    const { written, durable } = member.disk;
    if (core.termAt(index) !== term) {
      fail(
        "commitOfOwnTerm",
        `Leader ${member.id} of term ${term} commits (index ${index}, term ${
          core.termAt(index)
        }) by counting`,
      );
    }
    if (!this.onQuorum(core.conf, index, term)) {
      fail(
        "commitOnQuorum",
        `Leader ${member.id} commits (index ${index}, term ${term}), which is not on the disks of a quorum`,
      );
    }
    const last = this.committed.lastIndex;
    if (written.digestAt(last) !== this.committed.digestAt(last)) {
      fail(
        "committedForever",
        `Leader ${member.id} of term ${term} has another log up to ${last} than was committed`,
      );
    }
    if (durable.lastIndex < index) this.#marks.hit("commitWithoutLeaderDisk");
    this.committed.extend(written, index, term);
  }
}
