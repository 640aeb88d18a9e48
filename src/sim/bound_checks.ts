/**
 * Nothing grows without end: what a member keeps for others, for its disk and
 * for its machine stays within the limits it was given (H36).
 *
 * @module
 */
import { type CoreConfig, resolveConfig } from "../core/config.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { ProgressStatus } from "../core/status.ts";
import { type Entry, entryBytes } from "../core/types.ts";
import type { MarkCounter } from "./marks.ts";
import type { SimOptions } from "./options.ts";
import type { MemberView } from "./oracle.ts";
import { fail } from "./violation.ts";

/** Every so many looks the whole status of a member is taken. */
const SAMPLE_INTERVAL = 5;

/** Checks one group. */
export class BoundChecks {
  readonly #limits: CoreConfig;
  /** The longest single proposal: it is taken however little room is left. */
  readonly #maxProposalBytes: number;
  readonly #marks: MarkCounter;
  #looks = 0;

  /** Checks against the limits that all members share. */
  constructor({ core, clients }: SimOptions, marks: MarkCounter) {
    this.#marks = marks;
    this.#limits = resolveConfig(core);
    this.#maxProposalBytes = this.#limits.maxEntryBytes * clients.batchCount;
  }

  /** A tick has passed at a member. */
  check(member: MemberView, core: RawNode): void {
    if (++this.#looks % SAMPLE_INTERVAL !== 0) return;
    const status = core.status();
    const { maxUncommittedBytes, maxInflightCount, maxPendingReads } =
      this.#limits;
    expectWithin(
      member,
      "uncommitted bytes",
      status.uncommittedBytes,
      Math.max(maxUncommittedBytes, this.#maxProposalBytes),
    );
    expectWithin(member, "reads", status.pendingReads, maxPendingReads);
    for (const progress of status.progress) {
      const { id, inflightCount } = progress;
      expectWithin(
        member,
        `appends in flight to ${id}`,
        inflightCount,
        maxInflightCount,
      );
      const isWitness = core.conf.witnesses.includes(id);
      this.#checkWindow(member, progress, isWitness);
    }
  }

  /**
   * The bytes that a follower was sent and has not acknowledged, added up from
   * the log: the append that fills the window may be the largest of all.
   */
  #checkWindow(
    member: MemberView,
    progress: ProgressStatus,
    isWitness: boolean,
  ): void {
    const { id, state, matchIndex, nextIndex } = progress;
    if (state !== "replicate") return;
    const { maxAppendBytes, maxInflightBytes } = this.#limits;
    let bytes = 0;
    let largest = maxAppendBytes;
    for (let i = matchIndex + 1; i < nextIndex; i++) {
      const entry = member.disk.written.entryAt(i);
      const size = entry === undefined ? 0 : sentBytes(entry, isWitness);
      bytes += size;
      largest = Math.max(largest, size);
    }
    const limit = maxInflightBytes - 1 + largest;
    if (bytes > maxAppendBytes && bytes >= maxInflightBytes) {
      this.#marks.hit("windowFullOfBytes");
    }
    expectWithin(member, `bytes in flight to ${id}`, bytes, limit);
  }
}

/** Witnesses are sent no payload. */
function sentBytes(entry: Entry, isWitness: boolean): number {
  const { term, index, type } = entry;
  return isWitness && type === "command"
    ? entryBytes({ type: "omitted", term, index })
    : entryBytes(entry);
}

function expectWithin(
  { id }: MemberView,
  what: string,
  value: number,
  limit: number,
): void {
  if (value <= limit) return;
  fail(
    "boundedQueues",
    `Member ${id} keeps ${value} ${what}, wanted at most ${limit}`,
  );
}
