/**
 * Makes a cluster of its own of one survivor, when the others are lost for
 * good (thesis §4 knows no such thing: it gives up what a quorum stands for).
 *
 * The survivor's log is taken as committed, whole. Behind it go entries that
 * remove every member there ever was, the survivor's old self among them, and
 * add the survivor under a new id. The directory is written anew, for another
 * deployment and with another incarnation: the handshake keeps everybody of
 * the old cluster out, whatever they know and however many they are.
 *
 * @module
 */
import { resolve } from "node:path";
import type {
  ConfChangeStep,
  ConfState,
  Entry,
  GroupId,
  LogIndex,
  NodeId,
  Term,
} from "../../src/core/types.ts";
import type { StoredGroup } from "../../src/storage.ts";
import { copyGroup, type Progress } from "./copy_group.ts";
import {
  openFrozen,
  openReadOnly,
  type ReadOnlyLog,
} from "./data_directory.ts";
import { entriesOf } from "./dump.ts";
import { FrozenFileSystem } from "./frozen_file_system.ts";
import { newestConf } from "./inspect.ts";
import { Refusal } from "./refusal.ts";
import {
  type Draft,
  replaceDirectory,
  undoReplacement,
} from "./replace_directory.ts";
import { refuseBetter } from "./survivors.ts";

/** What becomes of one group. */
export interface ForcedGroup {
  /** The group. */
  readonly group: GroupId;
  /** Id of the only member: one that the group has never had. */
  readonly node: NodeId;
  /**
   * Where it is reached. @default {where the survivor was}
   */
  readonly address?: string | undefined;
}

/** What to make of what. */
export interface ForceOptions {
  /** The survivor's data directory. */
  readonly directory: string;
  /** Every group in it, but for those that nothing is there of. */
  readonly groups: readonly ForcedGroup[];
  /** Name of the new deployment; the old one's name is refused. */
  readonly deployment: string;
  /** Other directories that survived; refused if one of them is better. */
  readonly others?: readonly string[] | undefined;
  /** How far it has come, in bytes of the log; for long ones. */
  readonly progress?: Progress | undefined;
}

/** What is known of one group before it is forced. */
export interface ForcedGroupPlan {
  /** The group. */
  readonly group: GroupId;
  /** The member that the data belongs to. */
  readonly formerNode: NodeId;
  /** The only member from now on. */
  readonly node: NodeId;
  /** Where it is reached. */
  readonly address: string;
  /** The last entry that survives. */
  readonly lastIndex: LogIndex;
  /** Its term. */
  readonly lastTerm: Term;
  /**
   * How far the survivor knew of a commit: what comes behind may never have
   * been acknowledged, and counts from now on.
   */
  readonly commit: LogIndex;
  /** Every id that is refused from now on. */
  readonly removed: readonly NodeId[];
}

/** What would be done. */
export interface ForcePlan {
  /** The survivor's data directory. */
  readonly directory: string;
  /** The deployment that is left. */
  readonly formerDeployment: string;
  /** The one that begins. */
  readonly deployment: string;
  /** Every group of the directory. */
  readonly groups: readonly ForcedGroupPlan[];
  /** Groups that it has joined and knows nothing of yet: they are dropped. */
  readonly leftOut: readonly GroupId[];
}

/** What was done. */
export interface ForceOutcome extends ForcePlan {
  /** Name of the new data directory. */
  readonly incarnation: string;
  /** Where the old one is, unchanged. */
  readonly kept: string;
}

/**
 * Says what {@linkcode forceNewCluster} would do. Changes nothing.
 *
 * @throws {Refusal} If it would be refused.
 * @throws {RangeError} If an option is wrong.
 * @throws {RaftError} What opening the directory, or another one, came to.
 */
export async function planForceNewCluster(
  options: ForceOptions,
): Promise<ForcePlan> {
  const log = await openReadOnly(options.directory);
  try {
    if (log.heldBy !== null) throw inUse(log);
    return await planFor(log, options);
  } finally {
    await log.storage.close();
  }
}

/**
 * Does it. The old directory is kept beside the new one; whenever it is cut
 * short, one of them is whole.
 *
 * @throws As {@linkcode planForceNewCluster}; nothing was changed then.
 */
export async function forceNewCluster(
  options: ForceOptions,
): Promise<ForceOutcome> {
  const path = await undoReplacement(options.directory);
  // Refused before anything is locked, if it is to be refused.
  await planForceNewCluster(options);
  const plans: ForcePlan[] = [];
  const { incarnation, kept } = await replaceDirectory(
    path,
    "force",
    async () => {
      // Under the lock: what was planned is what is there.
      const log = await openFrozen(path, new FrozenFileSystem());
      const end = () => log.storage.close();
      try {
        const plan = await planFor(log, options);
        plans.push(plan);
        const { deployment } = plan;
        const fill = forcing(log, plan, options.progress);
        return { deployment, fill, end };
      } catch (error) {
        await end();
        throw error;
      }
    },
  );
  const [plan] = plans;
  if (plan === undefined) throw new Error("Cannot force: nothing was planned");
  return { ...plan, incarnation, kept: kept ?? path };
}

/** Writes the groups of a plan into the new directory. */
function forcing(
  log: ReadOnlyLog,
  plan: ForcePlan,
  progress: Progress | undefined,
): Draft["fill"] {
  return async (storage, incarnation) => {
    for (const { group, ...forced } of plan.groups) {
      const stored = log.opened.groups.find((it) => it.group === group);
      if (stored === undefined) continue;
      const { node } = forced;
      const source = { storage: log.storage, stored };
      const more = closingEntries({ ...forced, incarnation }, stored);
      const last = more.at(-1);
      const term = last?.term ?? 0;
      const commit = last?.index ?? 0;
      const hardState = { term, vote: null, commit };
      const target = { storage, node, hardState, more };
      await copyGroup(source, target, progress);
    }
  };
}

async function planFor(
  log: ReadOnlyLog,
  options: ForceOptions,
): Promise<ForcePlan> {
  const { directory, owner } = log;
  const { deployment } = options;
  if (deployment === owner.deployment) {
    throw new Refusal(
      `Cannot force a new cluster: deployment "${deployment}" is the old one's name, wanted another, which keeps the old members out`,
    );
  }
  const { groups: stored } = log.opened;
  const leftOut: GroupId[] = [];
  for (const { group, lastIndex } of stored) {
    const times = options.groups.filter((it) => it.group === group).length;
    if (times > 1) {
      throw new RangeError(
        `Cannot force a new cluster: group ${group} is named twice`,
      );
    }
    if (times === 1) continue;
    if (lastIndex === 0) {
      leftOut.push(group);
      continue;
    }
    throw new Refusal(
      `Cannot force a new cluster: group ${group} is in "${directory}" too and would lose its other members, wanted it named as well`,
    );
  }
  const others = (options.others ?? []).map((other) => resolve(other));
  const groups: ForcedGroupPlan[] = [];
  for (const forced of options.groups) {
    const found = stored.find((it) => it.group === forced.group);
    if (found === undefined) {
      throw new RangeError(
        `Cannot force a new cluster: "${directory}" has no group ${forced.group}`,
      );
    }
    groups.push(await planGroup(log, found, forced));
  }
  await refuseBetter(log, others);
  return {
    directory,
    formerDeployment: owner.deployment,
    deployment,
    groups,
    leftOut,
  };
}

async function planGroup(
  log: ReadOnlyLog,
  stored: StoredGroup,
  { group, node, address }: ForcedGroup,
): Promise<ForcedGroupPlan> {
  const { conf } = newestConf(stored);
  const seen = idsOf(conf).add(stored.node);
  let own = addressOf(conf, stored.node);
  for await (const entry of entriesOf(log.storage, stored)) {
    if (entry.type === "omitted") throw isWitness(group, stored.node);
    if (entry.type !== "confChange") continue;
    for (const step of entry.change.steps) {
      if (step.node !== 0) seen.add(step.node);
      if (step.node === stored.node) own = step.address ?? own;
    }
  }
  if (conf.witnesses.includes(stored.node)) throw isWitness(group, stored.node);
  if (stored.lastIndex === 0) {
    throw new Refusal(
      `Cannot force a new cluster: group ${group} is empty in "${log.directory}"`,
    );
  }
  const removed = [...seen].sort((a, b) => a - b);
  if (!Number.isSafeInteger(node) || node < 1 || seen.has(node)) {
    throw new RangeError(
      `Cannot force a new cluster: member ${node} of group ${group} is no new id, wanted one that is none of ${
        removed.join(", ")
      }`,
    );
  }
  const at = address ?? own;
  if (at === undefined) {
    throw new RangeError(
      `Cannot force a new cluster: group ${group} knows no address of member ${stored.node}, wanted one`,
    );
  }
  return {
    group,
    formerNode: stored.node,
    node,
    address: at,
    lastIndex: stored.lastIndex,
    lastTerm: stored.termRuns.at(-1)?.term ?? stored.prevTerm,
    commit: Math.max(stored.hardState.commit, stored.snapshot.index),
    removed,
  };
}

/**
 * Entries after which the new member is the only one, whatever configuration
 * was in force before them: out of a joint one, if it was one; into one that
 * has both; out of that.
 */
function closingEntries(
  forced: {
    readonly node: NodeId;
    readonly address: string;
    readonly removed: readonly NodeId[];
    readonly incarnation: string;
  },
  stored: StoredGroup,
): Entry[] {
  const { node, address, removed, incarnation } = forced;
  const { hardState, lastIndex, prevTerm, termRuns } = stored;
  const lastTerm = termRuns.at(-1)?.term ?? prevTerm;
  const term = Math.max(hardState.term, lastTerm) + 1;
  const steps: ConfChangeStep[] = [
    { type: "addVoter", node, address },
    { type: "bind", node, incarnation },
    ...removed.map((id): ConfChangeStep => ({ type: "remove", node: id })),
  ];
  const leave = { transition: "auto", steps: [] } as const;
  const changes = [leave, { transition: "explicit", steps } as const, leave];
  return changes.map((change, i): Entry => ({
    type: "confChange",
    term,
    index: lastIndex + 1 + i,
    change,
  }));
}

/** Every id that a configuration names. */
function idsOf(conf: ConfState): Set<NodeId> {
  return new Set([
    ...conf.voters,
    ...conf.votersOutgoing,
    ...conf.learners,
    ...conf.learnersNext,
    ...conf.removed,
  ]);
}

function addressOf(conf: ConfState, node: NodeId): string | undefined {
  return conf.addresses.find(({ id }) => id === node)?.address;
}

function isWitness(group: GroupId, node: NodeId): Refusal {
  return new Refusal(
    `Cannot force a new cluster: member ${node} of group ${group} is a witness and keeps no data`,
  );
}

function inUse({ directory, heldBy }: ReadOnlyLog): Refusal {
  return new Refusal(
    `Cannot force a new cluster: process ${heldBy} uses "${directory}", wanted it stopped`,
  );
}
