/**
 * Transfers of leadership: who may be named as successor, and whether others
 * hear it (thesis §3.10, H113, H114, H115).
 *
 * @module
 */
import type { Message, RequestVote, TimeoutNow } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { CommittedLog } from "./committed_log.ts";
import { fail } from "./violation.ts";

/** Checks one group. */
export class TransferChecks {
  readonly #committed: CommittedLog;
  /** Who was told to campaign, and in which term. */
  readonly #successors = new Set<string>();

  /** Watches a group. */
  constructor(committed: CommittedLog) {
    this.#committed = committed;
  }

  /** A leader names a successor: somebody who may lead. */
  named({ from, to, term }: TimeoutNow): void {
    this.#successors.add(`${to} after ${term}`);
    // Which configuration the leader goes by is not known here.
    const mayLead = this.#committed.confsFrom(0).some(({ conf }) =>
      (conf.voters.includes(to) || conf.votersOutgoing.includes(to)) &&
      !conf.witnesses.includes(to)
    );
    if (mayLead) return;
    fail(
      "messageTruth",
      `Leader ${from} of term ${term} tells ${to} to campaign, which never had a vote, or no data`,
    );
  }

  /** A candidate that nobody is to be deaf to was named. */
  asks({ from, term, transfer }: RequestVote): void {
    const isNamed = this.#successors.has(`${from} after ${term - 1}`);
    if (!transfer || isNamed) return;
    fail(
      "messageTruth",
      `Member ${from} asks for votes in term ${term} as a successor; no leader of term ${
        term - 1
      } told it to`,
    );
  }
}

/** A member has taken a message: it must not have been deaf to a successor. */
export function checkHeard(core: RawNode, message: Message): void {
  if (message.type !== "requestVote" || !message.transfer) return;
  const { from, to, term } = message;
  if (core.term >= term || core.conf.removed.includes(from)) return;
  fail(
    "messageTruth",
    `Member ${to} of term ${core.term} is deaf to ${from}, the successor for term ${term}`,
  );
}
