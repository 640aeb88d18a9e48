/**
 * Bugs of the log: how it is replicated, committed, kept and applied.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const PROGRESS = "src/core/progress.ts";
const QUORUM = "src/core/quorum.ts";
const RAFT = "src/core/raft.ts";
const RAFT_LOG = "src/core/raft_log.ts";
const REPLICATION = "src/core/replication.ts";
const STEP_FOLLOWER = "src/core/step_follower.ts";
const TERM_RUNS = "src/core/term_runs.ts";
const TRACKER = "src/core/tracker.ts";

/** What is taken for committed. */
const COMMITS: readonly Mutant[] = [
  {
    id: "commit-of-earlier-term",
    hazard: "H21, §3.6.2",
    what: "an entry of an earlier term commits by counting (figure 8)",
    patches: [{
      file: RAFT,
      find:
        `if (index < from || this.log.runs.termAt(index) !== this.term) return false;`,
      replace: `if (index < from) return false;`,
    }],
  },
  {
    id: "no-noop",
    hazard: "H21, §6.4",
    what: "a new leader appends no entry of its own term",
    patches: [{
      file: RAFT,
      find: `this.log.append({ type: "noop", term: this.term, index });
    this.uncommittedFrom = index + 1;`,
      replace: `this.uncommittedFrom = index;`,
    }],
  },
  {
    id: "quorum-off-by-one",
    hazard: "H30",
    what: "half of an even number of voters is a majority",
    patches: [{
      file: QUORUM,
      find: `return Math.floor(voterCount / 2) + 1;`,
      replace: `return Math.ceil(voterCount / 2);`,
    }],
  },
  {
    id: "joint-commit-by-one-half",
    hazard: "H30, §4.3",
    what: "one half of a joint configuration commits alone",
    patches: [{
      file: QUORUM,
      find: `return Math.min(
    majorityIndex(voters, acked),
    majorityIndex(votersOutgoing, acked),
  );`,
      replace: `return majorityIndex(voters, acked);`,
    }],
  },
  {
    id: "joint-vote-by-one-half",
    hazard: "H30, §4.3",
    what: "one half of a joint configuration elects alone",
    patches: [{
      file: QUORUM,
      find: `if (incoming === outgoing) return incoming;`,
      replace:
        `if (incoming !== outgoing || voters.length > 0) return incoming;`,
    }],
  },
  {
    id: "learners-commit",
    hazard: "H30",
    what: "learners count when entries are committed",
    patches: [{
      file: TRACKER,
      find: `const index = jointIndex(voters, votersOutgoing, acked);`,
      replace: `const index = jointIndex(
      [...voters, ...this.conf.learners],
      votersOutgoing,
      acked,
    );`,
    }],
  },
  {
    id: "own-ack-before-durable",
    hazard: "H41",
    what: "a new leader counts itself for its first entry before its flush",
    patches: [{
      file: RAFT,
      find: `this.uncommittedFrom = index + 1;`,
      replace: `this.uncommittedFrom = index + 1;
    own?.maybeUpdate(index);`,
    }],
  },
  {
    id: "own-ack-of-all-written",
    hazard: "H41, H39",
    what: "a flush counts for all that was handed to the disk",
    patches: [{
      file: REPLICATION,
      find: `if (own?.maybeUpdate(raft.log.stableIndex)) {`,
      replace: `if (own?.maybeUpdate(raft.log.writtenIndex)) {`,
    }],
  },
  {
    id: "flush-of-overwritten-entry-counts",
    hazard: "H38",
    what: "the end of an old write vouches for newer entries in its place",
    patches: [{
      file: RAFT_LOG,
      find: `limit = Math.min(limit, write.firstIndex - 1);`,
      replace: `limit = Math.min(limit, this.writtenIndex);`,
    }],
  },
  {
    id: "heartbeat-commit-unbounded",
    hazard: "H28",
    what: "heartbeats carry a commit index beyond what the member has",
    patches: [{
      file: REPLICATION,
      find: `Math.min(progress.countedIndex, raft.log.commitIndex);`,
      replace: `raft.log.commitIndex;`,
    }],
  },
  {
    id: "heartbeat-without-commit",
    hazard: "H31",
    what: "heartbeats do not tell what is committed",
    patches: [{
      file: REPLICATION,
      find: `Math.min(progress.countedIndex, raft.log.commitIndex);`,
      replace: `0;`,
    }],
  },
  {
    id: "commit-not-broadcast",
    hazard: "H31",
    what: "followers hear of a commit with the next heartbeat only",
    patches: [
      {
        file: REPLICATION,
        find: `releaseHeldReads(raft);
  broadcastAppend(raft);`,
        replace: `releaseHeldReads(raft);`,
      },
    ],
  },
  {
    id: "commit-beyond-proof",
    hazard: "H24",
    what: "a follower commits entries the leader never compared",
    patches: [{
      file: STEP_FOLLOWER,
      find: `log.commitTo(Math.min(commitIndex, matched));`,
      replace: `log.commitTo(Math.min(commitIndex, log.lastIndex));`,
    }],
  },
];

/** What followers make of appends, and leaders of the answers. */
const APPENDS: readonly Mutant[] = [
  {
    id: "ack-before-durable",
    hazard: "H45, §3.8",
    what: "entries are acknowledged before they are on disk",
    patches: [{
      file: STEP_FOLLOWER,
      find:
        `function acknowledge(raft: Raft, to: NodeId, index: LogIndex): void {
  raft.sendAfterPersist({`,
      replace:
        `function acknowledge(raft: Raft, to: NodeId, index: LogIndex): void {
  raft.send({`,
    }],
  },
  {
    id: "ack-beyond-proof",
    hazard: "H24",
    what: "a follower acknowledges its last index, compared or not",
    patches: [{
      file: STEP_FOLLOWER,
      find: `acknowledge(raft, message.from, matched);`,
      replace: `acknowledge(raft, message.from, log.lastIndex);`,
    }],
  },
  {
    id: "short-append-truncates",
    hazard: "H23",
    what: "an append cuts the follower's log at its own end",
    patches: [{
      file: RAFT_LOG,
      find: `return prev.index + entries.length;
  }`,
      replace: `const end = prev.index + entries.length;
    if (end < this.lastIndex && end >= this.commitIndex) {
      this.#truncate(end + 1);
    }
    return end;
  }`,
    }],
  },
  {
    id: "conflict-kept",
    hazard: "§3.5",
    what: "a follower keeps its own entries where the leader has others",
    patches: [{
      file: RAFT_LOG,
      find: `if (entry === undefined || !this.matches(entry)) break;`,
      replace:
        `if (entry === undefined || entry.index > this.lastIndex) break;`,
    }],
  },
  {
    id: "append-below-commit-compared",
    hazard: "H25",
    what: "an append that begins below the commit index may not fit",
    patches: [{
      file: STEP_FOLLOWER,
      find: `if (prevLogIndex < log.commitIndex) {`,
      replace: `if (prevLogIndex < 0) {`,
    }],
  },
  {
    id: "prev-term-not-compared",
    hazard: "§3.5",
    what: "a follower appends behind an entry of another term",
    patches: [{
      file: RAFT_LOG,
      find: `if (!this.matches(prev)) return undefined;`,
      replace: `if (prev.index > this.lastIndex) return undefined;`,
    }],
  },
  {
    id: "missing-term-is-zero",
    hazard: "H29",
    what: "terms of missing entries are 0, and so are equal",
    patches: [
      {
        file: REPLICATION,
        find: `log.runs.termAt(progress.nextIndex - 1) === undefined ||`,
        replace: `progress.nextIndex < 1 ||`,
      },
      {
        file: RAFT_LOG,
        find: `return this.runs.termAt(id.index) === id.term;`,
        replace: `return (this.runs.termAt(id.index) ?? 0) === id.term;`,
      },
    ],
  },
  {
    id: "stale-rejection-lowers-match",
    hazard: "H26",
    what: "a late rejection takes back what was acknowledged",
    patches: [{
      file: PROGRESS,
      find: `if (rejected <= this.matchIndex) return false;`,
      replace: `this.matchIndex = Math.min(this.matchIndex, hint);`,
    }],
  },
  {
    id: "stale-rejection-moves-probe",
    hazard: "H26",
    what: "a rejection of an earlier probe moves the present one",
    patches: [{
      file: PROGRESS,
      find: `if (this.nextIndex - 1 !== rejected) return false;`,
      replace: ``,
    }],
  },
  {
    id: "hint-skips-match",
    hazard: "C04",
    what: "the way back passes over a term that both logs have",
    patches: [{
      file: TERM_RUNS,
      find: `while (i >= 0 && (this.#runs[i]?.term ?? 0) > term) i--;`,
      replace: `while (i >= 0 && (this.#runs[i]?.term ?? 0) >= term) i--;`,
    }],
  },
  {
    id: "rejected-stream-goes-on",
    hazard: "H26, H32",
    what: "a follower that rejected is streamed to as before",
    patches: [{
      file: REPLICATION,
      find: `if (progress.state === "replicate") progress.becomeProbe();
  maybeSendAppend(raft, from, "always");`,
      replace: `maybeSendAppend(raft, from, "always");`,
    }],
  },
  {
    id: "probe-success-unnoticed",
    hazard: "H32, H34",
    what: "a probe that confirms a known match changes nothing",
    patches: [{
      file: REPLICATION,
      find:
        `const probed = progress.state === "probe" && progress.matchIndex === index;`,
      replace: `const probed = false;`,
    }],
  },
  {
    id: "new-member-counted-unasked",
    hazard: "H81",
    what: "a new member counts as having the whole log",
    patches: [{
      file: TRACKER,
      find: `const added = this.#newProgress(id, 0, Math.max(lastIndex, 1));`,
      replace: `const added = this.#newProgress(id, lastIndex, lastIndex + 1);`,
    }],
  },
];

/** All of this file. */
export const REPLICATION_MUTANTS: readonly Mutant[] = [
  ...COMMITS,
  ...APPENDS,
];
