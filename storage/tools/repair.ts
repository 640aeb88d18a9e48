/**
 * Makes a damaged data directory one that opens, by leaving out what is
 * damaged and all that came after it. Never silent, never in place.
 *
 * @module
 */
import fs from "node:fs";
import { dirname, resolve } from "node:path";
import type { GroupId, LogIndex, NodeId } from "../../src/core/types.ts";
import { nodeFileSystem, type WalStorage } from "../wal/mod.ts";
import { copyGroup, type Progress } from "./copy_group.ts";
import { holderOf } from "./data_directory.ts";
import { Refusal } from "./refusal.ts";
import {
  replaceDirectory,
  stampOf,
  undoReplacement,
} from "./replace_directory.ts";
import { type Dropped, type Salvage, salvage } from "./salvage.ts";
import { type Verification, verify } from "./verify.ts";

/** A group that is saved. */
export interface SavedGroup {
  /** The group. */
  readonly group: GroupId;
  /** The member that the data belongs to. */
  readonly node: NodeId;
  /** The last entry that is saved. */
  readonly lastIndex: LogIndex;
  /** Members that have all of it, as far as this one knows: others. */
  readonly others: readonly NodeId[];
}

/** What a repair would do. */
export interface RepairPlan {
  /** The directory. */
  readonly directory: string;
  /** What is wrong with it. */
  readonly verification: Verification;
  /** Whether there is anything to repair: else all of it can be read. */
  readonly isNeeded: boolean;
  /** What would be left out. */
  readonly dropped: readonly Dropped[];
  /** What would be saved. */
  readonly groups: readonly SavedGroup[];
  /** Groups that nothing can be saved of: their snapshot is damaged. */
  readonly lostGroups: readonly GroupId[];
}

/** What a repair did. */
export interface RepairOutcome extends RepairPlan {
  /** Where the damaged directory is now, unchanged. */
  readonly kept: string;
  /** Name of the repaired directory: a new one. */
  readonly incarnation: string;
  /** The file that says all this. */
  readonly report: string;
}

/**
 * Says what {@linkcode repair} would do. Changes nothing.
 *
 * @throws {Refusal} If it cannot be repaired, or is in use.
 * @throws {RangeError} If it is no data directory.
 */
export async function planRepair(directory: string): Promise<RepairPlan> {
  const path = resolve(directory);
  await refuseHeld(path);
  const { plan, found } = await examine(path);
  await found.log.storage.close();
  return plan;
}

async function refuseHeld(path: string): Promise<void> {
  const heldBy = await holderOf(path);
  if (heldBy === null) return;
  throw new Refusal(
    `Cannot repair "${path}": process ${heldBy} uses it, wanted it stopped`,
  );
}

/** What there is to save, and the log to get it from, which is open. */
async function examine(
  path: string,
): Promise<{ readonly plan: RepairPlan; readonly found: Salvage }> {
  const verification = await verify(path);
  const found = await salvage(path);
  const { dropped, lostGroups } = found;
  const groups = found.groups.map((stored): SavedGroup => {
    const { conf } = stored.conf ?? stored.snapshot;
    const { group, node, lastIndex } = stored;
    const others = conf.voters.filter((id) => id !== node);
    return { group, node, lastIndex, others };
  });
  // Damage may lie where nothing is that is still wanted.
  const isNeeded = dropped.length > 0;
  if (isNeeded && groups.every(({ lastIndex }) => lastIndex === 0)) {
    await found.log.storage.close();
    throw new Refusal(
      `Cannot repair "${path}": nothing is left before the damage: ${
        dropped[0]?.why
      }`,
    );
  }
  const what = { dropped, groups, lostGroups };
  const plan = { directory: path, verification, isNeeded, ...what };
  return { plan, found };
}

/**
 * Writes what can be trusted into a new directory in the place of the damaged
 * one, which is kept. The new one has a new incarnation: what was left out may
 * be what this member has promised, so the others will not take it for the one
 * they know (H48, H80). The report is there before the directory is.
 *
 * @throws As {@linkcode planRepair}; {@linkcode Refusal} if nothing needs to
 * be repaired.
 */
export async function repair(
  directory: string,
  progress?: Progress,
): Promise<RepairOutcome> {
  const path = await undoReplacement(directory);
  await refuseHeld(path);
  const outcomes: RepairOutcome[] = [];
  await replaceDirectory(path, "repair", async () => {
    const { plan, found } = await examine(path);
    const end = () => found.log.storage.close();
    if (!plan.isNeeded) {
      await end();
      throw new Refusal(
        `Cannot repair "${path}": it opens as it is, and all of it can be read`,
      );
    }
    return {
      deployment: found.log.owner.deployment,
      fill: (storage) => copyAll(found, storage, progress),
      announce: async ({ incarnation, kept }) => {
        const report = `${path}.repair-${stampOf(new Date())}.json`;
        const outcome = { ...plan, incarnation, kept: kept ?? path, report };
        await writeReport(report, outcome);
        outcomes.push(outcome);
      },
      end,
    };
  });
  const [outcome] = outcomes;
  if (outcome === undefined) throw new Error("Cannot report: nothing is told");
  return outcome;
}

async function copyAll(
  { groups, log }: Salvage,
  storage: WalStorage,
  progress: Progress | undefined,
): Promise<void> {
  for (const stored of groups) {
    const { hardState, node } = stored;
    const source = { storage: log.storage, stored };
    const target = { storage, node, hardState, more: [] };
    await copyGroup(source, target, progress);
  }
}

async function writeReport(
  path: string,
  outcome: RepairOutcome,
): Promise<void> {
  fs.writeFileSync(path, `${JSON.stringify(outcome, null, 2)}\n`, {
    flag: "wx",
    flush: true,
  });
  await nodeFileSystem().syncDirectory(dirname(path));
}
