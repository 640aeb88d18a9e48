/**
 * Do leaders take and make only the membership changes that they may? They
 * alone know the configuration that a change is for.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type {
  ChangeGuard,
  ConfChange,
  ConfState,
  LogIndex,
  NodeId,
} from "../core/types.ts";
import { rolesAfter } from "./conf_model.ts";
import { fail } from "./violation.ts";

/** A change that a leader has appended. */
export interface TakenChange {
  readonly leader: NodeId;
  /** The leader's configuration when it was asked. */
  readonly conf: ConfState;
  readonly change: ConfChange;
  readonly guard: ChangeGuard;
  /** Members that hold some of the log, as far as the leader knew. */
  readonly holders: readonly NodeId[];
}

/**
 * A change for another configuration is refused (H90), removed ids stay
 * removed (H80), and members that hold nothing yet are no quorum (H81).
 */
export function checkTaken(taken: TakenChange): void {
  const { leader, conf, change, guard, holders } = taken;
  const { expect, force } = guard;
  if (expect !== undefined && expect !== conf.version) {
    fail(
      "changeRules",
      `Leader ${leader} takes a change of configuration ${expect}, its own is ${conf.version}`,
    );
  }
  const back = change.steps.find(({ node }) => conf.removed.includes(node));
  if (back !== undefined) {
    fail(
      "changeRules",
      `Leader ${leader} takes a change (${back.type}) of member ${back.node}, which was removed`,
    );
  }
  const { voters } = rolesAfter(conf, change);
  const grown = voters.filter((id) =>
    id === leader || conf.voters.includes(id) || holders.includes(id)
  );
  if (force === true || change.steps.length === 0) return;
  if (grown.length > voters.length / 2) return;
  fail(
    "changeRules",
    `Leader ${leader} takes a change to the voters ${voters}, of whom only ${grown} hold anything`,
  );
}

/**
 * What a leader of a simple configuration appends by itself promotes a member
 * that has caught up (thesis §4.2.1).
 *
 * @param before Last index before the tick in which it may have done so.
 */
export function checkPromotion(core: RawNode, before: LogIndex): void {
  const { conf, id, lastIndex, role } = core;
  if (role !== "leader" || lastIndex === before) return;
  if (conf.votersOutgoing.length > 0) return;
  if (conf.staging.some((node) => core.isCaughtUp(node))) return;
  fail(
    "changeRules",
    `Leader ${id} promotes one of ${conf.staging}, none of whom has caught up`,
  );
}
