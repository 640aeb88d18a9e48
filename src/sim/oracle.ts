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
  SnapshotMeta,
  Term,
} from "../core/types.ts";
import {
  CommittedLog,
  EntryRegister,
  type Reign,
  VoteRegister,
} from "./committed_log.ts";
import { ConfChecks } from "./conf_checks.ts";
import { isQuorum, rolesKey } from "./conf_model.ts";
import type { SimDisk } from "./disk.ts";
import type { DiskLoss } from "./disk_loss.ts";
import { checkEntryIds, lastIndexBelow, termRunsThrough } from "./log_terms.ts";
import type { MarkCounter } from "./marks.ts";
import { type CheckName, fail } from "./violation.ts";

/** A member as the checkers see it. */
export interface MemberView {
  readonly id: NodeId;
  /** Counts restarts. */
  readonly life: number;
  readonly disk: SimDisk;
  /** `undefined` while the member's process is down. */
  readonly core: RawNode | undefined;
  /** What became of its disk, if something did. */
  readonly loss?: DiskLoss;
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
  conf: ConfState | undefined;
  /** Whether a Ready was taken since the member was elected. */
  readySinceElected: boolean;
}

/** What the checkers look at. */
export interface OracleParts {
  /** Everybody who was ever started; may still be empty. */
  readonly members: readonly MemberView[];
  /** The configuration the group begins with. */
  readonly conf: ConfState;
  readonly marks: MarkCounter;
  /** For how many ticks a leader may go on without a vote. */
  readonly handOverTicks: number;
  /** Checks that are left out. */
  readonly mute: readonly CheckName[];
}

/** Checks one cluster, all its life. */
export class Oracle {
  /** What the cluster has committed. */
  readonly committed: CommittedLog;
  /** Leaders of all terms. */
  readonly reigns: ReadonlyMap<Term, Reign>;
  readonly #reigns = new Map<Term, Reign>();
  readonly #entries = new EntryRegister();
  /** Who voted for whom. */
  readonly ballots: VoteRegister = new VoteRegister();
  readonly #members: readonly MemberView[];
  readonly #marks: MarkCounter;
  readonly #confs: ConfChecks;
  readonly #isDeafToTerms: boolean;
  readonly #seen: Seen[] = [];
  readonly #candidates = new Map<Term, Set<NodeId>>();
  #newestTerm: Term = 0;
  #unchecked = 0;

  /** Watches a group from its beginning. */
  constructor({ members, conf, marks, handOverTicks, mute }: OracleParts) {
    this.reigns = this.#reigns;
    this.committed = new CommittedLog(conf);
    this.#confs = new ConfChecks(members, this.committed, marks, handOverTicks);
    this.#members = members;
    this.#marks = marks;
    this.#isDeafToTerms = mute.includes("commitOfOwnTerm");
  }

  /** What a witness's log has in place of a payload that others keep. */
  omittedDigest(entry: Entry, previous: number): number {
    return this.#entries.omittedDigest(entry, previous);
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
      conf: undefined,
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
    if (role === "leader") this.#leads(member, core, seen);
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
    if (core.conf !== seen.conf || appliedIndex !== seen.applied) {
      this.#confs.settled(member, core);
    }
    if (core.conf !== seen.conf) this.#confs.switched(member, core);
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
    seen.conf = core.conf;
  }

  /** A Ready was taken and is about to be written. */
  readyTaken(member: MemberView, core: RawNode, ready: Ready): void {
    const seen = this.#seenOf(member.id);
    const { written } = member.disk;
    const { snapshot } = ready;
    if (snapshot !== undefined) this.#logReplaced(member, snapshot);
    const first = ready.entries[0];
    if (first !== undefined) {
      const last = snapshot?.index ?? written.lastIndex;
      if (first.index > last + 1 || first.index < 1) {
        fail(
          "entryIds",
          `Member ${member.id} writes from ${first.index} on, its log ends at ${last}`,
        );
      }
      if (first.index <= last) {
        this.#suffixReplaced(member, core, ready, seen);
      }
      const before = snapshot?.term ?? written.termAt(first.index - 1);
      checkEntryIds(member.id, ready.entries, before);
    }
    if (seen.role === "leader") seen.readySinceElected = true;
  }

  /** A Ready's entries are in the member's log. */
  entriesWritten(member: MemberView, entries: readonly Entry[]): void {
    const { written } = member.disk;
    const isWitness = this.committed.isWitness(member.id);
    for (const { index, term, type } of entries) {
      if (isWitness && type === "command") {
        fail(
          "witnessPayload",
          `Witness ${member.id} stores the payload of entry ${index}`,
        );
      }
      const digest = written.digestAt(index);
      const previous = written.digestAt(index - 1);
      if (this.#entries.note({ index, term }, digest, previous)) continue;
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
    const before = this.ballots.note(term, voter, candidate);
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
    return isQuorum(conf, has);
  }

  /** A snapshot tells what was committed, and by which configuration. */
  checkSnapshot(teller: string, { index, term, conf }: SnapshotMeta): void {
    const { committed } = this;
    const expected = committed.confAt(index);
    if (
      index <= committed.lastIndex && term === committed.termAt(index) &&
      rolesKey(conf) === rolesKey(expected.conf)
    ) return;
    fail(
      "snapshotTruth",
      `${teller} as of (index ${index}, term ${term}) goes by ${
        rolesKey(conf)
      }; committed there is term ${
        committed.termAt(index)
      }, and entry ${expected.index} made it ${rolesKey(expected.conf)}`,
    );
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
    this.#confs.elected(
      member,
      core,
      (voter) => this.ballots.candidateOf(term, voter) === member.id,
    );
    const termAt = (index: LogIndex) =>
      core.termAt(index) ?? this.committed.termAt(index);
    const inheritedIndex = lastIndexBelow(termAt, core.lastIndex, term);
    this.#reigns.set(term, {
      node: member.id,
      life: member.life,
      inheritedIndex,
      inherited: termRunsThrough(termAt, inheritedIndex),
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

  #leads(member: MemberView, core: RawNode, seen: Seen): void {
    const { term, lastIndex } = core;
    if (core.conf !== seen.conf) this.#confs.leadsOn(member, core);
    if (seen.role === "leader" && seen.term === term && lastIndex < seen.last) {
      fail(
        "leaderAppendOnly",
        `Leader ${member.id} of term ${term} cut its log from ${seen.last} to ${lastIndex}`,
      );
    }
    const reign = this.#reigns.get(term);
    if (reign !== undefined) reign.lastIndex = lastIndex;
  }

  /** A snapshot replaces the log: it must not hold what the snapshot ends. */
  #logReplaced({ id, disk }: MemberView, snapshot: SnapshotMeta): void {
    const { written } = disk;
    const { index } = snapshot;
    this.checkSnapshot(`The snapshot that replaces the log of ${id}`, snapshot);
    if (written.digestAt(index) !== this.committed.digestAt(index)) return;
    fail(
      "committedNotPopped",
      `Member ${id} replaces its log, which ends at ${written.lastIndex}, by a snapshot of ${index} that it holds`,
    );
  }

  #suffixReplaced(
    member: MemberView,
    core: RawNode,
    { entries, hardState }: Ready,
    seen: Seen,
  ): void {
    const { written } = member.disk;
    const [first] = entries;
    if (first === undefined) return;
    if (first.term !== written.termAt(first.index)) {
      this.#marks.hit("conflictTruncated");
    }
    if (seen.role === "leader" && seen.readySinceElected) {
      fail(
        "leaderAppendOnly",
        `Leader ${member.id} of term ${core.term} replaces its log from ${first.index} on`,
      );
    }
    // Later leaders may have committed meanwhile what this one never had. Its
    // term is not known if the member has met another one since.
    const isTermKnown = hardState === undefined ||
      hardState.term === member.disk.hardState.term;
    const term = isTermKnown ? core.term : entries.at(-1)?.term ?? 0;
    if (
      first.index <= this.committed.lastIndexBefore(term + 1) &&
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
    if (core.termAt(index) !== term && !this.#isDeafToTerms) {
      fail(
        "commitOfOwnTerm",
        `Leader ${member.id} of term ${term} commits (index ${index}, term ${
          core.termAt(index)
        }) by counting`,
      );
    }
    if (!this.onQuorum(core.conf, index, core.termAt(index) ?? 0)) {
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
    if (core.conf.votersOutgoing.length > 0) this.#marks.hit("jointCommit");
    this.committed.extend(written, index, term);
    this.#confs.committed(last);
  }

  /** A tick has passed at a member. */
  ticked(member: MemberView, core: RawNode): void {
    this.#confs.ticked(member, core);
  }
}
