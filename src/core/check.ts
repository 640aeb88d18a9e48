/**
 * The invariants of one member, all of them, in O(n).
 *
 * @module
 */
import { checkMembership } from "./check_conf.ts";
import { assertInvariant } from "./invariant.ts";
import { isSettled } from "./quiesce.ts";
import { payloadBytes, type Raft } from "./raft.ts";

/**
 * Verifies a member.
 *
 * @throws {InvariantError} Naming what does not hold.
 */
export function checkRaft(raft: Raft): void {
  raft.log.check();
  checkRole(raft);
  checkTail(raft);
  checkTime(raft);
  checkMembership(raft);
  if (raft.role === "leader") checkLeader(raft);
}

function checkRole(raft: Raft): void {
  const { role, leader, id, vote } = raft;
  assertInvariant(
    (role === "leader") === (leader === id),
    `a ${role} says that ${leader} leads`,
  );
  assertInvariant(
    role === "leader" || role === "follower" || leader === null,
    `a ${role} says that ${leader} leads`,
  );
  assertInvariant(
    (role !== "leader" && role !== "candidate") || vote === id,
    `a ${role} voted for ${vote}`,
  );
  assertInvariant(
    raft.log.lastId.term <= raft.term,
    `the log ends in term ${raft.log.lastId.term} above ${raft.term}`,
  );
  const { preference, readOnly, lease, transferTarget } = raft;
  assertInvariant(
    role === "leader" ||
      (transferTarget === null && readOnly.count === 0 &&
        raft.uncommittedBytes === 0 && !lease.isForfeited &&
        !preference.isSought && preference.target === null),
    `a ${role} keeps state of a leader`,
  );
}

/** Leases, suspicions and sleep. */
function checkTime(raft: Raft): void {
  const { config, lease, log, rest, role, suspicion } = raft;
  assertInvariant(
    lease.deafTicks >= 0 && lease.deafTicks <= config.electionTicks &&
      (lease.deafTicks === 0 || config.leaseMs > 0),
    `deaf for ${lease.deafTicks} ticks`,
  );
  assertInvariant(
    lease.deafTicks === 0 || role !== "preCandidate",
    "a preCandidate promised to hear no candidate",
  );
  assertInvariant(
    suspicion.of === null ||
      (role === "follower" && suspicion.of === raft.leader),
    `a ${role} that follows ${raft.leader} suspects ${suspicion.of}`,
  );
  assertInvariant(
    suspicion.held === null || role === "follower",
    `a ${role} holds a pre-vote back`,
  );
  assertInvariant(
    !rest.isAsleep || raft.leader !== null &&
        log.commitIndex === log.lastIndex && config.checkQuorum,
    `asleep as ${role} under ${raft.leader}, last ${log.lastIndex}, commit ${log.commitIndex}`,
  );
  assertInvariant(
    !rest.isAsleep || role === "follower" ||
      (role === "leader" && isSettled(raft)),
    `asleep as ${role} with work to do`,
  );
}

function checkTail(raft: Raft): void {
  const { tail, runs } = raft.log;
  for (let i = tail.firstIndex; i <= tail.lastIndex; i++) {
    const entry = tail.at(i);
    assertInvariant(
      entry?.index === i && entry.term === runs.termAt(i),
      `the tail holds entry ${entry?.index} of term ${entry?.term} at ${i}`,
    );
  }
}

function checkLeader(raft: Raft): void {
  const { log, tracker } = raft;
  for (const [id, progress] of tracker.progress) {
    const { state, matchIndex, nextIndex } = progress;
    assertInvariant(
      matchIndex < nextIndex && nextIndex <= log.lastIndex + 1 ||
        state === "snapshot",
      `progress of ${id}: match ${matchIndex}, next ${nextIndex}, last ${log.lastIndex}`,
    );
    assertInvariant(
      state === "replicate" ||
        (progress.inflights.count === 0 && progress.inflights.bytes === 0),
      `progress of ${id}: window in use while in ${state}`,
    );
    assertInvariant(
      progress.denials === 0 || state !== "replicate",
      `progress of ${id}: streamed to though its log is in doubt`,
    );
  }
  const own = tracker.progress.get(raft.id);
  assertInvariant(
    own === undefined || own.matchIndex <= log.stableIndex,
    `the leader counts ${own?.matchIndex}, durable is ${log.stableIndex}`,
  );
  checkCommit(raft);
  let bytes = 0;
  const from = Math.max(log.commitIndex + 1, raft.uncommittedFrom);
  for (let i = from; i <= log.lastIndex; i++) {
    bytes += payloadBytes(log.tail.at(i));
  }
  assertInvariant(
    bytes === raft.uncommittedBytes,
    `uncommitted bytes counted ${raft.uncommittedBytes}, are ${bytes}`,
  );
}

/** What a quorum is known to hold is committed at once (H40). */
function checkCommit({ log, term, tracker }: Raft): void {
  // Witnesses are waited for by ticks.
  if (tracker.conf.witnesses.length > 0) return;
  const index = tracker.quorumMatch();
  assertInvariant(
    index <= log.commitIndex || log.runs.termAt(index) !== term,
    `a quorum holds ${index}, committed is ${log.commitIndex}`,
  );
}
