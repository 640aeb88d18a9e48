/**
 * Bugs of what is made of lost disks.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const ELECTION = "src/core/election.ts";
const PROGRESS = "src/core/progress.ts";
const RAFT = "src/core/raft.ts";
const REPLICATION = "src/core/replication.ts";
const STEP_FOLLOWER = "src/core/step_follower.ts";

/** A member that begins with an empty disk, and may have had another. */
const EMPTIED: readonly Mutant[] = [
  {
    id: "wiped-member-elects",
    hazard: "H80",
    what: "a founder whose disk is empty votes like everybody",
    patches: [{
      file: ELECTION,
      find:
        `const grant = free && !(raft.fresh && message.lastLogIndex > 0) &&`,
      replace: `const grant = free &&`,
    }],
  },
  {
    id: "wiped-member-campaigns",
    hazard: "H80",
    what: "a founder campaigns with a part of the log it may have had",
    patches: [{
      file: RAFT,
      find: `!(this.fresh && this.log.lastIndex > 0) &&`,
      replace: ``,
    }],
  },
  {
    id: "wiped-member-refilled-by-any-entry",
    hazard: "H80",
    what: "an empty disk counts as full again once there is an entry on it",
    patches: [{
      file: STEP_FOLLOWER,
      find: `if (holdsTerm && matched >= leaderCommit) raft.fresh = false;`,
      replace: `if (holdsTerm || matched > 0) raft.fresh = false;`,
    }],
  },
];

/** A follower that denies what it acknowledged. */
const LOST: readonly Mutant[] = [
  {
    id: "lost-log-unnoticed",
    hazard: "H80",
    what: "a member that lacks what it acknowledged is asked for ever",
    patches: [{
      file: PROGRESS,
      find: `return this.denials >= PROOF_OF_LOSS;`,
      replace: `return this.denials < 0;`,
    }],
  },
  {
    id: "lost-log-asked-at-once",
    hazard: "H80",
    what: "a member that lacks what it acknowledged is sent it at once again",
    patches: [{
      file: REPLICATION,
      find: `if (progress.maybeDeny(index, raft.now)) return;`,
      replace: ``,
    }],
  },
  {
    id: "lost-log-at-first-denial",
    hazard: "H26, H80",
    what: "one denial, be it an old answer, proves a log lost",
    patches: [{
      file: PROGRESS,
      find: `const PROOF_OF_LOSS = 3;`,
      replace: `const PROOF_OF_LOSS = 1;`,
    }],
  },
  {
    id: "lost-log-by-copies",
    hazard: "H26, H80",
    what: "copies of one denial prove a log lost",
    patches: [{
      file: PROGRESS,
      find: `if (this.hasAsked) this.denials++;`,
      replace: `this.denials++;`,
    }],
  },
];

/** All of them. */
export const DISKS: readonly Mutant[] = [...EMPTIED, ...LOST];
