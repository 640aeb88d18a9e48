/**
 * What may be sent behind a membership change.
 *
 * @module
 */
import type { Raft } from "./raft.ts";
import type { LogIndex } from "./types.ts";

/**
 * The highest index that may be sent. Behind a membership change whose commit
 * is not durable here, only what is on the own disk: after a crash this leader
 * would go by the configuration before the change, and the votes that it then
 * needs may be those of members that the change took the vote from. They must
 * not know of entries that it has lost, for nobody else would be elected.
 */
export function changeLimit({ config, log, durableCommit }: Raft): LogIndex {
  return config.validateConfChanges !== true ||
      log.lastConfIndex <= durableCommit
    ? Infinity
    : Math.max(log.stableIndex, log.lastConfIndex);
}

/** Whether a change is committed and `flushed`, a commit index, is below it. */
export function mustFlushChange(
  { config, log, durableCommit }: Raft,
  flushed: LogIndex,
): boolean {
  return config.validateConfChanges === true &&
    log.lastConfIndex <= log.commitIndex &&
    log.lastConfIndex > Math.max(durableCommit, flushed);
}
