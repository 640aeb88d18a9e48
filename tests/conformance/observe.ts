/**
 * What is to be seen of a node, in the kit's words.
 *
 * @module
 */
import type {
  CoreStatus,
  NodeId,
  ProgressStatus,
  RawNode,
} from "../../src/core/mod.ts";
import type { KitLog, KitNode, KitProgress } from "./kit_types.ts";
import type { StorageWork } from "./storage_work.ts";
import { confToKit } from "./translate.ts";
import type { World } from "./world.ts";

/** Everything there is to see of a node. */
export function observeNode(
  world: World,
  work: StorageWork,
  id: NodeId,
): KitNode {
  const { node, reported, machine } = world.member(id);
  const { hardState, entries } = reported;
  const status = node.status();
  return {
    role: status.role === "preCandidate" ? "pre-candidate" : status.role,
    term: status.term,
    vote: status.vote ?? 0,
    leader: status.leader ?? 0,
    commit: status.commitIndex,
    // The core takes a snapshot for applied as soon as it accepts it.
    applied: Math.min(status.appliedIndex, machine.last.index),
    log: logOf(node, status),
    conf: confToKit(status.conf),
    transferee: status.transferTarget ?? 0,
    settled: work.isSettled(id),
    stable: {
      term: hardState.term,
      vote: hardState.vote ?? 0,
      commit: hardState.commit,
      terms: entries.map(({ term }) => term),
    },
    appendWork: work.appendCount(id),
    applyWork: work.applyCount(id),
  };
}

/** What a leader knows of its peers; `null` if the node does not lead. */
export function observeProgress(
  world: World,
  id: NodeId,
): Record<string, KitProgress> | null {
  const { role, progress } = world.member(id).node.status();
  if (role !== "leader") return null;
  return Object.fromEntries(
    progress.map((each) => [String(each.id), progressToKit(each)]),
  );
}

function logOf(node: RawNode, { firstIndex, lastIndex }: CoreStatus): KitLog {
  const termAt = (index: number) => node.termAt(index) ?? -1;
  const terms: number[] = [];
  for (let i = firstIndex; i <= lastIndex; i++) terms.push(termAt(i));
  return {
    offset: firstIndex - 1,
    offsetTerm: termAt(firstIndex - 1),
    terms,
  };
}

function progressToKit(status: ProgressStatus): KitProgress {
  const { matchIndex, nextIndex, state } = status;
  const { paused, recentActive, inflightCount, learner } = status;
  const { pendingSnapshotIndex } = status;
  return {
    match: matchIndex,
    next: nextIndex,
    state,
    ...(paused ? { paused } : {}),
    ...(recentActive ? { active: true } : {}),
    ...(inflightCount > 0 ? { inflight: inflightCount } : {}),
    ...(pendingSnapshotIndex > 0
      ? { pendingSnapshot: pendingSnapshotIndex }
      : {}),
    ...(learner ? { learner } : {}),
  };
}
