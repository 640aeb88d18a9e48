/**
 * Witnesses are no substitute for data voters that keep up: they hear of
 * entries, and count for them, behind those (thesis §11.7.2, H89). Else the
 * loss of a leader could leave nobody whom they would elect.
 *
 * @module
 */
import type { AppendEntries } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type { ProgressStatus } from "../core/status.ts";
import type { ConfState, LogIndex, NodeId, Term } from "../core/types.ts";
import { isQuorum } from "./conf_model.ts";
import type { MarkCounter } from "./marks.ts";
import { fail } from "./violation.ts";

/** How a member keeps up, as its leader can tell. */
interface Pace {
  /** What it had at the last tick. */
  matchIndex: LogIndex;
  /** Ticks for which it has lacked entries and taken none. */
  lagTicks: number;
}

/** A leader in its term. */
interface Office {
  readonly term: Term;
  readonly paces: Map<NodeId, Pace>;
  /** The highest index that a witness may have been sent since the last Ready. */
  sendLimit: LogIndex;
  commitIndex: LogIndex;
}

/** Checks one group. */
export class WitnessChecks {
  readonly #offices = new Map<NodeId, Office>();
  readonly #electionTicks: number;
  readonly #marks: MarkCounter;

  /** Checks leaders who wait so many ticks for those that lag. */
  constructor(electionTicks: number, marks: MarkCounter) {
    this.#electionTicks = electionTicks;
    this.#marks = marks;
  }

  /** A member has taken a step. */
  stepped(core: RawNode): void {
    const office = this.#officeOf(core);
    if (office === undefined) return;
    const hasCommitted = core.commitIndex > office.commitIndex;
    office.commitIndex = core.commitIndex;
    if (core.conf.witnesses.length === 0) return;
    const { progress } = core.status();
    const waited = this.#waitedLimit(core, office, progress);
    const limit = Math.min(waited, dataLimit(core.conf, progress));
    office.sendLimit = Math.max(office.sendLimit, limit);
    if (hasCommitted) this.#checkCommit(core, progress, waited);
  }

  /**
   * A tick has passed at a member. It counts while there are no witnesses,
   * too: who lags when one joins has lagged since before.
   */
  ticked(core: RawNode): void {
    const office = this.#officeOf(core);
    if (office === undefined) return;
    for (const { id, matchIndex } of core.status().progress) {
      const pace = office.paces.get(id) ?? { matchIndex: 0, lagTicks: 0 };
      const moves = matchIndex > pace.matchIndex ||
        matchIndex >= core.lastIndex;
      office.paces.set(id, {
        matchIndex,
        lagTicks: moves ? 0 : pace.lagTicks + 1,
      });
    }
  }

  /** A Ready was taken: what is in it was decided since the last one. */
  readyTaken(core: RawNode, ready: Ready): void {
    const office = this.#officeOf(core);
    if (office === undefined || core.conf.witnesses.length === 0) return;
    for (const message of [...ready.messages, ...ready.messagesAfterPersist]) {
      if (message.type !== "appendEntries" || message.term !== core.term) {
        continue;
      }
      if (!core.conf.witnesses.includes(message.to)) continue;
      this.#checkSent(core, message, office.sendLimit);
    }
    office.sendLimit = 0;
    this.stepped(core);
  }

  #officeOf({ id, role, term, commitIndex }: RawNode): Office | undefined {
    const known = this.#offices.get(id);
    if (role !== "leader") {
      if (known !== undefined) this.#offices.delete(id);
      return undefined;
    }
    if (known?.term === term) return known;
    const office = { term, paces: new Map(), sendLimit: 0, commitIndex };
    this.#offices.set(id, office);
    return office;
  }

  #checkSent(
    { id }: RawNode,
    { to, prevLogIndex, entries }: AppendEntries,
    limit: LogIndex,
  ): void {
    const last = prevLogIndex + entries.length;
    if (entries.length === 0 || last <= limit) return;
    fail(
      "witnessOrder",
      `Leader ${id} sends entry ${last} to the witness ${to}, the data voters that keep up hold ${limit} at least`,
    );
  }

  /** Witnesses that are ahead of those who keep up do not count. */
  #checkCommit(
    { id, commitIndex, conf }: RawNode,
    progress: readonly ProgressStatus[],
    limit: LogIndex,
  ): void {
    const holds = (voter: NodeId) =>
      progress.some((one) => one.id === voter && one.matchIndex >= commitIndex);
    const isData = (voter: NodeId) => !conf.witnesses.includes(voter);
    if (!isQuorum(conf, (voter) => isData(voter) && holds(voter))) {
      this.#marks.hit("witnessCounted");
    }
    const counts = (voter: NodeId) =>
      holds(voter) && (isData(voter) || commitIndex <= limit);
    if (isQuorum(conf, counts)) return;
    fail(
      "witnessOrder",
      `Leader ${id} commits ${commitIndex} by witnesses, the data voters that keep up hold ${limit} at least`,
    );
  }

  /** What every data voter holds that the leader streams to and that moves. */
  #waitedLimit(
    { conf, id: self }: RawNode,
    { paces }: Office,
    progress: readonly ProgressStatus[],
  ): LogIndex {
    let limit = Infinity;
    for (const { id, learner, lostLog, matchIndex, state } of progress) {
      if (id === self || learner || conf.witnesses.includes(id)) continue;
      // A tick under way has counted already, and not yet here.
      const lagTicks = (paces.get(id)?.lagTicks ?? 0) + 1;
      if (lagTicks >= this.#electionTicks) {
        this.#marks.hit("laggardNotWaitedFor");
        continue;
      }
      if (state !== "replicate" || lostLog) continue;
      limit = Math.min(limit, matchIndex);
    }
    return limit;
  }
}

/** What some data voter of each half holds. */
function dataLimit(
  { voters, votersOutgoing, witnesses }: ConfState,
  progress: readonly ProgressStatus[],
): LogIndex {
  const halves = [voters, votersOutgoing].filter(({ length }) => length > 0);
  const held = halves.map((half) =>
    Math.max(
      0,
      ...progress.filter(({ id }) =>
        half.includes(id) && !witnesses.includes(id)
      )
        .map(({ matchIndex }) => matchIndex),
    )
  );
  return Math.min(...held);
}
