/**
 * The report of one member.
 *
 * @module
 */
import type { CoreStatus, ProgressStatus } from "../core/status.ts";
import type { GroupId, LogIndex, NodeId } from "../core/types.ts";
import type { GroupStatus, MemberStatus, StopReason } from "../status.ts";
import type { Freshness } from "./freshness.ts";
import type { Peers } from "./peers.ts";

/** What a report is made from. */
export interface StatusSources {
  readonly group: GroupId;
  readonly core: CoreStatus;
  readonly peers: Peers;
  readonly freshness: Freshness;
  /** What the machine holds; behind the core's while a snapshot is restored. */
  readonly appliedIndex: LogIndex;
  readonly snapshotIndex: LogIndex;
  /** Whether a leader has applied an entry of its own term. */
  readonly leading: boolean;
  readonly stopped: StopReason | null;
  readonly now: number;
  /** Where the clients of the host at an address reach it. */
  readonly clientAddressAt: (address: string) => string | null;
}

/** Puts the report together; it never changes afterwards. */
export function describeMember(sources: StatusSources): GroupStatus {
  const { appliedIndex, core, freshness, now, stopped } = sources;
  const leads = core.role === "leader";
  const ready = leads
    ? sources.leading && appliedIndex >= core.commitIndex
    : core.leader !== null && freshness.caughtUp(appliedIndex);
  return {
    group: sources.group,
    node: core.id,
    role: core.role,
    term: core.term,
    leader: core.leader,
    firstIndex: core.firstIndex,
    snapshotIndex: sources.snapshotIndex,
    lastIndex: core.lastIndex,
    stableIndex: core.stableIndex,
    commitIndex: core.commitIndex,
    appliedIndex,
    conf: core.conf,
    transferTarget: core.transferTarget,
    quiesced: core.quiesced,
    members: describeMembers(sources),
    staleMs: leads ? 0 : freshness.staleMs(now),
    ready: ready && stopped === null,
    stopped,
  };
}

function describeMembers(sources: StatusSources): MemberStatus[] {
  const { core, peers, now } = sources;
  const progress = new Map<NodeId, ProgressStatus>(
    core.progress.map((one) => [one.id, one]),
  );
  return core.conf.addresses.map(({ id, address }) => ({
    id,
    address,
    clientAddress: sources.clientAddressAt(address),
    role: roleIn(core, id),
    matchIndex: progress.get(id)?.matchIndex ?? null,
    state: progress.get(id)?.state ?? null,
    lastContactMs: id === core.id ? 0 : peers.lastContactMs(id, now),
    lostLog: progress.get(id)?.lostLog ?? false,
  }));
}

function roleIn(core: CoreStatus, id: NodeId): MemberStatus["role"] {
  const { conf } = core;
  if (conf.witnesses.includes(id)) return "witness";
  if (conf.staging.includes(id)) return "staging";
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id)
    ? "voter"
    : "learner";
}
