/**
 * Bugs of what stands on elections and log: snapshots, reads and
 * transfers of leadership.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const MEMBERSHIP = "src/core/membership.ts";
const PRIORITY = "src/core/priority.ts";
const PROPOSALS = "src/core/proposals.ts";
const READ_ONLY = "src/core/read_only.ts";
const READS = "src/core/reads.ts";
const REPLICATION = "src/core/replication.ts";
const STEP = "src/core/step.ts";
const STEP_FOLLOWER = "src/core/step_follower.ts";
const TRANSFER = "src/core/transfer.ts";
const TERM_RUNS = "src/core/term_runs.ts";
const TICK = "src/core/tick.ts";

/** Snapshots. */
const SNAPSHOT_MUTANTS: readonly Mutant[] = [
  {
    id: "stale-snapshot-installed",
    hazard: "H63",
    what: "a snapshot older than the commit index replaces the log",
    patches: [{
      file: MEMBERSHIP,
      find: `if (snapshot.index <= log.commitIndex) {`,
      replace: `if (snapshot.index <= 0) {`,
    }],
  },
  {
    id: "snapshot-replaces-equal-log",
    hazard: "H63",
    what: "a snapshot drops acknowledged entries behind an index it shares",
    patches: [{
      file: MEMBERSHIP,
      find: `if (log.matches(snapshot)) return false;`,
      replace: ``,
    }],
  },
  {
    id: "snapshot-keeps-old-conf",
    hazard: "H69",
    what: "an installed snapshot leaves the configuration as it was",
    patches: [{
      file: MEMBERSHIP,
      find: `raft.tracker.switchTo(snapshot.conf, raft.log.lastIndex);`,
      replace: ``,
    }],
  },
  {
    id: "snapshot-with-present-conf",
    hazard: "H68, H69",
    what: "a snapshot travels with the configuration of now, not of its index",
    patches: [{
      file: REPLICATION,
      find: `term: raft.term,
    snapshot,`,
      replace: `term: raft.term,
    snapshot: { ...snapshot, conf: raft.tracker.conf },`,
    }],
  },
  {
    id: "snapshot-for-strangers",
    hazard: "H69",
    what: "a member installs a snapshot whose configuration lacks it",
    patches: [{
      file: MEMBERSHIP,
      find: `return allMembers(snapshot.conf).includes(raft.id) ||
    !raft.tracker.progress.has(raft.id);`,
      replace: `return allMembers(snapshot.conf).length > 0;`,
    }],
  },
  {
    id: "stream-not-resumed-after-snapshot",
    hazard: "H34",
    what: "a follower that took its snapshot is sent nothing more",
    patches: [{
      file: REPLICATION,
      find: `} else if (progress.matchIndex + 1 >= raft.log.firstIndex) {
    progress.becomeReplicate();
  }`,
      replace: `}`,
    }],
  },
  {
    id: "failed-snapshot-believed",
    hazard: "H34, H75",
    what: "a snapshot that failed counts as taken",
    patches: [{
      file: REPLICATION,
      find: `if (!ok) progress.pendingSnapshotIndex = 0;`,
      replace: ``,
    }],
  },
  {
    id: "boundary-term-lost",
    hazard: "H25, H29",
    what: "compaction forgets the term of the last entry that is gone",
    patches: [{
      file: TERM_RUNS,
      find: `this.prev = { term, index: through };`,
      replace: `this.prev = { term: 0, index: through };`,
    }],
  },
];

/** Reads without a write. */
const READ_MUTANTS: readonly Mutant[] = [
  {
    id: "read-before-commit-in-term",
    hazard: "H93, §6.4",
    what: "a new leader reads by a commit index of former times",
    patches: [{
      file: READS,
      find: `if (!raft.committedInTerm) {`,
      replace: `if (raft.id === 0) {`,
    }],
  },
  {
    id: "read-without-quorum",
    hazard: "H94",
    what: "a leader answers reads without asking anybody",
    patches: [{
      file: READS,
      find: `  readOnly.add(request, log.commitIndex);`,
      replace: `  answerRead(raft, request, log.commitIndex);`,
    }],
  },
  {
    id: "read-joins-open-round",
    hazard: "H96",
    what: "a read is confirmed by answers to a round that began before it",
    patches: [{
      file: READ_ONLY,
      find:
        `this.#pending.push({ from, context, round: this.#round + 1, index });`,
      replace: `const round = this.#pending.at(-1)?.round ?? this.#round + 1;
    this.#pending.push({ from, context, round, index });`,
    }],
  },
  {
    id: "read-confirmed-by-any-answer",
    hazard: "H96",
    what: "the answer to any heartbeat confirms the newest round",
    patches: [{
      file: REPLICATION,
      find:
        `if (message.round > 0) confirmReads(raft, message.from, message.round);`,
      replace:
        `confirmReads(raft, message.from, raft.readOnly.ackedBy(raft.id));`,
    }],
  },
  {
    id: "read-confirmed-by-learners",
    hazard: "H100",
    what: "learners count when a read is confirmed",
    patches: [{
      file: READS,
      find: `const confirmed = tracker.quorumIndex(readOnly.ackedBy);`,
      replace: `const confirmed = tracker.members.map(readOnly.ackedBy)
    .sort((a, b) => b - a)[tracker.conf.voters.length >> 1] ?? 0;`,
    }],
  },
  {
    id: "read-confirmed-by-one-half",
    hazard: "H94, §4.3",
    what: "in a joint configuration the new half alone confirms a read",
    patches: [{
      file: READS,
      find: `const confirmed = tracker.quorumIndex(readOnly.ackedBy);`,
      replace: `const { voters } = tracker.conf;
  const confirmed = voters.map(readOnly.ackedBy)
    .sort((a, b) => b - a)[voters.length >> 1] ?? 0;`,
    }],
  },
  {
    id: "read-alone-in-joint",
    hazard: "H94, §4.3",
    what: "the only voter of the new half reads without asking the old half",
    patches: [{
      file: READS,
      find: `[...voters, ...votersOutgoing].every((id) => id === raft.id);`,
      replace: `voters.every((id) => id === raft.id);`,
    }],
  },
  {
    id: "read-at-applied-index",
    hazard: "H93",
    what: "a read waits for what was applied, not for what is committed",
    patches: [{
      file: READS,
      find: `  readOnly.add(request, log.commitIndex);`,
      replace: `  readOnly.add(request, log.appliedIndex);`,
    }],
  },
  {
    id: "held-reads-forgotten",
    hazard: "H98",
    what: "reads that wait for the first commit of a term wait for ever",
    patches: [{
      file: REPLICATION,
      find: `releaseHeldReads(raft);`,
      replace: ``,
    }],
  },
];

/** Transfers of leadership. */
const TRANSFER_MUTANTS: readonly Mutant[] = [
  {
    id: "writes-during-transfer",
    hazard: "H112",
    what: "a leader that hands over goes on taking proposals",
    patches: [{
      file: PROPOSALS,
      find: `if (raft.transferTarget !== null || isHandingOver(raft)) {`,
      replace: `if (isHandingOver(raft)) {`,
    }],
  },
  {
    id: "transfer-never-aborted",
    hazard: "H113",
    what: "a leader whose hand-over failed never serves again",
    patches: [{
      file: TICK,
      find: `raft.transferTarget = null;`,
      replace: ``,
    }],
  },
  {
    id: "transfer-before-caught-up",
    hazard: "§3.10, H112",
    what: "the target is told to campaign before it has the whole log",
    patches: [{
      file: TRANSFER,
      find:
        `if (progress.matchIndex === raft.log.lastIndex) sendTimeoutNow(raft, target);
  else maybeSendAppend(raft, target, "always");`,
      replace: `sendTimeoutNow(raft, target);
  maybeSendAppend(raft, target, "always");`,
    }],
  },
  {
    id: "transfer-to-learner",
    hazard: "H12, H113",
    what: "leadership is handed to a learner",
    patches: [{
      file: TRANSFER,
      find:
        `return progress !== undefined && !progress.learner && !progress.lostLog &&`,
      replace: `return progress !== undefined && !progress.lostLog &&`,
    }],
  },
  {
    id: "transfer-by-pre-vote",
    hazard: "H114",
    what: "the target of a transfer asks for pre-votes first",
    patches: [{
      file: TRANSFER,
      find: `if (maybeCampaign(raft, "transfer")) return;`,
      replace: `if (maybeCampaign(raft, "preVote")) return;`,
    }],
  },
  {
    id: "transfer-refused-by-sticky",
    hazard: "H114",
    what: "members in contact with the leader are deaf to its successor",
    patches: [{
      file: STEP,
      find:
        `if (message.type === "requestVote" && message.transfer) return false;`,
      replace: ``,
    }],
  },
  {
    id: "old-timeout-now-obeyed",
    hazard: "H115",
    what: "an order to campaign is obeyed in a later term",
    patches: [{
      file: STEP,
      find: `if (message.term < raft.term) {`,
      replace:
        `if (message.term < raft.term && message.type !== "timeoutNow") {`,
    }, {
      file: STEP_FOLLOWER,
      find: `if (raft.leader === null || raft.leader === message.from) {`,
      replace: `if (raft.term > 0) {`,
    }],
  },
];

/** Preferred leaders (C24). */
const PREFERENCE_MUTANTS: readonly Mutant[] = [
  {
    id: "preferred-never-leads",
    hazard: "C24",
    what: "nobody ever hands over to a preferred member",
    patches: [{
      file: PRIORITY,
      find: `preference.fitTicks = 0;
  transfer(raft, target);`,
      replace: `preference.fitTicks = 0;`,
    }],
  },
  {
    id: "preferred-though-it-lags",
    hazard: "C24, H112",
    what: "a leader stops serving for a preferred member that lacks entries",
    patches: [{
      file: PRIORITY,
      find: `if (progress.matchIndex < raft.preference.lastIndex) continue;`,
      replace: ``,
    }],
  },
  {
    id: "preferred-though-silent",
    hazard: "C24, H113",
    what: "a leader stops serving for a preferred member that is gone",
    patches: [{
      file: PRIORITY,
      find:
        `if (progress.pace.silentTicks >= raft.config.electionTicks) continue;`,
      replace: ``,
    }],
  },
  {
    id: "preferred-at-once",
    hazard: "C24, H120",
    what: "a preferred member is handed over to before it is known to be fit",
    patches: [{
      file: PRIORITY,
      find:
        `if (preference.fitTicks < priorityTicks * preference.backOff) return;`,
      replace: `if (priorityTicks * preference.backOff < 0) return;`,
    }],
  },
  {
    id: "preferred-asked-for-ever",
    hazard: "C24, H120",
    what: "hand-overs that fail are tried again just as soon",
    patches: [{
      file: PRIORITY,
      find:
        `preference.backOff = Math.min(2 * preference.backOff, MAX_BACK_OFF);`,
      replace: `preference.backOff = Math.min(1, MAX_BACK_OFF);`,
    }],
  },
  {
    id: "equal-is-preferred",
    hazard: "C24",
    what: "a leader hands over to members that are preferred no more than it",
    patches: [
      {
        file: PRIORITY,
        find: `progress.priority <= highest) continue;`,
        replace: `progress.priority < highest) continue;`,
      },
      {
        file: PRIORITY,
        find: `if (message.priority > raft.config.priority) raft`,
        replace: `if (message.priority >= raft.config.priority) raft`,
      },
    ],
  },
];

/** All of this file. */
export const SERVICES: readonly Mutant[] = [
  ...SNAPSHOT_MUTANTS,
  ...READ_MUTANTS,
  ...TRANSFER_MUTANTS,
  ...PREFERENCE_MUTANTS,
];
