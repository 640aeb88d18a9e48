/**
 * What coverage reports call the membership changes that are asked for, and
 * the reasons for which leaders refuse them.
 *
 * @module
 */
import type { DropReason } from "../core/message.ts";
import type { Mark } from "./marks.ts";
import type { ChangeKind } from "./options_protocol.ts";

/** A change of this kind was taken, or sent to the leader. */
export const CHANGE_MARK: Readonly<Record<ChangeKind, Mark>> = {
  addVoter: "voterAddProposed",
  addLearner: "learnerAddProposed",
  addStaging: "stagingAddProposed",
  addWitness: "witnessAddProposed",
  promote: "promotionProposed",
  demote: "demotionProposed",
  remove: "removalProposed",
  removeLeader: "leaderRemovalProposed",
  update: "addressChangeProposed",
  replace: "replacementProposed",
  narrow: "narrowingProposed",
  nonsense: "nonsenseProposed",
};

/** A change was refused for this reason. */
export const REFUSAL_MARK: Readonly<Partial<Record<DropReason, Mark>>> = {
  changePending: "changePending",
  conflict: "changeConflict",
  invalidChange: "changeInvalid",
  quorumAtRisk: "changeAtRisk",
  removedMember: "removedIdRefused",
};
