/**
 * Deliberate bugs, to prove that the simulator is able to fail (A04, H140).
 * They exist only here: hooks between the parts of a run, and methods of the
 * core and of the sessions that are replaced for as long as a run lasts. The core's own
 * `check()` is off meanwhile, so that the checkers have to find them.
 *
 * @module
 */
import type { Message } from "../../src/core/message.ts";
import { Inflights } from "../../src/core/inflights.ts";
import { Raft } from "../../src/core/raft.ts";
import { RaftLog } from "../../src/core/raft_log.ts";
import { RawNode, type RawNodeOptions } from "../../src/core/raw_node.ts";
import type { Ready } from "../../src/core/ready.ts";
import type { Entry, EntryId, LogIndex } from "../../src/core/types.ts";
import { Sessions } from "../../src/rsm/sessions.ts";
import type { FailureKind, SimHooks } from "../../src/sim/mod.ts";

/** A bug that can be switched on. */
export interface Bug {
  /** What is wrong, and what forbids it. */
  readonly description: string;
  /** What it breaks. */
  readonly breaks: FailureKind;
  readonly hooks?: SimHooks;
  /** Replaces parts of it; returns what puts them back. */
  readonly patch?: () => () => void;
}

/** All bugs, by the name that the command line takes. */
export const BUGS: Readonly<Record<string, Bug>> = {
  voteBeforePersisted: {
    description: "a vote leaves before it is durable (H01, §3.8)",
    breaks: "safety",
    hooks: { onReady: (_, ready) => hasten(ready, "requestVoteResponse") },
  },
  acknowledgeBeforeFlush: {
    description: "entries are acknowledged before they are durable (H45)",
    breaks: "safety",
    hooks: { onReady: (_, ready) => hasten(ready, "appendEntriesResponse") },
  },
  commitOfEarlierTerm: {
    description: "an entry of an earlier term commits by counting (H21)",
    breaks: "safety",
    patch: () => {
      const original = Raft.prototype.maybeCommit;
      return replace(Raft.prototype, "maybeCommit", function (this: Raft) {
        const index = this.tracker.quorumMatch();
        return this.log.runs.termAt(index) === this.term
          ? original.call(this)
          : this.log.commitTo(index);
      });
    },
  },
  conflictNotTruncated: {
    description: "a conflicting suffix stays in the follower's log (§3.5)",
    breaks: "safety",
    patch: () => replace(RaftLog.prototype, "maybeAppend", appendBehind),
  },
  truncateOnShorterAppend: {
    description: "an append cuts the log at its own end (H23)",
    breaks: "safety",
    patch: () => {
      const original = RaftLog.prototype.maybeAppend;
      return replace(
        RaftLog.prototype,
        "maybeAppend",
        function (this: RaftLog, prev, entries) {
          const matched = original.call(this, prev, entries);
          if (matched !== undefined) cutBehind(this, matched);
          return matched;
        },
      );
    },
  },
  voteForShorterLog: {
    description: "a candidate with less in its log gets the vote (§3.6.1)",
    breaks: "safety",
    patch: () => replace(RaftLog.prototype, "isUpToDate", () => true),
  },
  voteForgottenOnRestart: {
    description: "a restarted member votes again in the same term (H01)",
    breaks: "safety",
    hooks: {
      onRestore: (_, restored) => ({
        ...restored,
        hardState: { ...restored.hardState, vote: null },
      }),
    },
  },
  commitBeyondMatched: {
    description: "a follower commits what it was never compared on (H24)",
    breaks: "safety",
    hooks: { createCore: newGullibleFollower },
  },
  leaderCountsUnflushed: {
    description: "a leader counts itself before its own flush (H41)",
    breaks: "safety",
    patch: () => {
      const original = Raft.prototype.appendCommands;
      return replace(
        Raft.prototype,
        "appendCommands",
        function (this: Raft, commands, bytes) {
          const first = original.call(this, commands, bytes);
          this.tracker.progress.get(this.id)?.maybeUpdate(this.log.lastIndex);
          return first;
        },
      );
    },
  },
  readBeforeCommitInTerm: {
    description: "a new leader reads before it has committed (H93, §6.4)",
    breaks: "safety",
    patch: () => replaceGetter(Raft.prototype, "committedInTerm", () => true),
  },
  sessionsNotInSnapshots: {
    description: "a snapshot holds the machine without the sessions (H70)",
    breaks: "safety",
    patch: () =>
      replace(Sessions.prototype, "capture", function (this: Sessions) {
        return { limits: this.limits, clients: [], retired: [] };
      }),
  },
  retryAppliedAgain: {
    description: "a numbered command is applied whenever it comes (H102)",
    breaks: "safety",
    patch: () => {
      const original = Sessions.prototype.admit;
      return replace(
        Sessions.prototype,
        "admit",
        function (this: Sessions, ref) {
          const admission = original.call(this, ref);
          return admission.type === "repeat"
            ? { type: "apply", slot: { bytes: undefined } }
            : admission;
        },
      );
    },
  },
  expiryByLocalCount: {
    description: "sessions expire by what a member has seen itself (H103)",
    breaks: "safety",
    patch: () => replace(Sessions.prototype, "admit", admitEachFewTimes()),
  },
  windowNeverReopens: {
    description: "acknowledgements free no slot of the window (H32)",
    breaks: "liveness",
    patch: () => replace(Inflights.prototype, "freeThrough", () => {}),
  },
};

/** A bug that is on. */
export interface ActiveBug {
  readonly hooks: SimHooks;
  /** Switches it off again. */
  stop(): void;
}

/**
 * Switches a bug on.
 *
 * @throws {RangeError} If there is no bug of this name.
 */
export function startBug(name: string): ActiveBug {
  const bug = Object.hasOwn(BUGS, name) ? BUGS[name] : undefined;
  if (bug === undefined) {
    throw new RangeError(
      `Cannot switch on the bug "${name}": wanted one of ${
        Object.keys(BUGS).join(", ")
      }`,
    );
  }
  const restoreCheck = replace(RawNode.prototype, "check", () => {});
  const restore = bug.patch?.();
  return {
    hooks: bug.hooks ?? {},
    stop() {
      restore?.();
      restoreCheck();
    },
  };
}

/** Refuses every so many commands, counted since the table was made. */
function admitEachFewTimes(): Sessions["admit"] {
  const original = Sessions.prototype.admit;
  const counts = new WeakMap<Sessions, number>();
  return function (this: Sessions, ref) {
    const count = (counts.get(this) ?? 0) + 1;
    counts.set(this, count);
    return count % 10 === 0
      ? { type: "expired", floor: ref.sequence }
      : original.call(this, ref);
  };
}

/** Lets messages of a type leave before the write they wait for. */
function hasten(ready: Ready, type: Message["type"]): Ready {
  const isEarly = (message: Message) => message.type === type;
  return {
    ...ready,
    messages: [
      ...ready.messages,
      ...ready.messagesAfterPersist.filter(isEarly),
    ],
    messagesAfterPersist: ready.messagesAfterPersist.filter((message) =>
      !isEarly(message)
    ),
  };
}

function appendBehind(
  this: RaftLog,
  prev: EntryId,
  entries: readonly Entry[],
): LogIndex | undefined {
  if (!this.matches(prev)) return undefined;
  for (const entry of entries) {
    const isNext = entry.index === this.lastIndex + 1;
    if (isNext && entry.term >= this.runs.lastTerm) this.append(entry);
  }
  return Math.min(prev.index + entries.length, this.lastIndex);
}

function cutBehind(log: RaftLog, index: LogIndex): void {
  const from = Math.max(index, log.commitIndex) + 1;
  if (from > log.lastIndex) return;
  log.runs.truncate(from);
  log.tail.truncate(from);
  log.stableIndex = Math.min(log.stableIndex, from - 1);
  log.writtenIndex = Math.min(log.writtenIndex, from - 1);
}

/** Takes the leader's commit index for its own, as far as its log goes. */
function newGullibleFollower(options: RawNodeOptions): RawNode {
  const core = new RawNode(options);
  const original = core.step.bind(core);
  core.step = (message) => {
    const result = original(message);
    if (message.type === "appendEntries" && core.leader === message.from) {
      const { from, to, term, commitIndex } = message;
      original({
        type: "heartbeat",
        from,
        to,
        term,
        commitIndex: Math.min(commitIndex, core.lastIndex),
        round: 0,
        sentAt: 0,
      });
    }
    return result;
  };
  return core;
}

/** Replaces a method; returns what puts it back. */
function replace<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  method: T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = method;
  return () => {
    prototype[name] = original;
  };
}

/** Replaces a getter; returns what puts it back. */
function replaceGetter(
  prototype: object,
  name: string,
  get: () => unknown,
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  if (original === undefined) {
    throw new RangeError(`Cannot replace the getter "${name}": there is none`);
  }
  Object.defineProperty(prototype, name, { ...original, get });
  return () => {
    Object.defineProperty(prototype, name, original);
  };
}
