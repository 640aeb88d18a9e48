/**
 * Carries out a list of actions on real cores, without any of the tables of
 * the search: what it found must come out again.
 *
 * @module
 */
import type { NodeId } from "../../src/core/mod.ts";
import type { Action } from "./actions.ts";
import type { Scenario } from "./bounds.ts";
import { checkAll, checkMember, type Facts, factsOf } from "./checks.ts";
import { type Hooks, Member } from "./member.ts";
import { messageKey } from "./stable.ts";

/**
 * Replays actions and checks after each.
 *
 * @param onState Called after each action with what the checks see.
 * @throws {Violation} If a property does not hold.
 * @throws {InvariantError} If a core finds itself broken.
 * @throws {TypeError} If a message is delivered that nobody sent.
 */
export function replay(
  scenario: Scenario,
  actions: readonly Action[],
  hooks: Hooks = {},
  onState: (action: Action, facts: readonly Facts[]) => void = () => {},
): void {
  const members = new Map<NodeId, Member>(
    scenario.ids.map((id) => [id, new Member(id, scenario, hooks)]),
  );
  const sent = new Set<string>();
  for (const action of actions) {
    const { node, input, disk } = action;
    const member = members.get(node);
    if (member === undefined) {
      throw new TypeError(`Cannot replay: there is no member ${node}`);
    }
    if (input.type === "deliver" && !sent.has(messageKey(input.message))) {
      throw new TypeError(
        `Cannot replay: nobody sent ${messageKey(input.message)}`,
      );
    }
    member.perform(input, disk);
    for (const message of member.takeSent()) sent.add(messageKey(message));
    const facts = [...members.values()].map((one) => ({
      ...factsOf(one),
      id: 0,
    }));
    onState(action, facts);
    for (const one of facts) checkMember(one);
    checkAll(facts);
  }
}
