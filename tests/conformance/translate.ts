/**
 * Between the kit's words and the core's: configurations, changes, entries,
 * snapshots and messages.
 *
 * @module
 */
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  EMPTY_CONF,
  type Entry,
  type Message,
  type SnapshotMeta,
  type Term,
} from "../../src/core/mod.ts";
import type {
  KitChange,
  KitConf,
  KitEntry,
  KitMessage,
  KitSnapshot,
} from "./kit_types.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const STEP_TYPES: Readonly<Record<string, ConfChangeStep["type"]>> = {
  v: "addVoter",
  l: "addLearner",
  r: "remove",
  u: "update",
};

const LETTERS: Readonly<Record<string, string>> = {
  addVoter: "v",
  addLearner: "l",
  remove: "r",
  update: "u",
};

/** The data of an entry. */
export function dataOf(entry: Entry): string {
  return entry.type === "command" ? decoder.decode(entry.data) : "";
}

/** A command with this data. */
export function commandOf(data: string | undefined): Uint8Array {
  return encoder.encode(data ?? "");
}

/** The core's configuration. */
export function confFromKit(conf: KitConf): ConfState {
  return {
    ...EMPTY_CONF,
    voters: conf.voters,
    votersOutgoing: conf.outgoing ?? [],
    learners: conf.learners ?? [],
    learnersNext: conf.learnersNext ?? [],
    autoLeave: conf.autoLeave ?? false,
  };
}

/** The kit's configuration. */
export function confToKit(conf: ConfState): KitConf {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = conf;
  return {
    voters,
    ...(votersOutgoing.length > 0 ? { outgoing: votersOutgoing } : {}),
    ...(learners.length > 0 ? { learners } : {}),
    ...(learnersNext.length > 0 ? { learnersNext } : {}),
    ...(autoLeave ? { autoLeave } : {}),
  };
}

/** The core's steps of the kit's changes, each a letter and an id. */
export function stepsFromKit(changes: readonly string[]): ConfChangeStep[] {
  return changes.map((change) => {
    const type = STEP_TYPES[change.slice(0, 1)];
    const node = Number(change.slice(1));
    if (type === undefined || !Number.isSafeInteger(node)) {
      throw new TypeError(`there is no change "${change}"`);
    }
    return { type, node };
  });
}

/**
 * Translates the messages, entries and snapshots of one scenario. Holds what
 * the kit says of an object and the core's object does not: the version of a
 * change, the data of a snapshot, the text of a read's context. The core
 * hands on the very objects it is given.
 */
export class Translator {
  readonly #changes: WeakMap<ConfChange, KitChange> = new WeakMap();
  readonly #data: WeakMap<SnapshotMeta, string> = new WeakMap();
  readonly #contexts: string[] = [];

  /** The core's change. */
  changeFromKit(change: KitChange): ConfChange {
    const made: ConfChange = {
      transition: change.transition ?? "auto",
      steps: stepsFromKit(change.changes),
    };
    this.#changes.set(made, change);
    return made;
  }

  /** The kit's change; one that the core made itself is of version 2. */
  changeToKit(change: ConfChange): KitChange {
    const { transition, steps } = change;
    const version = this.#changes.get(change)?.version ?? 2;
    const changes = steps.map(({ type, node }) => `${LETTERS[type]}${node}`);
    if (version === 1) return { version, changes };
    return {
      version,
      transition: transition === "simple" ? "auto" : transition,
      changes,
    };
  }

  /** The core's entry. */
  entryFromKit(entry: KitEntry): Entry {
    const { term = 0, index = 0, data, confChange } = entry;
    if (confChange !== undefined) {
      const change = this.changeFromKit(confChange);
      return { type: "confChange", term, index, change };
    }
    return data === undefined
      ? { type: "noop", term, index }
      : { type: "command", term, index, data: encoder.encode(data) };
  }

  /** The kit's entry. */
  entryToKit(entry: Entry): KitEntry {
    const { index, term } = entry;
    if (entry.type === "confChange") {
      return { index, term, confChange: this.changeToKit(entry.change) };
    }
    const data = dataOf(entry);
    return data === "" ? { index, term } : { index, term, data };
  }

  /** Notes what data a snapshot carries; the core knows only its identity. */
  addData(meta: SnapshotMeta, data: string): SnapshotMeta {
    this.#data.set(meta, data);
    return meta;
  }

  /** The data of a snapshot. */
  dataOf(meta: SnapshotMeta): string {
    const data = this.#data.get(meta);
    if (data === undefined) {
      throw new Error(`nobody took the snapshot at ${meta.index}`);
    }
    return data;
  }

  /** The core's snapshot. */
  snapshotFromKit(snapshot: KitSnapshot): SnapshotMeta {
    const { index, term, conf, data = "" } = snapshot;
    return this.addData({ index, term, conf: confFromKit(conf) }, data);
  }

  /** The kit's snapshot. */
  snapshotToKit(meta: SnapshotMeta): KitSnapshot {
    const { index, term } = meta;
    const data = this.dataOf(meta);
    const conf = confToKit(meta.conf);
    return data === "" ? { index, term, conf } : { index, term, conf, data };
  }

  /** The number by which the core knows a read. */
  contextFromKit(text: string): number {
    const known = this.#contexts.indexOf(text);
    return known >= 0 ? known + 1 : this.#contexts.push(text);
  }

  /** The kit's name of a read. */
  contextToKit(context: number): string {
    return this.#contexts[context - 1] ?? `read ${context}`;
  }

  /**
   * The core's messages that say what the kit's says: one, save that commands
   * and changes proposed together travel apart.
   *
   * @param term What to say where the kit's message carries no term.
   */
  messagesFromKit(message: KitMessage, term: Term): Message[] {
    if (message.type === "propose") return this.#proposals(message);
    const translated = this.#messageFromKit(message, term);
    return translated === undefined ? [] : [translated];
  }

  #proposals(message: KitMessage): Message[] {
    const { from, to, entries = [] } = message;
    return entries.map(({ data, confChange }): Message => ({
      type: "propose",
      from: idOf(from),
      to,
      term: 0,
      ticket: 0,
      commands: confChange === undefined ? [commandOf(data)] : [],
      change: confChange === undefined
        ? null
        : { change: this.changeFromKit(confChange) },
    }));
  }

  #messageFromKit(message: KitMessage, term: Term): Message | undefined {
    const header = {
      from: idOf(message.from),
      to: message.to,
      term: message.term ?? term,
    };
    const { reject = false, index = 0, commit = 0, context = "" } = message;
    const { lastIndex = 0, lastTerm = 0 } = message;
    const last = { lastLogIndex: lastIndex, lastLogTerm: lastTerm };
    const noLease = { round: 0, sentAt: 0 };
    switch (message.type) {
      case "append":
        return {
          type: "appendEntries",
          ...header,
          prevLogIndex: message.prevIndex ?? 0,
          prevLogTerm: message.prevTerm ?? 0,
          commitIndex: commit,
          entries: (message.entries ?? []).map((e) => this.entryFromKit(e)),
        };
      case "append-response": {
        const { hintIndex = 0, hintTerm = 0 } = message;
        const hint = { hintIndex, hintTerm };
        const type = "appendEntriesResponse";
        return { type, ...header, reject, index, ...hint };
      }
      case "vote": {
        const transfer = message.force ?? false;
        return { type: "requestVote", ...header, ...last, transfer };
      }
      case "pre-vote":
        return { type: "requestPreVote", ...header, ...last };
      case "vote-response":
        return { type: "requestVoteResponse", ...header, reject };
      case "pre-vote-response":
        return { type: "requestPreVoteResponse", ...header, reject };
      case "heartbeat":
        return {
          type: "heartbeat",
          ...header,
          commitIndex: commit,
          ...noLease,
        };
      case "heartbeat-response": {
        const promise = { leaseMs: 0, priority: 0 };
        const type = "heartbeatResponse";
        return { type, ...header, ...noLease, ...promise };
      }
      case "snapshot": {
        if (message.snapshot === undefined) {
          throw new TypeError("a message of type snapshot has no snapshot");
        }
        const snapshot = this.snapshotFromKit(message.snapshot);
        return { type: "installSnapshot", ...header, snapshot };
      }
      case "transfer-leader":
        return { type: "transferLeadership", ...header, target: header.from };
      case "timeout-now":
        return { type: "timeoutNow", ...header };
      case "read-index":
      case "read-index-response": {
        const read = {
          ...header,
          term: 0,
          context: this.contextFromKit(context),
        };
        return message.type === "read-index"
          ? { type: "readIndex", ...read }
          : { type: "readIndexResponse", ...read, index };
      }
      default:
        return undefined;
    }
  }

  /**
   * The kit's message; `undefined` for those that the kit does not know. The
   * network loses them, as it may.
   */
  messageToKit(message: Message): KitMessage | undefined {
    const { from, to, term } = message;
    switch (message.type) {
      case "appendEntries":
        return {
          type: "append",
          from,
          to,
          term,
          prevIndex: message.prevLogIndex,
          prevTerm: message.prevLogTerm,
          commit: message.commitIndex,
          entries: message.entries.map((entry) => this.entryToKit(entry)),
        };
      case "appendEntriesResponse": {
        const { reject, index, hintIndex, hintTerm } = message;
        const hint = { reject, index, hintIndex, hintTerm };
        return { type: "append-response", from, to, term, ...hint };
      }
      case "requestVote":
      case "requestPreVote": {
        const isPre = message.type === "requestPreVote";
        const { lastLogIndex: lastIndex, lastLogTerm: lastTerm } = message;
        const force = message.type === "requestVote" && message.transfer;
        const type = isPre ? "pre-vote" : "vote";
        return { type, from, to, term, lastIndex, lastTerm, force };
      }
      case "requestVoteResponse":
      case "requestPreVoteResponse": {
        const isPre = message.type === "requestPreVoteResponse";
        const type = isPre ? "pre-vote-response" : "vote-response";
        return { type, from, to, term, reject: message.reject };
      }
      case "heartbeat":
        return {
          type: "heartbeat",
          from,
          to,
          term,
          commit: message.commitIndex,
        };
      case "heartbeatResponse":
        return { type: "heartbeat-response", from, to, term };
      case "installSnapshot": {
        const snapshot = this.snapshotToKit(message.snapshot);
        return { type: "snapshot", from, to, term, snapshot };
      }
      case "timeoutNow":
        return { type: "timeout-now", from, to, term };
      case "transferLeadership":
        return { type: "transfer-leader", from: message.target, to, term };
      case "propose":
        return { type: "propose", from, to, entries: this.#proposed(message) };
      case "readIndex": {
        const context = this.contextToKit(message.context);
        return { type: "read-index", from, to, context };
      }
      case "readIndexResponse": {
        const context = this.contextToKit(message.context);
        const { index } = message;
        return { type: "read-index-response", from, to, term, index, context };
      }
      default:
        return undefined;
    }
  }

  #proposed(message: Message & { type: "propose" }): KitEntry[] {
    if (message.change !== null) {
      return [{ confChange: this.changeToKit(message.change.change) }];
    }
    return message.commands.map((command) => {
      const data = decoder.decode(command);
      return data === "" ? {} : { data };
    });
  }
}

/** Messages of a node's own storage do not reach the core as messages. */
function idOf(from: KitMessage["from"]): number {
  return from === "storage" ? 0 : from;
}
