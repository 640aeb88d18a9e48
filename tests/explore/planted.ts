/**
 * Deliberate bugs, to prove that the search is able to fail (H140). They are
 * put between the core and its world, or into a core already made: nothing of
 * them is in the library.
 *
 * @module
 */
import type { Message } from "../../src/core/mod.ts";
import { RaftLog } from "../../src/core/raft_log.ts";
import type { Bounds } from "./bounds.ts";
import type { Hooks } from "./member.ts";

/** A bug, and bounds within which it shows. */
export interface PlantedBug {
  /** What is wrong, and what forbids it. */
  readonly description: string;
  readonly bounds: Partial<Bounds>;
  readonly hooks?: Hooks;
  /** Replaces parts of the core; returns what puts them back. */
  readonly patch?: () => () => void;
}

/** All bugs, by name. */
export const PLANTED_BUGS: Readonly<Record<string, PlantedBug>> = {
  voteBeforePersisted: {
    description: "a vote leaves before it is durable (H01, §3.8)",
    bounds: { terms: 1, entries: 0, crashes: 1, stalls: 1 },
    hooks: hasten("requestVoteResponse"),
  },
  acknowledgeBeforePersisted: {
    description: "entries are acknowledged before they are durable (§3.8)",
    bounds: { terms: 1, entries: 0, crashes: 0, stalls: 1 },
    hooks: hasten("appendEntriesResponse"),
  },
  voteForShorterLog: {
    description: "a candidate with less in its log gets the vote (§3.6.1)",
    bounds: { terms: 2, entries: 0, crashes: 0, stalls: 0 },
    patch: () => {
      const original = RaftLog.prototype.isUpToDate;
      RaftLog.prototype.isUpToDate = () => true;
      return () => {
        RaftLog.prototype.isUpToDate = original;
      };
    },
  },
};

/** Lets messages of a type leave before the write they wait for. */
function hasten(type: Message["type"]): Hooks {
  const isEarly = (message: Message) => message.type === type;
  return {
    onReady: (ready) => ({
      ...ready,
      messages: [
        ...ready.messages,
        ...ready.messagesAfterPersist.filter(isEarly),
      ],
      messagesAfterPersist: ready.messagesAfterPersist
        .filter((message) => !isEarly(message)),
    }),
  };
}
