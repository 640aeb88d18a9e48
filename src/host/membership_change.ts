/**
 * What callers ask of a membership, and the steps it comes to.
 *
 * @module
 */
import { tryChange } from "../core/conf_change.ts";
import type { DropReason } from "../core/message.ts";
import type {
  ConfChange,
  ConfChangeStep,
  ConfState,
  MemberAddress,
  NodeId,
} from "../core/types.ts";
import { RaftError } from "../errors.ts";
import type { ProposalOutcome, RaftErrorCode } from "../errors.ts";
import type { WaitOptions } from "./options.ts";

/** A member that is to join. */
export interface NewMember extends MemberAddress {
  /**
   * `voter` receives the log first and votes once it has caught up; `staging`
   * does the same, but the call does not wait for it; `learner` never votes;
   * `witness` votes and keeps no data (thesis §11.7.2).
   *
   * @default {"voter"}
   */
  readonly role?: "voter" | "learner" | "staging" | "witness" | undefined;
}

/** What is to become of a membership, all of it at once. */
export interface MembershipChange {
  /** Members that join; their ids were never used in this group. */
  readonly add?: readonly NewMember[] | undefined;
  /** Members that leave for good. */
  readonly remove?: readonly NodeId[] | undefined;
  /** Learners that are to vote. */
  readonly promote?: readonly NodeId[] | undefined;
  /** Voters that are to listen only. */
  readonly demote?: readonly NodeId[] | undefined;
  /** Members that are reached elsewhere from now on. */
  readonly update?: readonly MemberAddress[] | undefined;
}

/** Options of a membership change. */
export interface MembershipOptions extends WaitOptions {
  /**
   * The `version` of the configuration the change is meant for; refused with
   * `conflict` if another one is in force (H90).
   */
  readonly expect?: number | undefined;
  /**
   * Goes on although new voters have not caught up, or no quorum of the
   * result is known to live. @default {false}
   */
  readonly force?: boolean | undefined;
  /**
   * `explicit` stays in the joint configuration until `leaveJoint` is called.
   * @default {"auto"}
   */
  readonly leave?: "auto" | "explicit" | undefined;
}

/**
 * Checks what a caller asks for.
 *
 * @throws {TypeError | RangeError} If an id, an address or a role is wrong.
 */
export function checkMembershipChange(change: MembershipChange): void {
  const { add = [], remove = [], promote = [], demote = [], update = [] } =
    change;
  const what = "Cannot change the membership";
  for (const id of [...remove, ...promote, ...demote]) checkId(what, id);
  for (const { id, address } of [...add, ...update]) {
    checkId(what, id);
    if (typeof address !== "string" || address === "") {
      throw new TypeError(
        `${what}: the address of member ${id} is ${
          JSON.stringify(address)
        }, wanted host:port`,
      );
    }
  }
  for (const { id, role } of add) {
    if (role === undefined || Object.hasOwn(STEP_OF_ROLE, role)) continue;
    throw new RangeError(
      `${what}: the role of member ${id} is ${
        JSON.stringify(role)
      }, wanted voter, learner, staging or witness`,
    );
  }
}

function checkId(what: string, id: NodeId): void {
  if (Number.isSafeInteger(id) && id >= 1) return;
  throw new RangeError(
    `${what}: a member's id is ${id}, wanted a safe integer of at least 1`,
  );
}

const STEP_OF_ROLE = {
  voter: "addVoter",
  learner: "addLearner",
  staging: "addStaging",
  witness: "addWitness",
} as const;

/** The steps that a change comes to, in the order in which they are taken. */
export function stepsOf(change: MembershipChange): ConfChangeStep[] {
  const { add = [], remove = [], promote = [], demote = [], update = [] } =
    change;
  return [
    ...add.map(({ id, address, role = "voter" }): ConfChangeStep => ({
      type: STEP_OF_ROLE[role],
      node: id,
      address,
    })),
    ...promote.map((node): ConfChangeStep => ({ type: "addVoter", node })),
    ...demote.map((node): ConfChangeStep => ({ type: "addLearner", node })),
    ...update.map(({ id, address }): ConfChangeStep => ({
      type: "update",
      node: id,
      address,
    })),
    ...remove.map((node): ConfChangeStep => ({ type: "remove", node })),
  ];
}

/** Members that a change takes for granted. */
export function namedBy(change: MembershipChange): NodeId[] {
  const { remove = [], promote = [], demote = [], update = [] } = change;
  return [...remove, ...promote, ...demote, ...update.map(({ id }) => id)];
}

/** Whether a member is in a configuration, in whatever part. */
export function isMember(conf: ConfState, id: NodeId): boolean {
  const { voters, votersOutgoing, learners, learnersNext } = conf;
  return [voters, votersOutgoing, learners, learnersNext].some((part) =>
    part.includes(id)
  );
}

/** Members that have to catch up before they vote (H81). */
export function newVotersOf(change: MembershipChange): NodeId[] {
  const { add = [], promote = [] } = change;
  const added = add.filter(({ role = "voter" }) => role === "voter");
  return [...added.map(({ id }) => id), ...promote];
}

/** The steps by which new voters begin to receive the log. */
export function learnersOf(change: MembershipChange): ConfChangeStep[] {
  const added = change.add?.filter(({ role = "voter" }) => role === "voter");
  return (added ?? []).map(({ id, address }) => ({
    type: "addLearner",
    node: id,
    address,
  }));
}

/**
 * The change that these steps make of `conf`: by a joint configuration if a
 * simple change does not do (thesis §4.3). Without steps it leaves one.
 */
export function changeOf(
  steps: readonly ConfChangeStep[],
  conf: ConfState,
  options: MembershipOptions,
): ConfChange {
  if (steps.length === 0) return { transition: "auto", steps };
  if (options.leave === "explicit") return { transition: "explicit", steps };
  const simple = { transition: "simple", steps } as const;
  return typeof tryChange(conf, simple) === "string"
    ? { transition: "implicit", steps }
    : simple;
}

/** Why a change did not come about. */
export type RefusalReason = DropReason | "leadershipLost" | "timeout";

/** The same as codes, and for people. */
const REFUSALS: Readonly<
  Record<RefusalReason, readonly [RaftErrorCode, string]>
> = {
  noLeader: ["noLeader", "no leader is known"],
  notLeader: ["notLeader", "only the leader changes the membership"],
  notMember: ["notMember", "this member was removed from the group"],
  transferring: ["transferring", "the leadership is being handed over"],
  tooLarge: ["tooLarge", "it is larger than an entry may be"],
  uncommittedLimit: ["overloaded", "too many bytes are not committed"],
  changePending: [
    "changePending",
    "another change is under way, or this leader has not committed yet",
  ],
  conflict: ["conflict", "another configuration than expected is in force"],
  invalidChange: ["invalidChange", "the result is no valid configuration"],
  quorumAtRisk: [
    "quorumAtRisk",
    "no quorum of the result is known to live; force it if you know better",
  ],
  removedMember: [
    "removedMember",
    "an id of a removed member is never used again",
  ],
  unknownMember: ["unknownMember", "a member it names does not exist"],
  forwardingDisabled: ["notLeader", "only the leader changes the membership"],
  leadershipLost: ["leadershipLost", "this member leads no longer"],
  timeout: ["timeout", "it was not in force before the deadline"],
};

/** The error for a change that did not come about. */
export function refusal(
  reason: RefusalReason,
  about: {
    readonly outcome: ProposalOutcome;
    readonly leader?: NodeId | null | undefined;
    /** What else there is to say. */
    readonly more?: string | undefined;
  },
): RaftError {
  const [code, why] = REFUSALS[reason];
  const { outcome, leader, more } = about;
  const text = more === undefined ? why : `${why}: ${more}`;
  return new RaftError(code, `Cannot change the membership: ${text}`, {
    outcome,
    leader,
  });
}
