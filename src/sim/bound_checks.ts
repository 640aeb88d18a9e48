/**
 * Nothing grows without end: what a member keeps for others, for its disk and
 * for its machine stays within the limits it was given (H36).
 *
 * @module
 */
import { type CoreConfig, resolveConfig } from "../core/config.ts";
import type { RawNode } from "../core/raw_node.ts";
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
  #looks = 0;

  /** Checks against the limits that all members share. */
  constructor({ core, clients }: SimOptions) {
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
    for (const { id, inflightCount } of status.progress) {
      expectWithin(
        member,
        `appends in flight to ${id}`,
        inflightCount,
        maxInflightCount,
      );
    }
  }
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
