/**
 * Is every message true when it leaves? Votes and acknowledgements promise
 * what is on disk; leaders speak of their own log only (H01, H24, H28).
 *
 * @module
 */
import type {
  AppendEntries,
  AppendEntriesResponse,
  Heartbeat,
  Message,
  RequestVote,
  RequestVoteResponse,
} from "../core/message.ts";
import { reignTermAt } from "./committed_log.ts";
import type { MarkCounter } from "./marks.ts";
import type { MemberView, Oracle } from "./oracle.ts";
import { fail } from "./violation.ts";

/** What is checked of messages, and remembered. */
export class MessageChecks {
  readonly #oracle: Oracle;
  readonly #members: readonly MemberView[];
  readonly #marks: MarkCounter;

  /** Watches the messages of `members`. */
  constructor(
    oracle: Oracle,
    members: readonly MemberView[],
    marks: MarkCounter,
  ) {
    this.#oracle = oracle;
    this.#members = members;
    this.#marks = marks;
  }

  /** Checks a message of `member`, as it leaves. */
  check(member: MemberView, message: Message): void {
    switch (message.type) {
      case "requestVoteResponse":
        if (message.reject) this.#marks.hit("voteRejected");
        else this.#checkVote(member, message);
        return;
      case "requestVote":
        return this.#checkCandidate(member, message);
      case "requestPreVoteResponse":
        if (!message.reject) this.#marks.hit("preVoteGranted");
        return;
      case "appendEntriesResponse":
        return this.#checkAnswer(member, message);
      case "appendEntries":
        return this.#checkAppend(member, message);
      case "heartbeat":
        return this.#checkHeartbeat(member, message);
      case "readIndexResponse":
        if (message.index > this.#oracle.committed.lastIndex) {
          fail(
            "readIndex",
            `Leader ${member.id} gives read index ${message.index}, committed is ${this.#oracle.committed.lastIndex}`,
          );
        }
        return;
      default:
        return;
    }
  }

  /** A candidate asks on the strength of what a crash cannot take from it. */
  #checkCandidate(member: MemberView, message: RequestVote): void {
    const { term, lastLogIndex, lastLogTerm } = message;
    const { hardState, durable } = member.disk;
    if (hardState.term > term) return;
    // Once another one leads the term, the log may rightly have changed.
    const isLogThere = this.#oracle.reigns.has(term) ||
      durable.termAt(lastLogIndex) === lastLogTerm;
    if (
      hardState.term < term || hardState.vote !== member.id || !isLogThere
    ) {
      fail(
        "durableBeforeSent",
        `Member ${member.id} asks for votes in term ${term} with (index ${lastLogIndex}, term ${lastLogTerm}), on its disk is term ${hardState.term} with a vote for ${hardState.vote} and term ${
          durable.termAt(lastLogIndex)
        } there`,
      );
    }
  }

  #checkVote(member: MemberView, message: RequestVoteResponse): void {
    const { term, to } = message;
    const { hardState } = member.disk;
    // A vote of an older term may leave late; its own write came before.
    if (
      hardState.term < term || hardState.term === term && hardState.vote !== to
    ) {
      fail(
        "durableBeforeSent",
        `Member ${member.id} sends its vote of term ${term} to ${to}, on its disk is term ${hardState.term} with a vote for ${hardState.vote}`,
      );
    }
    this.#oracle.votes(term, member.id, to);
  }

  #checkAnswer(member: MemberView, message: AppendEntriesResponse): void {
    const { term, index, reject } = message;
    const { hardState, durable } = member.disk;
    if (hardState.term < term) {
      fail(
        "durableBeforeSent",
        `Member ${member.id} answers in term ${term}, on its disk is term ${hardState.term}`,
      );
    }
    if (reject) {
      if (index - message.hintIndex > 1) this.#marks.hit("fastBacktrack");
      return;
    }
    // In a later term the entries may rightly be gone again.
    if (hardState.term > term || index === 0) return;
    const reign = this.#oracle.reigns.get(term);
    const theirs = reign === undefined ? 0 : reignTermAt(reign, term, index);
    if (durable.lastIndex < index || durable.termAt(index) !== theirs) {
      fail(
        "durableBeforeSent",
        `Member ${member.id} acknowledges ${index} in term ${term}: on its disk is term ${
          durable.termAt(index)
        } there, in the leader's log ${theirs}, its disk ends at ${durable.lastIndex}`,
      );
    }
  }

  #checkAppend(member: MemberView, message: AppendEntries): void {
    const { term, prevLogIndex, prevLogTerm, entries, commitIndex } = message;
    const reign = this.#oracle.reigns.get(term);
    if (reign?.node !== member.id) {
      fail(
        "messageTruth",
        `Member ${member.id} sends entries in term ${term}, which ${reign?.node} leads`,
      );
    }
    if (commitIndex > this.#oracle.committed.lastIndex) {
      fail(
        "messageTruth",
        `Leader ${member.id} sends commit index ${commitIndex}, committed is ${this.#oracle.committed.lastIndex}`,
      );
    }
    const last = entries[entries.length - 1];
    if (
      reignTermAt(reign, term, prevLogIndex) !== prevLogTerm ||
      last !== undefined &&
        (reignTermAt(reign, term, last.index) !== last.term ||
          last.index !== prevLogIndex + entries.length)
    ) {
      fail(
        "messageTruth",
        `Leader ${member.id} of term ${term} sends entries behind (index ${prevLogIndex}, term ${prevLogTerm}) that are not in its log`,
      );
    }
  }

  #checkHeartbeat(member: MemberView, message: Heartbeat): void {
    const { term, commitIndex, to } = message;
    const reign = this.#oracle.reigns.get(term);
    if (reign?.node !== member.id) {
      fail(
        "messageTruth",
        `Member ${member.id} sends heartbeats in term ${term}, which ${reign?.node} leads`,
      );
    }
    const follower = this.#members.find(({ id }) => id === to);
    const has = follower?.disk.durable.lastIndex ?? 0;
    if (commitIndex > has || commitIndex > this.#oracle.committed.lastIndex) {
      fail(
        "messageTruth",
        `Leader ${member.id} tells ${to} that ${commitIndex} is committed; it has ${has}, committed is ${this.#oracle.committed.lastIndex}`,
      );
    }
  }
}
