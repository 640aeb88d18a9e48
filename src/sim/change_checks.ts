/**
 * Does a leader take only membership changes that it may? It alone knows the
 * configuration that a change is for.
 *
 * @module
 */
import type {
  ChangeGuard,
  ConfChange,
  ConfState,
  NodeId,
} from "../core/types.ts";
import { fail } from "./violation.ts";

/** A change that a leader has appended. */
export interface TakenChange {
  readonly leader: NodeId;
  /** The leader's configuration when it was asked. */
  readonly conf: ConfState;
  readonly change: ConfChange;
  readonly guard: ChangeGuard;
}

/**
 * A change for another configuration is refused (H90), and removed ids stay
 * removed (H80).
 */
export function checkTaken({ leader, conf, change, guard }: TakenChange): void {
  const { expect } = guard;
  if (expect !== undefined && expect !== conf.version) {
    fail(
      "changeRules",
      `Leader ${leader} takes a change of configuration ${expect}, its own is ${conf.version}`,
    );
  }
  const back = change.steps.find(({ node }) => conf.removed.includes(node));
  if (back === undefined) return;
  fail(
    "changeRules",
    `Leader ${leader} takes a change (${back.type}) of member ${back.node}, which was removed`,
  );
}
