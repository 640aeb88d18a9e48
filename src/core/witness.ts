/**
 * Witnesses: voters that keep the terms of entries and not their payload, and
 * never lead (thesis §11.7.2). `docs/protocol.md` has the proof that no
 * committed payload is lost by them.
 *
 * @module
 */
import { InvariantError } from "./invariant.ts";
import type { Slice } from "./tail.ts";
import type { Tracker } from "./tracker.ts";
import {
  type ConfState,
  type Entry,
  entryBytes,
  type LogIndex,
  type NodeId,
} from "./types.ts";

/** Whether a member keeps no payload. */
export function isWitness(conf: ConfState, id: NodeId): boolean {
  return conf.witnesses.includes(id);
}

/**
 * Entries without payload: the same array if there is none in it. Index and
 * term stay, and by them logs are compared.
 */
export function withoutPayload(entries: readonly Entry[]): readonly Entry[] {
  if (!entries.some(({ type }) => type === "command")) return entries;
  return entries.map((entry): Entry => {
    const { type, term, index } = entry;
    return type === "command" ? { type: "omitted", term, index } : entry;
  });
}

/**
 * What goes to witnesses. Remembers the last batch: several witnesses in step
 * get the very same array.
 */
export class Omission {
  #source: readonly Entry[] = [];
  #result: Slice = { entries: [], bytes: 0 };

  /** Entries without payload and their size on the wire. */
  of(entries: readonly Entry[]): Slice {
    if (entries !== this.#source) {
      const kept = withoutPayload(entries);
      let bytes = 0;
      for (const entry of kept) bytes += entryBytes(entry);
      this.#source = entries;
      this.#result = { entries: kept, bytes };
    }
    return this.#result;
  }
}

/** What a member stores of the entries its leader sent. */
export function entriesToStore(
  conf: ConfState,
  id: NodeId,
  entries: readonly Entry[],
): readonly Entry[] {
  if (isWitness(conf, id)) return withoutPayload(entries);
  const isMember = conf.voters.includes(id) ||
    conf.votersOutgoing.includes(id) || conf.learners.includes(id);
  // Before it has applied its own joining a member cannot know its part.
  if (isMember) {
    for (const { type, index } of entries) {
      if (type !== "omitted") continue;
      throw new InvariantError(
        `a data member was sent entry ${index} without its payload`,
      );
    }
  }
  return entries;
}

/**
 * The highest index that witnesses are sent, and count for in a commit: one
 * that all data voters hold which are streamed to and take entries. The others are not
 * waited for: they are being brought up to date, or lag for `maxLagTicks`; nor
 * is the leader itself, `self`, whose own flush counts for itself.
 */
export function witnessLimit(
  { conf, progress }: Pick<Tracker, "conf" | "progress">,
  self: NodeId | null,
  maxLagTicks: number,
): LogIndex {
  let limit = Infinity;
  for (const [id, record] of progress) {
    if (id === self || record.learner || isWitness(conf, id)) continue;
    const isWaitedFor = record.state === "replicate" && !record.lostLog &&
      record.pace.lagTicks < maxLagTicks;
    if (isWaitedFor) limit = Math.min(limit, record.countedIndex);
  }
  return limit;
}

/**
 * The highest index that some data voter of each half holds for good. A
 * witness that knew of more would refuse its vote to everybody who may lead.
 */
export function dataLimit(
  { conf, progress }: Pick<Tracker, "conf" | "progress">,
): LogIndex {
  const heldBy = (half: readonly NodeId[]) => {
    let held = 0;
    for (const id of half) {
      if (isWitness(conf, id)) continue;
      held = Math.max(held, progress.get(id)?.countedIndex ?? 0);
    }
    return held;
  };
  const { voters, votersOutgoing } = conf;
  return votersOutgoing.length === 0
    ? heldBy(voters)
    : Math.min(heldBy(voters), heldBy(votersOutgoing));
}

/** Those of contiguous entries that lie at or below an index. */
export function entriesThrough(
  entries: readonly Entry[],
  index: LogIndex,
): readonly Entry[] {
  const first = entries[0]?.index ?? 0;
  const count = Math.max(0, index - first + 1);
  return count < entries.length ? entries.slice(0, count) : entries;
}
