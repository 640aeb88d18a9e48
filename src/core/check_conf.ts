/**
 * The invariants of membership.
 *
 * @module
 */
import { assertInvariant } from "./invariant.ts";
import { majority } from "./quorum.ts";
import type { Raft } from "./raft.ts";
import { allMembers } from "./tracker.ts";
import type { ConfState, NodeId } from "./types.ts";
import { isWitness } from "./witness.ts";

/** Members of configurations that hold: those never change. */
const VERIFIED = new WeakMap<ConfState, readonly NodeId[]>();

/** Verifies a member's configuration, and that it keeps to its part in it. */
export function checkMembership(raft: Raft): void {
  const { id, role, departure, tracker } = raft;
  const { conf } = tracker;
  const members = verifiedMembers(conf);
  assertInvariant(
    members.length === tracker.progress.size &&
      members.every((member) => tracker.progress.has(member)),
    "progress records do not fit the configuration",
  );
  assertInvariant(
    role === "follower" || !isWitness(conf, id),
    `a witness is ${role}`,
  );
  assertInvariant(
    role === "follower" || departure.removal === null,
    `a removed member is ${role}`,
  );
  assertInvariant(
    role !== "leader" || !raft.fresh,
    "a leader calls its own log doubtful",
  );
  if (members.includes(id)) checkPayloads(raft);
}

/** Checks come after every step, configurations are few. */
function verifiedMembers(conf: ConfState): readonly NodeId[] {
  const known = VERIFIED.get(conf);
  if (known !== undefined) return known;
  checkConf(conf);
  const members = allMembers(conf);
  VERIFIED.set(conf, members);
  return members;
}

/** Data members hold every payload, witnesses none. */
function checkPayloads({ id, log, tracker }: Raft): void {
  const foreign = isWitness(tracker.conf, id) ? "command" : "omitted";
  const { tail } = log;
  for (let i = tail.firstIndex; i <= tail.lastIndex; i++) {
    assertInvariant(
      tail.at(i)?.type !== foreign,
      `entry ${i} is ${foreign}, which is not for this member`,
    );
  }
}

/**
 * Verifies what holds in every configuration.
 *
 * @throws {InvariantError} Naming what does not hold.
 */
export function checkConf(conf: ConfState): void {
  checkLists(conf);
  const { voters, votersOutgoing, learners, learnersNext, staging } = conf;
  const { witnesses, removed, autoLeave, version } = conf;
  const members = allMembers(conf);
  const hold: readonly (readonly [string, boolean])[] = [
    ["version is a count", Number.isSafeInteger(version) && version >= 0],
    [
      "learners do not vote",
      disjoint(learners, [...voters, ...votersOutgoing]),
    ],
    ["next learners still vote", within(learnersNext, votersOutgoing)],
    ["next learners leave", disjoint(learnersNext, voters)],
    ["staging members are learners", within(staging, learners)],
    ["witnesses vote", within(witnesses, [...voters, ...votersOutgoing])],
    ["every quorum holds data", hasDataQuorums(conf)],
    ["removed ids are no members", disjoint(removed, members)],
    [
      "only a joint configuration is to be left",
      votersOutgoing.length > 0 || (learnersNext.length === 0 && !autoLeave),
    ],
    ["addresses are of members", within(idsOf(conf.addresses), members)],
    ["incarnations are of members", within(idsOf(conf.incarnations), members)],
  ];
  for (const [rule, holds] of hold) {
    assertInvariant(holds, `configuration ${version} breaks: ${rule}`);
  }
}

function checkLists(conf: ConfState): void {
  const lists = [
    conf.voters,
    conf.votersOutgoing,
    conf.learners,
    conf.learnersNext,
    conf.staging,
    conf.witnesses,
    conf.removed,
    idsOf(conf.addresses),
    idsOf(conf.incarnations),
  ];
  for (const ids of lists) {
    assertInvariant(
      ids.every((id, i) => id > (ids[i - 1] ?? 0)),
      `ids ${ids} of configuration ${conf.version} do not ascend`,
    );
  }
}

/** Witnesses alone are no quorum, of neither half (docs/protocol.md). */
function hasDataQuorums({ voters, votersOutgoing, witnesses }: ConfState) {
  return [voters, votersOutgoing].every((half) =>
    half.length === 0 ||
    half.filter((id) => witnesses.includes(id)).length < majority(half.length)
  );
}

function idsOf(records: readonly { readonly id: NodeId }[]): NodeId[] {
  return records.map(({ id }) => id);
}

function within(ids: readonly NodeId[], all: readonly NodeId[]): boolean {
  return ids.every((id) => all.includes(id));
}

function disjoint(ids: readonly NodeId[], others: readonly NodeId[]): boolean {
  return !ids.some((id) => others.includes(id));
}
