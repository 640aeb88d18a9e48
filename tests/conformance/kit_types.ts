/**
 * The shapes of the kit's files, as `kit/README.md` and `kit/schema.json`
 * state them.
 *
 * @module
 */

/** A member's id; 0 means none. */
export type KitId = number;

/** Settings of a node; what is absent is off or unlimited. */
export interface KitConfig {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly preVote?: boolean | undefined;
  readonly checkQuorum?: boolean | undefined;
  readonly asyncStorageWrites?: boolean | undefined;
  readonly stepDownOnRemoval?: boolean | undefined;
  readonly disableConfChangeValidation?: boolean | undefined;
  readonly disableProposalForwarding?: boolean | undefined;
  readonly readOnly?: "safe" | "lease-based" | undefined;
  readonly maxInflightMessages?: number | undefined;
  readonly maxMessageBytes?: number | undefined;
  readonly maxCommittedBytesPerReady?: number | undefined;
  readonly maxUncommittedBytes?: number | undefined;
}

/** Who votes, who listens; ids ascend, empty parts are left out. */
export interface KitConf {
  readonly voters: readonly KitId[];
  readonly outgoing?: readonly KitId[] | undefined;
  readonly learners?: readonly KitId[] | undefined;
  readonly learnersNext?: readonly KitId[] | undefined;
  readonly autoLeave?: boolean | undefined;
}

/** A configuration change; `changes` are a letter and an id each. */
export interface KitChange {
  readonly version: 1 | 2;
  readonly transition?: "auto" | "implicit" | "explicit" | undefined;
  readonly changes: readonly string[];
}

/** An entry: normal, with or without data, or a configuration change. */
export interface KitEntry {
  readonly index?: number | undefined;
  readonly term?: number | undefined;
  readonly data?: string | undefined;
  readonly confChange?: KitChange | undefined;
}

/** A snapshot of a state machine. */
export interface KitSnapshot {
  readonly index: number;
  readonly term: number;
  readonly conf: KitConf;
  readonly data?: string | undefined;
}

/** The types of messages. */
export const MESSAGE_TYPES = [
  "propose",
  "append",
  "append-response",
  "vote",
  "vote-response",
  "pre-vote",
  "pre-vote-response",
  "snapshot",
  "heartbeat",
  "heartbeat-response",
  "transfer-leader",
  "timeout-now",
  "read-index",
  "read-index-response",
  "storage-append-response",
  "storage-apply-response",
] as const;

/** One of {@linkcode MESSAGE_TYPES}. */
export type KitMessageType = typeof MESSAGE_TYPES[number];

/** A message; which fields mean something depends on the type. */
export interface KitMessage {
  readonly type: KitMessageType;
  readonly from: KitId | "storage";
  readonly to: KitId;
  readonly term?: number | undefined;
  readonly prevIndex?: number | undefined;
  readonly prevTerm?: number | undefined;
  readonly commit?: number | undefined;
  readonly entries?: readonly KitEntry[] | undefined;
  readonly index?: number | undefined;
  readonly reject?: boolean | undefined;
  readonly hintIndex?: number | undefined;
  readonly hintTerm?: number | undefined;
  readonly lastIndex?: number | undefined;
  readonly lastTerm?: number | undefined;
  readonly force?: boolean | undefined;
  readonly snapshot?: KitSnapshot | undefined;
  readonly context?: string | undefined;
  readonly logTerm?: number | undefined;
  readonly appliedTo?: number | undefined;
}

/** What is durable on a node. */
export interface KitHardState {
  readonly term: number;
  readonly vote: KitId;
  readonly commit: number;
}

/** The entry before the log and the terms of the log. */
export interface KitLog {
  readonly offset: number;
  readonly offsetTerm: number;
  readonly terms: readonly number[];
}

/** What is to be seen of a node. */
export interface KitNode {
  readonly role?:
    | "follower"
    | "pre-candidate"
    | "candidate"
    | "leader"
    | undefined;
  readonly term?: number | undefined;
  readonly vote?: KitId | undefined;
  readonly leader?: KitId | undefined;
  readonly transferee?: KitId | undefined;
  readonly commit?: number | undefined;
  readonly applied?: number | undefined;
  readonly settled?: boolean | undefined;
  readonly conf?: KitConf | undefined;
  readonly log?: KitLog | undefined;
  readonly stable?:
    | KitHardState & { readonly terms: readonly number[] }
    | undefined;
  readonly appendWork?: number | undefined;
  readonly applyWork?: number | undefined;
}

/** What a leader knows of a peer; false and 0 are left out. */
export interface KitProgress {
  readonly match: number;
  readonly next: number;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly paused?: boolean | undefined;
  readonly active?: boolean | undefined;
  readonly inflight?: number | undefined;
  readonly pendingSnapshot?: number | undefined;
  readonly learner?: boolean | undefined;
}

/** A read that was released. */
export interface KitReadState {
  readonly index: number;
  readonly context: string;
}

/** How an operation or a delivery may fail. */
export type KitError = "proposal-dropped" | "unknown-peer";

/** A delivery that the core refused. */
export interface KitStepError {
  readonly node: KitId;
  readonly from: KitId;
  readonly type: string;
  readonly error: KitError;
}

/** Values by the id of a node, as object keys. */
export type ById<T> = Readonly<Record<string, T>>;

/** What must be found after a step. */
export interface KitExpectation {
  readonly error?: KitError | undefined;
  readonly nodes?: ById<KitNode> | undefined;
  readonly progress?: ById<ById<KitProgress> | null> | undefined;
  readonly applied?: ById<readonly KitEntry[]> | undefined;
  readonly installed?: ById<KitSnapshot> | undefined;
  readonly readStates?: ById<readonly KitReadState[]> | undefined;
  readonly sent?: readonly KitMessage[] | undefined;
  readonly delivered?: number | undefined;
  readonly dropped?: number | undefined;
  readonly stepErrors?: readonly KitStepError[] | undefined;
}

/** Create nodes with equal persisted state. */
export interface StartOperation {
  readonly op: "start";
  readonly nodes: readonly KitId[];
  readonly config: KitConfig;
  readonly conf: KitConf;
  readonly snapshot?:
    | {
      readonly index: number;
      readonly term: number;
      readonly data?: string | undefined;
    }
    | undefined;
  readonly entries?: readonly KitEntry[] | undefined;
  readonly hardState?: KitHardState | undefined;
  readonly applied?: number | undefined;
}

/** What a step does. */
export type Operation =
  | StartOperation
  | { readonly op: "campaign"; readonly node: KitId }
  | { readonly op: "forget-leader"; readonly node: KitId }
  | { readonly op: "restart"; readonly node: KitId }
  | { readonly op: "propose"; readonly node: KitId; readonly data: string }
  | {
    readonly op: "propose-conf-change";
    readonly node: KitId;
    readonly version: 1 | 2;
    readonly transition?: "auto" | "implicit" | "explicit" | undefined;
    readonly changes: readonly string[];
  }
  | { readonly op: "tick"; readonly node: KitId; readonly count: number }
  | {
    readonly op: "deliver";
    readonly to?: readonly KitId[] | undefined;
    readonly drop?: readonly KitId[] | undefined;
    readonly type?: string | undefined;
  }
  | {
    readonly op: "process-ready" | "process-append" | "process-apply";
    readonly nodes: readonly KitId[];
  }
  | {
    readonly op: "stabilize";
    readonly nodes?: readonly KitId[] | undefined;
  }
  | { readonly op: "compact"; readonly node: KitId; readonly upTo: number }
  | { readonly op: "transfer-leader"; readonly node: KitId; readonly to: KitId }
  | {
    readonly op: "report-unreachable";
    readonly node: KitId;
    readonly peer: KitId;
  }
  | {
    readonly op: "report-snapshot";
    readonly node: KitId;
    readonly peer: KitId;
    readonly status: "finish" | "failure";
  }
  | {
    readonly op: "read-index";
    readonly node: KitId;
    readonly context: string;
  }
  | {
    readonly op: "set-election-timeout";
    readonly node: KitId;
    readonly ticks: number;
  }
  | { readonly op: "send-snapshot"; readonly from: KitId; readonly to: KitId }
  | { readonly op: "step"; readonly message: KitMessage };

/** An operation and what must be found after it. */
export type Step = Operation & {
  readonly note?: string | undefined;
  readonly expect?: KitExpectation | undefined;
};

/** A situation, played from an empty world. */
export interface Scenario {
  readonly name: string;
  readonly description: string;
  readonly requires?: readonly string[] | undefined;
  readonly complete?: boolean | undefined;
  readonly steps: readonly Step[];
}

/** A suite decides which level binds what. */
export type Suite = "interaction" | "paper" | "protocol";

/** A file below `scenarios/`. */
export interface ScenarioFile {
  readonly format: "raft-conformance/1";
  readonly suite: Suite;
  readonly family: string;
  readonly title: string;
  readonly scenarios: readonly Scenario[];
}

/** Rows of inputs and outputs of one function. */
export interface Table {
  readonly name: string;
  readonly description: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** A file below `tables/`. */
export interface TableFile {
  readonly format: "raft-tables/1";
  readonly name: string;
  readonly title: string;
  readonly tables: readonly Table[];
}
