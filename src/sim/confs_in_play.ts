/**
 * Which configurations may still decide what a group can do.
 *
 * @module
 */
import type { ConfChangeEntry, LogIndex, NodeId, Term } from "../core/types.ts";
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

/** The end of a log. */
interface LogEnd {
  readonly term: Term;
  readonly index: LogIndex;
}

/** What {@linkcode someoneMayLead} looks at. */
export interface LeadersWorld {
  readonly members: readonly MemberView[];
  /** Entries that packets bring a member yet. */
  readonly entriesOnTheirWay: (to: NodeId) => readonly LogEnd[];
}

/**
 * Whether there is a voter with payloads among those for whom `has` holds
 * whose log is no older than that of any other: a quorum with witnesses may
 * know what was committed and yet hold it nowhere (thesis §11.7.2). A witness
 * counts with what is on its way to it, too: it may have been sent what the
 * leader and nobody else holds, while the others did not keep up, and elects
 * nobody without it once that leader is gone.
 */
export function someoneMayLead(
  conf: ConfRoles,
  { members, entriesOnTheirWay }: LeadersWorld,
  has: (id: NodeId) => boolean,
): boolean {
  if (conf.witnesses.length === 0) return true;
  const voters = members.filter(({ id }) => has(id) && votesIn(conf, id));
  const isWitness = ({ id }: MemberView) => conf.witnesses.includes(id);
  const ends = voters.flatMap((voter) =>
    isWitness(voter)
      ? [...endsOf(voter), ...entriesOnTheirWay(voter.id)]
      : [endOf(voter.disk.durable)]
  );
  return voters.some((one) =>
    !isWitness(one) &&
    ends.every((end) => !isNewer(end, endOf(one.disk.durable)))
  );
}

/** Where a log ends, and where it will once the process has written it. */
function endsOf({ core, disk: { durable, written } }: MemberView): LogEnd[] {
  const ends = [endOf(durable), endOf(written)];
  if (core === undefined) return ends;
  const { lastIndex: index, lastTerm: term } = core.status();
  return [...ends, { term, index }];
}

function endOf({ lastTerm, lastIndex }: LogMirror): LogEnd {
  return { term: lastTerm, index: lastIndex };
}

function isNewer(end: LogEnd, than: LogEnd): boolean {
  return end.term > than.term ||
    end.term === than.term && end.index > than.index;
}

/**
 * Whether the log that a member goes by is written. A change that nobody has
 * written yet cannot be told from none.
 */
export function isWritten(
  { core, disk: { written } }: Pick<MemberView, "core" | "disk">,
): boolean {
  if (core === undefined) return true;
  const { lastIndex, lastTerm } = core.status();
  return lastIndex <= written.lastIndex &&
    written.termAt(lastIndex) === lastTerm;
}
