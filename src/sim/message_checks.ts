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
  InstallSnapshot,
  Message,
  Removed,
  RequestVote,
  RequestVoteResponse,
} from "../core/message.ts";
import { type Reign, reignTermAt } from "./committed_log.ts";
import type { MarkCounter } from "./marks.ts";
import type { MemberView, Oracle } from "./oracle.ts";
import { TransferChecks } from "./transfer_checks.ts";
import { fail } from "./violation.ts";

/** What is checked of messages, and remembered. */
export class MessageChecks {
  readonly #oracle: Oracle;
  readonly #members: readonly MemberView[];
  readonly #marks: MarkCounter;
  readonly #transfers: TransferChecks;

  /** Watches the messages of `members`. */
  constructor(
    oracle: Oracle,
    members: readonly MemberView[],
    marks: MarkCounter,
  ) {
    this.#oracle = oracle;
    this.#members = members;
    this.#marks = marks;
    this.#transfers = new TransferChecks(oracle.committed);
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
      case "installSnapshot":
        return this.#checkInstall(member, message);
      case "timeoutNow":
        this.#marks.hit("transferTriggered");
        this.#checkLeads(member, message, "tells others to campaign");
        this.#transfers.named(message);
        return;
      case "removed":
        return this.#checkRemoved(member, message);
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
    this.#transfers.asks(message);
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
    const reign = this.#checkLeads(member, message, "sends entries");
    this.#checkPayload(member, message);
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
    const { commitIndex, to } = message;
    this.#checkLeads(member, message, "sends heartbeats");
    const follower = this.#members.find(({ id }) => id === to);
    // Who lost its disk is taken to have what it acknowledged (H80).
    const has = Math.max(
      follower?.disk.durable.lastIndex ?? 0,
      follower?.loss?.heldThrough ?? 0,
    );
    if (commitIndex > has || commitIndex > this.#oracle.committed.lastIndex) {
      fail(
        "messageTruth",
        `Leader ${member.id} tells ${to} that ${commitIndex} is committed; it has ${has}, committed is ${this.#oracle.committed.lastIndex}`,
      );
    }
  }

  /** A snapshot is told of by the leader, and tells what was committed. */
  #checkInstall(member: MemberView, message: InstallSnapshot): void {
    const { snapshot } = message;
    this.#checkLeads(member, message, "sends a snapshot");
    this.#oracle.checkSnapshot(
      `The snapshot that ${member.id} sends`,
      snapshot,
    );
    this.#marks.hit("snapshotSent");
    if (snapshot.conf.votersOutgoing.length > 0) {
      this.#marks.hit("jointSnapshotSent");
    }
  }

  /** Nobody is told to go who was not removed (H80). */
  #checkRemoved(member: MemberView, { to, reason, version }: Removed): void {
    this.#marks.hit("removedTold");
    const { conf } = this.#oracle.committed.lastConf;
    if (reason !== "removed") return;
    if (conf.removed.includes(to) && version <= conf.version) return;
    fail(
      "messageTruth",
      `Member ${member.id} tells ${to} that version ${version} removed it: removed are ${conf.removed}, in version ${conf.version}`,
    );
  }

  /** Witnesses get no payloads, and everybody else gets all (H89). */
  #checkPayload(member: MemberView, { to, entries }: AppendEntries): void {
    if (entries.length === 0) return;
    const isWitness = this.#oracle.committed.isWitness(to);
    const wrong = isWitness ? "command" : "omitted";
    const entry = entries.find(({ type }) => type === wrong);
    if (entry === undefined) return;
    fail(
      "witnessPayload",
      `Leader ${member.id} sends ${
        isWitness ? "a payload to the witness" : "no payload to the data member"
      } ${to} at index ${entry.index}`,
    );
  }

  #checkLeads(
    member: MemberView,
    { term }: Message,
    deed: string,
  ): Reign {
    const reign = this.#oracle.reigns.get(term);
    if (reign?.node === member.id) return reign;
    return fail(
      "messageTruth",
      `Member ${member.id} ${deed} in term ${term}, which ${reign?.node} leads`,
    );
  }
}
