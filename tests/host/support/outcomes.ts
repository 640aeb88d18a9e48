/**
 * What tests of outcomes share.
 *
 * @module
 */
import { assert, assertInstanceOf } from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import type { Message } from "../../../src/core/message.ts";
import type { TestGroup, World } from "./world.ts";

/** What a caller can tell from an error. */
export function tell(error: unknown): readonly [string, string | undefined] {
  assertInstanceOf(error, RaftError);
  return [error.code, error.outcome];
}

/** The leader, and somebody who follows it. */
export async function leaderAndFollower(
  world: World,
  members: readonly TestGroup[],
): Promise<readonly [TestGroup, TestGroup]> {
  const leader = await world.leader(members);
  const follower = members.find((member) => member !== leader);
  assert(follower !== undefined);
  return [leader, follower];
}

/** Cuts a member's host off. */
export function isolate(world: World, member: TestGroup): void {
  world.network.isolate(world.place(member.node).address);
}

/** Loses messages of one type from one member. */
export function lose(
  world: World,
  from: TestGroup,
  type: Message["type"],
): void {
  world.network.drop = ({ envelopes }) =>
    envelopes.some(({ message }) =>
      message.from === from.node && message.type === type
    );
}
