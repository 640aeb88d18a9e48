/**
 * Which configurations may still decide what a group can do.
 *
 * @module
 */
import type { ConfChangeEntry, NodeId } from "../core/types.ts";
import type { CommittedLog } from "./committed_log.ts";
import {
  type ConfRoles,
  membersOf,
  rolesAfter,
  votesIn,
} from "./conf_model.ts";
import type { LogMirror } from "./log_mirror.ts";
import type { MemberView } from "./oracle.ts";

/**
 * The newest configuration; the one before it, while some member may not know
 * better; and what stands in logs, or comes into one yet by the packets on
 * their way, and may then be committed (§3.6.2: by any later leader).
 */
export function confsInPlay(
  committed: CommittedLog,
  members: readonly MemberView[],
  changesOnTheirWay: readonly ConfChangeEntry[],
): ConfRoles[] {
  const { index, conf } = committed.lastConf;
  const confs = [conf];
  const knows = (view: MemberView | undefined) =>
    view !== undefined && view.disk.hardState.commit >= index;
  const ids = membersOf(conf);
  const isKnown = ids.every((id) => knows(members.find((m) => m.id === id)));
  if (index > 0 && !isKnown) confs.push(committed.confAt(index - 1).conf);
  for (const { disk: { written } } of members) {
    for (let i = committed.lastIndex + 1; i <= written.lastIndex; i++) {
      const entry = written.entryAt(i);
      if (entry?.type !== "confChange") continue;
      confs.push(rolesAfter(conf, entry.change));
    }
  }
  for (const { index, change } of changesOnTheirWay) {
    if (index > committed.lastIndex) confs.push(rolesAfter(conf, change));
  }
  return confs;
}

/**
 * Whether there is a voter with payloads among those for whom `has` holds
 * whose log is no older than that of any other: a quorum with witnesses may
 * know what was committed and yet hold it nowhere (thesis §11.7.2).
 */
export function someoneMayLead(
  conf: ConfRoles,
  members: readonly MemberView[],
  has: (id: NodeId) => boolean,
): boolean {
  if (conf.witnesses.length === 0) return true;
  const voters = members.filter(({ id }) => has(id) && votesIn(conf, id));
  return voters.some((one) =>
    !conf.witnesses.includes(one.id) &&
    voters.every((other) => !isNewer(other.disk.durable, one.disk.durable))
  );
}

function isNewer(log: LogMirror, than: LogMirror): boolean {
  return log.lastTerm > than.lastTerm ||
    log.lastTerm === than.lastTerm && log.lastIndex > than.lastIndex;
}
