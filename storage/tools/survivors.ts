/**
 * Which of the directories that are left knows most.
 *
 * @module
 */
import type {
  ConfState,
  GroupId,
  LogIndex,
  NodeId,
  Term,
} from "../../src/core/types.ts";
import type { StoredGroup } from "../../src/storage.ts";
import { openReadOnly, type ReadOnlyLog } from "./data_directory.ts";
import { newestConf } from "./inspect.ts";
import { Refusal } from "./refusal.ts";

/** Somebody's data of one group. */
interface Survivor {
  readonly directory: string;
  readonly group: GroupId;
  readonly node: NodeId;
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
  readonly conf: ConfState;
  /** It votes, but has no data. */
  readonly isWitness: boolean;
}

/**
 * Refuses if one of the other directories is a better survivor, or if all of
 * them together are a quorum, which needs no force.
 *
 * @throws {Refusal} Naming the directory; or if one is in use.
 * @throws {RangeError} If one belongs to another deployment.
 * @throws {RaftError} What opening one came to.
 */
export async function refuseBetter(
  log: ReadOnlyLog,
  others: readonly string[],
): Promise<void> {
  const own = survivorsOf(log);
  const all = [...own];
  for (const directory of others) {
    const other = await openReadOnly(directory);
    try {
      requireSameDeployment(log, other);
      requireIdle(other);
      all.push(...survivorsOf(other));
    } finally {
      await other.storage.close();
    }
  }
  for (const survivor of own) {
    const group = all.filter((it) => it.group === survivor.group);
    for (const other of group) compare(survivor, other);
    refuseQuorum(group);
  }
}

function survivorsOf({ directory, opened }: ReadOnlyLog): Survivor[] {
  return opened.groups.map((stored: StoredGroup) => {
    const { group, lastIndex, node, prevTerm, termRuns } = stored;
    const { conf } = newestConf(stored);
    const lastTerm = termRuns.at(-1)?.term ?? prevTerm;
    const isWitness = conf.witnesses.includes(node);
    return { directory, group, node, lastTerm, lastIndex, conf, isWitness };
  });
}

function requireIdle({ directory, heldBy }: ReadOnlyLog): void {
  if (heldBy === null) return;
  throw new Refusal(
    `Cannot force a new cluster: process ${heldBy} uses "${directory}", wanted it stopped`,
  );
}

function requireSameDeployment(log: ReadOnlyLog, other: ReadOnlyLog): void {
  const [wanted, found] = [log.owner.deployment, other.owner.deployment];
  if (wanted === found) return;
  throw new RangeError(
    `Cannot compare "${log.directory}" with "${other.directory}": they belong to deployments "${wanted}" and "${found}"`,
  );
}

/** The log that would win the vote is the better one (thesis §3.6.1). */
function compare(own: Survivor, other: Survivor): void {
  if (other.directory === own.directory || other.isWitness) return;
  const isLonger = other.lastTerm > own.lastTerm ||
    other.lastTerm === own.lastTerm && other.lastIndex > own.lastIndex;
  if (isLonger) {
    throw new Refusal(
      `Cannot force a new cluster from "${own.directory}": "${other.directory}" is the better survivor of group ${own.group}, its log ends at ${other.lastIndex} of term ${other.lastTerm}, this one at ${own.lastIndex} of term ${own.lastTerm}`,
    );
  }
  if (other.conf.removed.includes(own.node)) {
    throw new Refusal(
      `Cannot force a new cluster from "${own.directory}": "${other.directory}" is the better survivor of group ${own.group}, member ${own.node} was removed by version ${other.conf.version} of its configuration`,
    );
  }
}

/** Whoever has a quorum at hand can start it, and loses nothing. */
function refuseQuorum(group: readonly Survivor[]): void {
  const newest = group.reduce((a, b) =>
    b.conf.version > a.conf.version ? b : a
  );
  const { conf } = newest;
  const nodes = new Set(group.map(({ node }) => node));
  const halves = [conf.voters, conf.votersOutgoing];
  const isQuorum = halves.every((voters) =>
    voters.length === 0 ||
    voters.filter((id) => nodes.has(id)).length > voters.length / 2
  );
  if (!isQuorum || conf.voters.length === 0) return;
  throw new Refusal(
    `Cannot force a new cluster: members ${
      [...nodes].sort((a, b) => a - b).join(", ")
    } of group ${newest.group} are a quorum of ${
      conf.voters.join(", ")
    }, wanted them started as they are`,
  );
}
