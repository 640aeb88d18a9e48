/**
 * Bugs of what counts time: leases, sleep, hanging disks.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const ELECTION = "src/core/election.ts";
const LEASE = "src/core/lease.ts";
const QUIESCE = "src/core/quiesce.ts";
const RAFT = "src/core/raft.ts";
const RAW_NODE = "src/core/raw_node.ts";
const STALL = "src/core/stall.ts";
const STEP = "src/core/step.ts";
const STEP_FOLLOWER = "src/core/step_follower.ts";

/** Leases (thesis §6.4.1). */
const LEASES: readonly Mutant[] = [
  {
    id: "lease-from-arrival",
    hazard: "H95",
    what: "a lease counts from the answer, not from the question",
    patches: [{
      file: LEASE,
      find: `const sentAt = Math.min(message.sentAt, raft.now);`,
      replace: `const sentAt = raft.now;`,
    }],
  },
  {
    id: "lease-during-transfer",
    hazard: "H99",
    what: "a leader that hands over keeps its lease",
    patches: [{
      file: LEASE,
      find:
        `if (raft.lease.isForfeited || raft.transferTarget !== null) return -Infinity;`,
      replace: ``,
    }],
  },
  {
    id: "lease-after-transfer",
    hazard: "H99, H115",
    what: "a leader trusts its lease again when its hand-over timed out",
    patches: [{
      file: LEASE,
      find:
        `if (raft.lease.isForfeited || raft.transferTarget !== null) return -Infinity;`,
      replace: `if (raft.transferTarget !== null) return -Infinity;`,
    }],
  },
  {
    id: "lease-before-commit-in-term",
    hazard: "H93",
    what: "a new leader has a lease before it knows what is committed",
    patches: [{
      file: LEASE,
      find: `if (!raft.committedInTerm) return -Infinity;`,
      replace: ``,
    }],
  },
  {
    id: "lease-promise-forgotten-at-start",
    hazard: "H95",
    what: "a restarted member hears candidates at once",
    patches: [{
      file: RAFT,
      find: `new Lease(mayHavePromised ? this.config.electionTicks : 0);`,
      replace: `new Lease(mayHavePromised ? 0 : 0);`,
    }],
  },
  {
    id: "lease-promise-not-kept",
    hazard: "H95",
    what: "a member that promised to hear no candidate does",
    patches: [{
      file: STEP,
      find:
        `if (isPromised(raft, message) || isNew && isSticky(raft, message)) {`,
      replace: `if (isNew && raft.id === 0 && isPromised(raft, message)) {`,
    }],
  },
  {
    id: "lease-promise-ends-early",
    hazard: "H95",
    what: "a promise is half as long as the leader is told",
    patches: [
      {
        file: LEASE,
        find: `raft.lease.deafTicks = electionTicks;`,
        replace: `raft.lease.deafTicks = electionTicks >> 1;`,
      },
      {
        file: STEP,
        find: `return raft.electionElapsed < electionTicks;`,
        replace: `return raft.electionElapsed < electionTicks >> 1;`,
      },
    ],
  },
  {
    id: "lease-holder-campaigns",
    hazard: "H95",
    what: "a member that promised its vote away campaigns itself",
    patches: [{
      file: ELECTION,
      find:
        `if (kind !== "transfer" && raft.lease.deafTicks > 0) return false;`,
      replace: ``,
    }],
  },
  {
    id: "lease-by-learners",
    hazard: "H95, H100",
    what: "the promises of learners make a lease",
    patches: [{
      file: LEASE,
      find: `return jointIndex(conf.voters, conf.votersOutgoing, promisedBy);`,
      replace: `return jointIndex(
    [...conf.voters, ...conf.learners],
    conf.votersOutgoing,
    promisedBy,
  );`,
    }],
  },
  {
    id: "lease-by-one-voter",
    hazard: "H95",
    what: "the latest promise makes a lease, not that of a quorum",
    patches: [{
      file: LEASE,
      find: `return jointIndex(conf.voters, conf.votersOutgoing, promisedBy);`,
      replace: `return Math.max(
    ...conf.voters.filter((id) => id !== raft.id).map(promisedBy),
  );`,
    }],
  },
  {
    id: "lease-by-one-half",
    hazard: "H95, §4.3",
    what: "in a joint configuration the promises of the new half make a lease",
    patches: [{
      file: LEASE,
      find: `return jointIndex(conf.voters, conf.votersOutgoing, promisedBy);`,
      replace: `return jointIndex(conf.voters, [], promisedBy);`,
    }],
  },
  {
    id: "lease-over-suspension",
    hazard: "H117",
    what: "a lease outlives a jump of the clock",
    patches: [
      {
        file: LEASE,
        find: `raft.lease.floorMs = raft.now;`,
        replace: ``,
      },
      {
        file: LEASE,
        find: `for (const progress of raft.tracker.progress.values()) {
    progress.promisedUntilMs = -Infinity;
  }`,
        replace: ``,
      },
    ],
  },
];

/** Sleep, and hanging disks. */
const REST: readonly Mutant[] = [
  {
    id: "sleeper-never-wakes",
    hazard: "H107",
    what: "messages do not wake a member that sleeps",
    patches: [{
      file: STEP,
      find:
        `if (raft.rest.isAsleep && isWaking(message)) wake(raft, message.from);`,
      replace: ``,
    }],
  },
  {
    id: "proposal-does-not-wake",
    hazard: "H107",
    what: "a sleeping leader appends a proposal and sleeps on",
    patches: [{
      file: RAW_NODE,
      find: `this.wake();
    return submit(this.#raft, { ticket, commands, change: null });`,
      replace: `return submit(this.#raft, { ticket, commands, change: null });`,
    }],
  },
  {
    id: "sleep-without-agreement",
    hazard: "H107",
    what: "a follower sleeps though its log is not the leader's",
    patches: [{
      file: QUIESCE,
      find: `log.lastIndex === message.commitIndex;`,
      replace: `log.lastIndex >= message.commitIndex;`,
    }],
  },
  {
    id: "sleeping-follower-unheard",
    hazard: "H107",
    what: "a follower that disagrees with the sleep keeps it to itself",
    patches: [
      {
        file: QUIESCE,
        find: `if (!agrees) {
    ping(raft, message.from);`,
        replace: `if (!agrees) {`,
      },
      {
        file: QUIESCE,
        find: `if (progress.matchIndex < log.lastIndex) return false;`,
        replace: ``,
      },
      {
        file: QUIESCE,
        find: `if (progress.state !== "replicate") return false;`,
        replace: `if (progress.nextIndex < 0) return false;`,
      },
      {
        file: STEP_FOLLOWER,
        find: `case "quiesce":
      hearLeader(raft, message.from);`,
        replace: `case "quiesce":
      raft.electionElapsed = -Infinity;`,
      },
    ],
  },
  {
    id: "stalled-leader-stays",
    hazard: "H20",
    what: "a leader whose disk hangs goes on leading",
    patches: [{
      file: STALL,
      find: `if (!isStalled(raft) || raft.transferTarget !== null) return;`,
      replace: `if (raft.id > 0) return;`,
    }],
  },
];

/** All of this file. */
export const TIME: readonly Mutant[] = [...LEASES, ...REST];
