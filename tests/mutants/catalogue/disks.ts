/**
 * Bugs of what is made of lost disks.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const ELECTION = "src/core/election.ts";
const PROGRESS = "src/core/progress.ts";
const REPLICATION = "src/core/replication.ts";

/** All of them. */
export const DISKS: readonly Mutant[] = [
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
];
