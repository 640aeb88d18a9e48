/**
 * The end of the liveness phase: whoever is preferred and fit leads.
 *
 * @module
 */
import { resolveConfig } from "../core/config.ts";
import type { SimGroup } from "./group.ts";
import type { LivenessWorld } from "./liveness.ts";
import type { SimMember } from "./member.ts";
import { MAX_WAIT_FACTOR } from "./preference_checks.ts";
import { fail } from "./violation.ts";

/** How long to wait, in milliseconds. */
export interface Patience {
  /** Between two looks. */
  readonly stepMs: number;
  /** For any hand-over to be done. */
  readonly handOverMs: number;
}

/**
 * Waits until each group is led by a voter that no other one is preferred to,
 * of those that are up and have all there is. A leader waits `priorityTicks`
 * until it hands over; for up to 64 times as long, if it failed to before.
 *
 * @throws {Violation} If that does not come about.
 */
export function awaitPreferred(world: LivenessWorld, patience: Patience): void {
  const { clock, core, flags } = world.options;
  if (flags.flat().every(({ priority = 0 }) => priority === 0)) return;
  const { priorityTicks } = resolveConfig(core);
  const slowest = Math.min(1000, ...clock.ratePermille) / 1000;
  const waitMs = MAX_WAIT_FACTOR * priorityTicks * clock.tickMs / slowest;
  const limit = Math.ceil(waitMs) + patience.handOverMs;
  const deadline = world.now() + limit;
  while (!world.groups.every(isLedByPreferred)) {
    if (world.now() >= deadline) {
      const groups = world.groups.filter((group) => !isLedByPreferred(group));
      fail(
        "preference",
        `No preferred member leads after ${limit} ms: ${
          groups.map(describe).join("; ")
        }`,
      );
    }
    world.runUntil(world.now() + patience.stepMs);
  }
  world.marks.hit("preferredLeads");
}

function isLedByPreferred(group: SimGroup): boolean {
  const leader = group.leader();
  return leader !== undefined &&
    fitVoters(group).every((one) => priorityOf(one) <= priorityOf(leader));
}

/** Who could lead: voters with payloads that are up and up to date. */
function fitVoters(group: SimGroup): SimMember[] {
  const { conf } = group.oracle.committed.lastConf;
  const lost = group.leader()?.core?.status().progress
    .filter(({ lostLog }) => lostLog).map(({ id }) => id) ?? [];
  return group.settledMembers().filter(({ id, isRunning }) =>
    isRunning && conf.voters.includes(id) && !conf.witnesses.includes(id) &&
    !lost.includes(id)
  );
}

function priorityOf({ config }: SimMember): number {
  return config.priority ?? 0;
}

function describe(group: SimGroup): string {
  const leader = group.leader();
  const others = fitVoters(group).map((member) =>
    `${member.id} of priority ${priorityOf(member)}`
  );
  return `group ${group.group} is led by ${leader?.id} among ${
    others.join(", ")
  }`;
}
