/**
 * Which configurations may still decide what a group can do.
 *
 * @module
 */
import type { CommittedLog } from "./committed_log.ts";
import { type ConfRoles, membersOf, rolesAfter } from "./conf_model.ts";
import type { MemberView } from "./oracle.ts";

/**
 * The newest configuration; the one before it, while some member may not know
 * better; and what stands in logs and may yet be committed.
 */
export function confsInPlay(
  committed: CommittedLog,
  members: readonly MemberView[],
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
  return confs;
}
