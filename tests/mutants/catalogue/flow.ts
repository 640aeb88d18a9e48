/**
 * Bugs of windows and limits, of memory, and of what is handed out to be
 * applied.
 *
 * @module
 */
import type { Mutant } from "../mutant.ts";

const INFLIGHTS = "src/core/inflights.ts";
const PROGRESS = "src/core/progress.ts";
const PROPOSALS = "src/core/proposals.ts";
const RAFT = "src/core/raft.ts";
const RAFT_LOG = "src/core/raft_log.ts";
const REPLICATION = "src/core/replication.ts";
const TAIL = "src/core/tail.ts";

/** Every one of them. */
export const FLOW: readonly Mutant[] = [
  {
    id: "window-never-freed",
    hazard: "H32",
    what: "acknowledgements free no slot of the window",
    patches: [{
      file: REPLICATION,
      find: `progress.inflights.freeThrough(index);`,
      replace: ``,
    }],
  },
  {
    id: "window-bytes-leak",
    hazard: "H32, H35",
    what: "freed appends keep their bytes in the window",
    patches: [{
      file: INFLIGHTS,
      find: `this.#bytes -= this.#sizes[this.#start] ?? 0;`,
      replace: ``,
    }],
  },
  {
    id: "window-bytes-unbounded",
    hazard: "H36",
    what: "bytes in flight are not limited, but their appends",
    patches: [{
      file: INFLIGHTS,
      find:
        `return this.#count === this.#maxCount || this.#bytes >= this.#maxBytes;`,
      replace: `return this.#count === this.#maxCount;`,
    }],
  },
  {
    id: "window-bytes-uncounted",
    hazard: "H36",
    what: "appends take no room of the bytes in the window",
    patches: [{
      file: INFLIGHTS,
      find: `this.#bytes += bytes;`,
      replace: ``,
    }],
  },
  {
    id: "full-window-ignored",
    hazard: "H36",
    what: "appends go out though the window is full",
    patches: [
      {
        file: PROGRESS,
        find: `this.flowPaused = this.inflights.full;`,
        replace: `this.flowPaused = false;`,
      },
      {
        file: REPLICATION,
        find: `progress.state === "replicate" && progress.inflights.full;`,
        replace: `progress.nextIndex < 0;`,
      },
    ],
  },
  {
    id: "full-window-not-reopened",
    hazard: "H32",
    what: "heartbeat answers do not let a paused follower be sent to",
    patches: [{
      file: REPLICATION,
      find: `  if (progress.mayAskAgain(message.sentAt)) {
    progress.flowPaused = false;`,
      replace: `  if (progress.mayAskAgain(message.sentAt)) {`,
    }],
  },
  {
    id: "heartbeat-answer-resends-nothing",
    hazard: "H32, H34",
    what: "a follower that lags is not sent to when it answers a heartbeat",
    patches: [{
      file: REPLICATION,
      find:
        `progress.matchIndex < raft.log.lastIndex || progress.state === "probe"`,
      replace: `progress.matchIndex > raft.log.lastIndex`,
    }],
  },
  {
    id: "probe-not-paused",
    hazard: "H36",
    what: "a probe is followed by others before its answer is there",
    patches: [{
      file: PROGRESS,
      find: `if (count > 0) this.flowPaused = true;`,
      replace: ``,
    }],
  },
  {
    id: "append-bytes-unbounded",
    hazard: "H36",
    what: "an append carries all that a follower lacks",
    patches: [{
      file: REPLICATION,
      find: `log.entriesFrom(progress.nextIndex, progress.batch.bytes);`,
      replace: `log.entriesFrom(progress.nextIndex, Infinity);`,
    }],
  },
  {
    id: "uncommitted-bytes-never-released",
    hazard: "H35",
    what: "committed bytes still count as uncommitted",
    patches: [{
      file: RAFT,
      find: `this.uncommittedBytes -= payloadBytes(this.log.tail.at(i));`,
      replace: `payloadBytes(this.log.tail.at(i));`,
    }],
  },
  {
    id: "uncommitted-bytes-unbounded",
    hazard: "H36",
    what: "proposals are taken however much is uncommitted",
    patches: [{
      file: PROPOSALS,
      find: `raft.uncommittedBytes + bytes > config.maxUncommittedBytes`,
      replace: `raft.uncommittedBytes < 0`,
    }],
  },
  {
    id: "first-large-proposal-refused",
    hazard: "C23",
    what: "a proposal above the limit is refused when nothing is under way",
    patches: [{
      file: PROPOSALS,
      find: `bytes > 0 && raft.uncommittedBytes > 0 &&`,
      replace: `bytes > 0 &&`,
    }],
  },
  {
    id: "page-limit-skips-entries",
    hazard: "H37",
    what: "committed entries beyond a page are never applied",
    patches: [{
      file: RAFT_LOG,
      find: `this.applyingIndex += page.entries.length;`,
      replace: `this.applyingIndex = Math.max(
      this.#applicable,
      this.applyingIndex + page.entries.length,
    );`,
    }],
  },
  {
    id: "apply-before-durable",
    hazard: "H46",
    what: "entries are applied before they are on the own disk",
    patches: [{
      file: RAFT_LOG,
      find: `? Math.min(this.commitIndex, this.stableIndex)`,
      replace: `? this.commitIndex`,
    }],
  },
  {
    id: "load-of-wrong-range",
    hazard: "H60",
    what: "entries read back for a follower are sent though it needs others",
    patches: [{
      file: REPLICATION,
      find: `const isWanted = progress.nextIndex === load.from &&`,
      replace: `const isWanted = progress.nextIndex >= load.from &&`,
    }],
  },
  {
    id: "load-of-compacted-range",
    hazard: "H60, H29",
    what: "entries read back are sent though the log has lost them since",
    patches: [{
      file: REPLICATION,
      find: `!wasCompacted(raft, load) && !progress.inflights.full;`,
      replace: `!progress.inflights.full;`,
    }],
  },
  {
    id: "unflushed-entries-evicted",
    hazard: "C06",
    what: "memory forgets entries before they are on disk",
    patches: [{
      file: RAFT_LOG,
      find: `Math.min(this.commitIndex, this.stableIndex),
      this.#limits.maxTailBytes,`,
      replace: `this.lastIndex,
      this.#limits.maxTailBytes,`,
    }],
  },
  {
    id: "truncated-slice-sent-again",
    hazard: "H53",
    what: "a page of entries that were cut off is handed out once more",
    patches: [{
      file: TAIL,
      find: `truncate(from: LogIndex): void {
    this.#lastSlice = EMPTY_SLICE;`,
      replace: `truncate(from: LogIndex): void {`,
    }],
  },
];
