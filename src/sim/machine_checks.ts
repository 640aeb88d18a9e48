/**
 * State machine safety: every member applies the same, and gets the same.
 *
 * @module
 */
import type { Entry, LogIndex } from "../core/types.ts";
import type { CommittedLog } from "./committed_log.ts";
import { isEqual } from "./is_equal.ts";
import type { MemberView } from "./oracle.ts";
import { fail } from "./violation.ts";

/** Compares the machines of all members, over all their lives. */
export class MachineChecks {
  readonly #committed: CommittedLog;
  /** Checksum at an applied index, by whoever came first. */
  readonly #checksums = new Map<LogIndex, number>();
  readonly #results = new Map<LogIndex, { result: unknown }>();

  /** Compares with what the cluster has committed. */
  constructor(committed: CommittedLog) {
    this.#committed = committed;
  }

  /** A member applies an entry, after those through `appliedIndex`. */
  applying(member: MemberView, entry: Entry, appliedIndex: LogIndex): void {
    const { index, term } = entry;
    if (index !== appliedIndex + 1) {
      fail(
        "stateMachineSafety",
        `Member ${member.id} applies ${index} after ${appliedIndex}`,
      );
    }
    const { durable } = member.disk;
    if (index > this.#committed.lastIndex) {
      fail(
        "stateMachineSafety",
        `Member ${member.id} applies ${index}, committed is ${this.#committed.lastIndex}`,
      );
    }
    if (
      term !== this.#committed.termAt(index) ||
      durable.digestAt(index) !== this.#committed.digestAt(index) ||
      durable.entryAt(index) === undefined
    ) {
      fail(
        "stateMachineSafety",
        `Member ${member.id} applies (index ${index}, term ${term}), committed is term ${
          this.#committed.termAt(index)
        }, on its disk is term ${durable.termAt(index)}`,
      );
    }
  }

  /** A member's machine has this checksum as of `index`. */
  machineAt(member: MemberView, index: LogIndex, checksum: number): void {
    const first = this.#checksums.get(index);
    if (first === undefined) this.#checksums.set(index, checksum);
    else if (first !== checksum) {
      fail(
        "stateMachineSafety",
        `Member ${member.id} has machine checksum ${checksum} at index ${index}, another member had ${first}`,
      );
    }
  }

  /** A member's machine gave this result for the command at `index`. */
  resultAt(member: MemberView, index: LogIndex, result: unknown): void {
    const first = this.#results.get(index);
    if (first === undefined) this.#results.set(index, { result });
    else if (!isEqual(first.result, result)) {
      fail(
        "stateMachineSafety",
        `Member ${member.id} got another result at index ${index} than a member before`,
      );
    }
  }
}
