/**
 * The nouns of the protocol: ids, entries, configurations, durable state.
 *
 * @module
 */

/**
 * A number that carries a name for the type checker only. Literals and
 * arithmetic flow in, but a `Term` handed where a `LogIndex` is expected does
 * not compile.
 */
export type Flavor<T, Name extends string> = T & { readonly __flavor?: Name };

/** Identity of a member within its group; never used again after removal. */
export type NodeId = Flavor<number, "NodeId">;
/** Identity of a Raft group within a deployment. */
export type GroupId = Flavor<number, "GroupId">;
/** A leadership period (thesis §3.3); 0 only before the first election. */
export type Term = Flavor<number, "Term">;
/** A position in the log, counted from 1; 0 means "before the log". */
export type LogIndex = Flavor<number, "LogIndex">;

/** What names an entry for good: two entries with equal ids are equal. */
export interface EntryId {
  /** Term of the leader that created the entry. */
  readonly term: Term;
  /** Position in the log. */
  readonly index: LogIndex;
}

/** A user command, opaque to the core. */
export interface CommandEntry extends EntryId {
  /** The kind of entry. */
  readonly type: "command";
  /** The encoded command; never mutated once it is in an entry. */
  readonly data: Uint8Array;
}

/** The empty entry with which a leader opens its term (thesis §6.4, §3.6.2). */
export interface NoopEntry extends EntryId {
  /** The kind of entry. */
  readonly type: "noop";
}

/** A membership change (thesis §4); takes effect when it is applied. */
export interface ConfChangeEntry extends EntryId {
  /** The kind of entry. */
  readonly type: "confChange";
  /** What changes. */
  readonly change: ConfChange;
}

/**
 * A command whose payload a witness does not keep (thesis §11.7.2). Only in
 * logs of witnesses and in appends to them; never applied.
 */
export interface OmittedEntry extends EntryId {
  /** The kind of entry. */
  readonly type: "omitted";
}

/** One position of the replicated log. */
export type Entry = CommandEntry | NoopEntry | ConfChangeEntry | OmittedEntry;

/** One step of a membership change. */
export interface ConfChangeStep {
  /**
   * What happens to the member. `addStaging`: a learner that the leader
   * promotes once it has caught up; `update`: changes its address only;
   * `bind`: ties it to a data directory.
   */
  readonly type:
    | "addVoter"
    | "addLearner"
    | "addStaging"
    | "addWitness"
    | "remove"
    | "update"
    | "bind";
  /** The member. */
  readonly node: NodeId;
  /** Where the member is reached; kept when absent. */
  readonly address?: string | undefined;
  /** Of `bind`: the data directory the member lives in (H80). */
  readonly incarnation?: string | undefined;
}

/**
 * A membership change. Without steps it leaves a joint configuration
 * (thesis §4.3).
 */
export interface ConfChange {
  /**
   * `auto` uses a joint configuration only if there is more than one step and
   * leaves it by itself; `simple` never uses one, and fits only if at most one
   * voter changes; `implicit` always uses one and leaves by itself; `explicit`
   * waits for an empty change of `auto`.
   */
  readonly transition: "auto" | "simple" | "implicit" | "explicit";
  /** Taken in order, in force together. */
  readonly steps: readonly ConfChangeStep[];
}

/** On what terms a membership change is proposed; not part of the log. */
export interface ChangeGuard {
  /** The version of the configuration the proposer saw (H90). */
  readonly expect?: number | undefined;
  /** Whether to go on although no quorum of the result is known to live. */
  readonly force?: boolean | undefined;
}

/** A membership change on its way to the log. */
export interface ProposedChange extends ChangeGuard {
  /** What is to change. */
  readonly change: ConfChange;
}

/** The data directory a member lives in, minted when it was created. */
export interface MemberIncarnation {
  /** The member. */
  readonly id: NodeId;
  /** 32 hexadecimal digits; see `OpenedStorage.incarnation`. */
  readonly incarnation: string;
}

/** Where a member is reached; an attribute, not its identity. */
export interface MemberAddress {
  /** The member. */
  readonly id: NodeId;
  /** `host:port`. */
  readonly address: string;
}

/**
 * A configuration: who votes, who only listens. Id lists are ascending and
 * hold no duplicates; `votersOutgoing` is non-empty exactly in a joint
 * configuration (thesis §4.3).
 */
export interface ConfState {
  /** Changes applied since the bootstrap; equal on members that agree. */
  readonly version: number;
  /** Members that vote; in a joint configuration those of the new half. */
  readonly voters: readonly NodeId[];
  /** Voters of the old half; empty outside a joint configuration. */
  readonly votersOutgoing: readonly NodeId[];
  /** Members that receive the log and do not count. */
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners on leaving the joint. */
  readonly learnersNext: readonly NodeId[];
  /** Those learners that the leader promotes once they have caught up. */
  readonly staging: readonly NodeId[];
  /** Those voters that keep no payload and never lead (thesis §11.7.2). */
  readonly witnesses: readonly NodeId[];
  /** Whether the leader leaves the joint configuration by itself. */
  readonly autoLeave: boolean;
  /** Ids that were removed and are refused for ever. */
  readonly removed: readonly NodeId[];
  /** Addresses of the members above, ascending by id. */
  readonly addresses: readonly MemberAddress[];
  /** Those members that are tied to a data directory, ascending by id. */
  readonly incarnations: readonly MemberIncarnation[];
}

/**
 * What must be durable before any message that depends on it leaves
 * (thesis §3.8). Term and vote travel together, always.
 */
export interface HardState {
  /** The highest term seen; never goes back. */
  readonly term: Term;
  /** Who got this member's vote in `term`; `null` for nobody. */
  readonly vote: NodeId | null;
  /** A hint for restart, never proof: may lag behind the true commit index. */
  readonly commit: LogIndex;
}

/** The part of the state that is not stored. */
export interface SoftState {
  /** What this member is in its term. */
  readonly role: Role;
  /** The leader of the current term, as far as this member knows. */
  readonly leader: NodeId | null;
}

/** What a member is in its term. */
export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/**
 * Identity of a snapshot: everything up to and including `index` is in it
 * (thesis §5.1). Index 0 stands for the empty state a group starts from.
 */
export interface SnapshotMeta {
  /** Last index contained. */
  readonly index: LogIndex;
  /** Term of the entry at `index`. */
  readonly term: Term;
  /** The configuration in force at `index`. */
  readonly conf: ConfState;
}

/**
 * The first index of a term in the log. A list of runs, ascending in both
 * fields, gives the term of every retained entry without reading any.
 */
export interface TermRun {
  /** The term. */
  readonly term: Term;
  /** Where it begins; it ends where the next run begins. */
  readonly firstIndex: LogIndex;
}

/** A configuration and the entry that made it (0: the bootstrap). */
export interface AppliedConf {
  /** Index of the entry that made it. */
  readonly index: LogIndex;
  /** The configuration in force from there on. */
  readonly conf: ConfState;
}

/** A configuration without members; the start of every other one. */
export const EMPTY_CONF: ConfState = {
  version: 0,
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  staging: [],
  witnesses: [],
  autoLeave: false,
  removed: [],
  addresses: [],
  incarnations: [],
};

/** Hard state of a member that has never run. */
export const INITIAL_HARD_STATE: HardState = { term: 0, vote: null, commit: 0 };

/** Bytes an entry counts for besides its payload: header, term and index. */
export const ENTRY_OVERHEAD_BYTES = 32;

/** Size of an entry for every byte limit of the core, storage and wire. */
export function entryBytes(entry: Entry): number {
  switch (entry.type) {
    case "command":
      return ENTRY_OVERHEAD_BYTES + entry.data.length;
    case "noop":
    case "omitted":
      return ENTRY_OVERHEAD_BYTES;
    case "confChange":
      return ENTRY_OVERHEAD_BYTES + 48 * (1 + entry.change.steps.length);
    default: {
      const unreachable: never = entry;
      return unreachable;
    }
  }
}
