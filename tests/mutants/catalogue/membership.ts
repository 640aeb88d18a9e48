/**
 * Bugs of membership.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const CONF_CHANGE = "src/core/conf_change.ts";
const DEPARTURE = "src/core/departure.ts";
const MEMBERSHIP = "src/core/membership.ts";
const RAFT = "src/core/raft.ts";
const READS = "src/core/reads.ts";
const REPLICATION = "src/core/replication.ts";
const STEP_LEADER = "src/core/step_leader.ts";
const TRACKER = "src/core/tracker.ts";
const TRANSFER = "src/core/transfer.ts";
const VALIDATE = "src/core/validate_change.ts";
const WITNESS = "src/core/witness.ts";

/** Changes: proposed, computed, in force. */
const CHANGES: readonly Mutant[] = [
  {
    id: "change-while-one-is-pending",
    hazard: "H83",
    what: "a leader takes a change while another is not in force",
    patches: [{
      file: MEMBERSHIP,
      find:
        `if (raft.pendingConfIndex > raft.log.appliedIndex) return "changePending";`,
      replace: ``,
    }],
  },
  {
    id: "inherited-change-overlooked",
    hazard: "H76, H83",
    what: "a new leader does not expect changes among inherited entries",
    patches: [{
      file: RAFT,
      find: `this.pendingConfIndex = this.log.lastIndex;`,
      replace: ``,
    }],
  },
  {
    id: "joint-never-left",
    hazard: "H82",
    what: "nobody proposes to leave a joint configuration",
    patches: [{
      file: MEMBERSHIP,
      find: `proposeChange(raft, { change: LEAVE_JOINT });`,
      replace: ``,
    }],
  },
  {
    id: "joint-left-twice",
    hazard: "H82",
    what: "leaving a joint configuration is proposed again and again",
    patches: [
      {
        file: MEMBERSHIP,
        find:
          `if (raft.pendingConfIndex > raft.log.appliedIndex) return "changePending";`,
        replace: ``,
      },
      {
        file: MEMBERSHIP,
        find:
          `if (raft.role !== "leader" || !conf.autoLeave || !isJoint(conf)) return;
  if (raft.pendingConfIndex > raft.log.appliedIndex) return;`,
        replace:
          `if (raft.role !== "leader" || !conf.autoLeave || !isJoint(conf)) return;`,
      },
    ],
  },
  {
    id: "removed-leader-leads-on",
    hazard: "H78, §4.2.2",
    what: "a leader that applied its own removal goes on leading",
    patches: [{
      file: MEMBERSHIP,
      find: `if (isVoter(before, raft.id)) beginHandOver(raft);
      return;`,
      replace: `return;`,
    }, {
      file: DEPARTURE,
      find: `return raft.role === "leader" &&
    raft.config`,
      replace: `return raft.role === "candidate" &&
    raft.config`,
    }],
  },
  {
    id: "removed-leader-counts-itself",
    hazard: "H78, §4.2.2",
    what: "a leader counts its own log though it has no vote",
    patches: [
      {
        file: RAFT,
        find: `import { RaftLog } from "./raft_log.ts";`,
        replace: `import { majorityIndex } from "./quorum.ts";
import { RaftLog } from "./raft_log.ts";`,
      },
      {
        file: RAFT,
        find: `const index = this.tracker.quorumMatch();`,
        replace: `const { conf, progress } = this.tracker;
    const index = isVoter(conf, this.id)
      ? this.tracker.quorumMatch()
      : majorityIndex(
        [...conf.voters, this.id],
        (id) =>
          id === this.id
            ? this.log.stableIndex
            : progress.get(id)?.matchIndex,
      );`,
      },
    ],
  },
  {
    id: "two-voters-without-joint",
    hazard: "§4.1, §4.3",
    what: "any number of voters changes without a joint configuration",
    patches: [{
      file: CONF_CHANGE,
      find: `? steps.length > 1 || takesVoteBesideWitness(conf, steps)`,
      replace: `? false`,
    }, {
      file: CONF_CHANGE,
      find:
        `if (differences(conf.voters, draft.voters) > 1) return "manyVoters";`,
      replace: ``,
    }],
  },
  {
    id: "demoted-voter-vanishes",
    hazard: "§4.3",
    what: "voters that were to become learners are lost on leaving the joint",
    patches: [{
      file: CONF_CHANGE,
      find: `for (const id of draft.learnersNext) draft.learners.add(id);`,
      replace: ``,
    }],
  },
  {
    id: "demoted-voter-learns-at-once",
    hazard: "§4.3",
    what: "a voter of the old half becomes a learner before the joint is left",
    patches: [{
      file: CONF_CHANGE,
      find: `if (draft.outgoing.has(node)) draft.learnersNext.add(node);
  else draft.learners.add(node);`,
      replace: `draft.learners.add(node);`,
    }],
  },
  {
    id: "removed-id-forgotten",
    hazard: "H80",
    what: "the id of a removed member is free again",
    patches: [{
      file: CONF_CHANGE,
      find: `draft.removed.add(node);`,
      replace: ``,
    }],
  },
  {
    id: "removed-in-joint-forgotten",
    hazard: "H80",
    what: "the id of a member removed by a joint change is free again",
    patches: [{
      file: CONF_CHANGE,
      find: `if (!isMember(draft, id)) forget(draft, id);`,
      replace: `if (!isMember(draft, id)) draft.addresses.delete(id);`,
    }],
  },
  {
    id: "progress-lost-by-change",
    hazard: "H85",
    what: "a change forgets what members that stay have acknowledged",
    patches: [{
      file: TRACKER,
      find: `if (known !== undefined) {`,
      replace: `if (known !== undefined && id === 0) {`,
    }],
  },
  {
    id: "smaller-quorum-unnoticed",
    hazard: "H40",
    what: "entries that a smaller quorum holds do not commit at the change",
    patches: [{
      file: MEMBERSHIP,
      find: `const hasCommitted = raft.maybeCommit();`,
      replace: `const hasCommitted = false;`,
    }],
  },
  {
    id: "applied-change-forgotten-at-start",
    hazard: "H69",
    what: "a restarted member takes the snapshot's configuration for the last",
    patches: [{
      file: RAFT,
      find: `known.index > restored.snapshot.index`,
      replace: `known.index < restored.snapshot.index`,
    }],
  },
  {
    id: "learners-without-heartbeats",
    hazard: "H34",
    what: "heartbeats go to voters only",
    patches: [{
      file: REPLICATION,
      find: `if (id === raft.id) continue;
    const progress`,
      replace: `if (id === raft.id || raft.tracker.conf.learners.includes(id)) {
      continue;
    }
    const progress`,
    }],
  },
];

/** Removed members, new ones, and those that lost their disk. */
const MEMBERS: readonly Mutant[] = [
  {
    id: "removed-member-heard",
    hazard: "H09, §4.2.3",
    what: "the requests of removed members are heard like all others",
    patches: [{
      file: DEPARTURE,
      find:
        `if (!isBarred(raft, message.from) || message.from === raft.id) return false;`,
      replace: `if (message.from > 0) return false;`,
    }],
  },
  {
    id: "removed-member-not-told",
    hazard: "H09, H79",
    what: "removed members are turned away without a word",
    patches: [{
      file: DEPARTURE,
      find: `function tellRemoved(raft: Raft, to: NodeId): void {
`,
      replace: `function tellRemoved(raft: Raft, to: NodeId): void {
  if (to > 0) return;
`,
    }],
  },
  {
    id: "removed-member-campaigns",
    hazard: "H09",
    what: "a member that was told of its removal goes on campaigning",
    patches: [{
      file: RAFT,
      find: `this.departure.removal === null &&
      `,
      replace: ``,
    }],
  },
  {
    id: "removed-id-comes-back",
    hazard: "H80",
    what: "a removed id is taken into the configuration again",
    patches: [{
      file: VALIDATE,
      find: `if (removed.has(node)) return "removedMember";`,
      replace: ``,
    }],
  },
  {
    id: "change-against-other-conf",
    hazard: "H90",
    what: "a change is taken though the configuration is not what it expects",
    patches: [{
      file: VALIDATE,
      find:
        `if (expect !== undefined && expect !== conf.version) return "conflict";`,
      replace: ``,
    }],
  },
  {
    id: "change-without-live-quorum",
    hazard: "H81, H86",
    what: "a change is taken though its quorum is not known to live",
    patches: [{
      file: VALIDATE,
      find:
        `if (force !== true && isAtRisk(conf, result, isLive)) return "quorumAtRisk";`,
      replace: ``,
    }],
  },
  {
    id: "staging-promoted-at-once",
    hazard: "H81, §4.2.1",
    what: "a staging member gets its vote before it has caught up",
    patches: [{
      file: MEMBERSHIP,
      find: `conf.staging.find((id) => isCaughtUp(raft, id));`,
      replace: `conf.staging.at(0);`,
    }],
  },
  {
    id: "staging-never-promoted",
    hazard: "H81, §4.2.1",
    what: "a staging member that has caught up stays a learner",
    patches: [{
      file: MEMBERSHIP,
      find: `if (conf.staging.length === 0 || isJoint(conf)) return;`,
      replace: `if (conf.staging.length >= 0) return;`,
    }],
  },
];

/** Witnesses (thesis §11.7.2). */
const WITNESSES: readonly Mutant[] = [
  {
    id: "witness-campaigns",
    hazard: "H89",
    what: "a witness stands for election",
    patches: [{
      file: RAFT,
      find: `!isWitness(conf, this.id) &&`,
      replace: ``,
    }],
  },
  {
    id: "witness-majority",
    hazard: "H89",
    what: "witnesses may be a quorum among themselves",
    patches: [{
      file: CONF_CHANGE,
      find: `if (count >= majority(draft.voters.size)) return "witness";`,
      replace: ``,
    }],
  },
  {
    id: "witness-becomes-data-member",
    hazard: "H89",
    what: "a witness may become a data member and the other way round",
    patches: [{
      file: CONF_CHANGE,
      find:
        `if (old.witnesses.has(id) !== draft.witnesses.has(id)) return "witness";`,
      replace: ``,
    }],
  },
  {
    id: "witness-gets-payload",
    hazard: "H89",
    what: "a witness is sent and keeps what commands say",
    patches: [
      {
        file: REPLICATION,
        find: `const sent = isWitness(raft.tracker.conf, to)`,
        replace: `const sent = to === 0`,
      },
      {
        file: WITNESS,
        find: `if (isWitness(conf, id)) return withoutPayload(entries);`,
        replace: ``,
      },
    ],
  },
  {
    id: "witness-counts-before-data",
    hazard: "H89",
    what: "a witness is sent and counts for what data voters in step lack yet",
    patches: [{
      file: WITNESS,
      find: `if (isWaitedFor) limit`,
      replace: `if (isWaitedFor && id === 0) limit`,
    }],
  },
  {
    id: "witness-sent-before-data",
    hazard: "H89",
    what: "a witness is sent what data voters in step lack yet",
    patches: [{
      file: TRACKER,
      find: `return Math.min(
      dataLimit(this),
      witnessLimit(this, this.#self, electionTicks),
    );`,
      replace: `return dataLimit(this) + 0 * electionTicks;`,
    }],
  },
  {
    id: "witness-sent-before-leader",
    hazard: "H89",
    what: "a witness is sent what no data voter holds durably yet",
    patches: [{
      file: TRACKER,
      find: `return Math.min(
      dataLimit(this),
      witnessLimit(this, this.#self, electionTicks),
    );`,
      replace: `return witnessLimit(this, this.#self, electionTicks);`,
    }],
  },
  {
    id: "witness-reads",
    hazard: "H89",
    what: "a witness is told what index to read at",
    patches: [{
      file: READS,
      find:
        `if (leader === null || isWitness(raft.tracker.conf, id)) return false;`,
      replace: `if (leader === null) return false;`,
    }, {
      file: STEP_LEADER,
      find:
        `if (isWitness(raft.tracker.conf, message.from)) return "accepted";`,
      replace: ``,
    }],
  },
  {
    id: "transfer-to-witness",
    hazard: "H89, H113",
    what: "leadership is handed to a witness",
    patches: [{
      file: TRANSFER,
      find: `target !== raft.id &&
    !raft.tracker.conf.witnesses.includes(target);`,
      replace: `target !== raft.id;`,
    }],
  },
  {
    id: "data-member-without-payload",
    hazard: "H89",
    what: "a data member is sent entries without what they say",
    patches: [{
      file: REPLICATION,
      find: `const sent = isWitness(raft.tracker.conf, to)`,
      replace: `const sent = raft.tracker.conf.witnesses.length > 0`,
    }],
  },
];

/** All of this file. */
export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  ...CHANGES,
  ...MEMBERS,
  ...WITNESSES,
];
