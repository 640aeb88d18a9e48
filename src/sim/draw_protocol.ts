/**
 * Draws what is asked of the protocol in a run.
 *
 * @module
 */
import {
  CHANGE_KINDS,
  type ProtocolFaultKind,
  type ProtocolOptions,
} from "./options_protocol.ts";
import type { SimRandom } from "./prng.ts";
import type { SnapshotOptions } from "./snapshots.ts";

const MEMBERSHIP_KINDS: readonly ProtocolFaultKind[] = [
  ...CHANGE_KINDS,
  "rivalChanges",
  "hastyChange",
  "jointCrash",
];

const OTHER_KINDS: readonly ProtocolFaultKind[] = [
  "installCrash",
  "transfer",
  "forgetLeader",
  "campaign",
  "snapshot",
  "figureEight",
];

/** Most members of a group at a time. */
const MAX_MEMBERS = 7;

/** Members that may join over a run. */
const MAX_JOINERS = 8;

/** Draws the options of a group that starts with `members` voters. */
export function drawProtocol(
  random: SimRandom,
  members: number,
  electionMs: number,
): ProtocolOptions {
  const changes = random.chance(700);
  const membership = MEMBERSHIP_KINDS.filter(() => random.chance(600));
  const others = OTHER_KINDS.filter(() => random.chance(400));
  const kinds = changes ? [...membership, ...others] : [...others];
  if (random.chance(500)) kinds.push("strandLeader");
  const options: ProtocolOptions = {
    kinds,
    gapMs: random.pick([1, 3, 8, 20]) * electionMs,
    maxMembers: Math.max(members, random.pick([3, 5, MAX_MEMBERS])),
    maxIds: members + MAX_JOINERS,
    disturberPermille: random.pick([0, 300, 1_000]),
    leasePermille: random.pick([0, 300, 800]),
    stalePermille: random.pick([0, 0, 200]),
    snapshots: drawSnapshots(random),
  };
  if (changes && random.chance(400)) kinds.push("strandInJoint");
  if (changes && random.chance(300)) kinds.push("narrow");
  return options;
}

function drawSnapshots(random: SimRandom): SnapshotOptions {
  return {
    everyCount: random.pick([0, 0, 1, 5, 20, 50]),
    trailingCount: random.pick([0, 0, 3, 20]),
    storeMs: random.pick([0, 20, 500]),
    sendMs: random.pick([5, 100, 3_000]),
    wrongReportPermille: random.pick([0, 0, 100, 500]),
    reportMs: random.pick([0, 50, 2_000]),
  };
}
