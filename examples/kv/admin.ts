/**
 * What operators ask of a member: its state, a change of members.
 *
 * @module
 */
import type { GroupStatus, MembershipChange } from "@balsa/raft";
import * as z from "zod";
import type { KvGroup } from "./app.ts";
import { peerSchema } from "./config.ts";
import { jsonResponse, Problem } from "./replies.ts";

/** More than a group can have. */
const MOST_STEPS = 100;

const id = z.int().min(1);
const address = z.string().max(255).pipe(peerSchema);
const changeSchema = z.strictObject({
  add: z.array(z.strictObject({ id, address })).max(MOST_STEPS).optional(),
  remove: z.array(id).max(MOST_STEPS).optional(),
}).refine(({ add = [], remove = [] }) => add.length + remove.length > 0);

/** The body of `/status`. */
export function statusBody(status: GroupStatus): unknown {
  return {
    id: status.node,
    group: status.group,
    role: status.role,
    term: status.term,
    leader: status.leader,
    commit: status.commitIndex,
    applied: status.appliedIndex,
    lastIndex: status.lastIndex,
    firstIndex: status.firstIndex,
    members: status.members.map((member) => ({
      id: member.id,
      address: member.address,
      role: member.role,
      match: member.matchIndex,
      state: member.state,
      lastContactMs: member.lastContactMs === null
        ? null
        : Math.round(member.lastContactMs),
    })),
  };
}

/**
 * The change of members in a body.
 *
 * @throws {Problem} 400, if it is none.
 */
export function membershipChangeOf(body: Uint8Array): MembershipChange {
  try {
    return changeSchema.parse(JSON.parse(new TextDecoder().decode(body)));
  } catch {
    throw new Problem(
      400,
      "badChange",
      'Cannot change the members: wanted a body like {"add":[{"id":4,"address":"HOST:PORT"}],"remove":[1]}',
    );
  }
}

/** Carries a change of members out; resolves once it is in force. */
export async function changeMembers(
  group: KvGroup,
  change: MembershipChange,
  timeoutMs: number,
): Promise<Response> {
  const { conf } = await group.changeMembership(change, { timeoutMs });
  const { version, voters, addresses } = conf;
  return jsonResponse({ version, voters, addresses });
}
