/**
 * One node of the kit's model: the real core, and around it the storage and
 * the state machine that the kit describes.
 *
 * @module
 */
import {
  type ConfState,
  type CoreConfig,
  type Entry,
  type EntryId,
  INITIAL_HARD_STATE,
  type LogIndex,
  type NodeId,
  RawNode,
  type SnapshotMeta,
} from "../../src/core/mod.ts";
import { SimRandom } from "../../src/sim/prng.ts";
import { Disk } from "./disk.ts";
import type { KitConfig, StartOperation } from "./kit_types.ts";
import { confFromKit, dataOf, type Translator } from "./translate.ts";

const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** Length of the lease in ticks of the runner's clock, one tick each. */
const LEASE_TICKS_LESS = 2;

/** The core's settings; all that goes beyond the reference is off. */
export function coreConfigOf(config: KitConfig): Partial<CoreConfig> {
  const { electionTicks, heartbeatTicks, readOnly } = config;
  const leaseMs = Math.max(electionTicks - LEASE_TICKS_LESS, 1);
  return {
    electionTicks,
    heartbeatTicks,
    preVote: config.preVote ?? false,
    checkQuorum: config.checkQuorum ?? false,
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
    validateConfChanges: config.disableConfChangeValidation ? false : "pending",
    guardEmptyLog: false,
    forwardProposals: !(config.disableProposalForwarding ?? false),
    maxAppendBytes: config.maxMessageBytes ?? UNLIMITED,
    maxInflightCount: Math.max(config.maxInflightMessages ?? UNLIMITED, 1),
    maxInflightBytes: UNLIMITED,
    maxCommittedBytes: config.maxCommittedBytesPerReady ?? UNLIMITED,
    // With nothing uncommitted one entry is always taken, so that a limit of
    // no bytes and one of a single byte are the same.
    maxUncommittedBytes: Math.max(config.maxUncommittedBytes ?? UNLIMITED, 1),
    maxEntryBytes: UNLIMITED,
    maxTailBytes: UNLIMITED,
    maxPendingReads: UNLIMITED,
    leaseMs: readOnly === "lease-based" ? leaseMs : 0,
    priority: 0,
    adaptiveFlow: false,
    fastFailover: false,
    mixedSettings: false,
    tellCommit: false,
    quiesceTicks: 0,
    stallTicks: 0,
  };
}

/** The state machine: data of all applied entries, one after the other. */
interface Machine {
  readonly last: EntryId;
  readonly conf: ConfState;
  readonly data: string;
}

/** A node. Its storage and its state machine outlive its core. */
export class Member {
  readonly id: NodeId;
  readonly config: KitConfig;
  /** The core; a new one after each restart. */
  node: RawNode;
  /** What is durable, and what a restart finds. */
  readonly disk: Disk;
  /**
   * What was reported as durable; with asynchronous writes the disk may be
   * ahead of it.
   */
  readonly reported: Disk;
  /** The state machine. */
  machine: Machine;
  /** Counts the lives of the core. */
  life = 0;

  /** The configuration that the kit gives before the first entry. */
  readonly #founding: ConfState;
  readonly #translator: Translator;
  readonly #random: SimRandom;
  /** The election timeout to draw next, in ticks. */
  #timeoutTicks: number | undefined;
  /** Ticks so far: the clock that leases are counted by. */
  #now = 0;

  constructor(id: NodeId, start: StartOperation, translator: Translator) {
    this.id = id;
    this.config = start.config;
    this.#translator = translator;
    this.#random = new SimRandom(id);
    this.#founding = confFromKit(start.conf);
    const { index = 0, term = 0, data = "" } = start.snapshot ?? {};
    const stored = start.hardState ?? { ...INITIAL_HARD_STATE, vote: 0 };
    const vote = stored.vote === 0 ? null : stored.vote;
    const hardState = { ...stored, vote };
    const entries = (start.entries ?? []).map((entry) =>
      translator.entryFromKit(entry)
    );
    this.disk = new Disk(hardState, { term, index }, entries);
    this.reported = start.config.asyncStorageWrites
      ? new Disk(hardState, { term, index }, entries)
      : this.disk;
    const applied = Math.max(start.applied ?? 0, index);
    this.machine = {
      last: { index: applied, term: this.disk.termAt(applied) },
      conf: this.#founding,
      data: data + entries.slice(0, applied - index).map(dataOf).join(""),
    };
    this.node = this.#startCore();
  }

  /** Starts anew from storage and state machine. */
  restart(): void {
    this.life++;
    const { snapshot } = this.disk;
    if (snapshot !== undefined && snapshot.index > this.machine.last.index) {
      this.install(snapshot);
    }
    this.node = this.#startCore();
  }

  /** The state machine's present state, as a snapshot. */
  snapshot(): SnapshotMeta {
    const { last, conf, data } = this.machine;
    return this.#translator.addData({ ...last, conf }, data);
  }

  /** One tick of the clock. */
  tick(): void {
    this.#now++;
    this.node.tick(this.#now);
  }

  /** Whether this leader may answer reads without asking anybody. */
  get holdsLease(): boolean {
    return this.node.leaseUntil > this.#now;
  }

  /** Makes the core draw an election timeout of this many ticks. */
  setElectionTimeout(ticks: number): void {
    this.#timeoutTicks = ticks;
    this.node.drawElectionTimeout();
    this.#timeoutTicks = undefined;
  }

  /** Replaces the state machine's state. */
  install(snapshot: SnapshotMeta): void {
    const { index, term, conf } = snapshot;
    const data = this.#translator.dataOf(snapshot);
    this.machine = { last: { index, term }, conf, data };
  }

  /** Gives a committed entry to the state machine. */
  apply(entry: Entry): void {
    const { term, index } = entry;
    const conf = entry.type === "confChange"
      ? this.node.applyConfChange(entry.change, entry.index)
      : this.machine.conf;
    const data = this.machine.data + dataOf(entry);
    this.machine = { last: { term, index }, conf, data };
  }

  /** Tells the core how far the state machine is. */
  reportApplied(index: LogIndex): void {
    this.node.applied(index);
    // Whenever the core sends a snapshot it is to be the present state.
    if (this.machine.last.index <= this.node.appliedIndex) {
      this.node.compact(this.snapshot(), this.disk.offset.index);
    }
  }

  /** Drops stored entries up to and including `upTo`. */
  compact(upTo: LogIndex): void {
    this.disk.compact(upTo);
    if (this.reported !== this.disk) this.reported.compact(upTo);
    this.node.compact(this.snapshot(), upTo);
  }

  #startCore(): RawNode {
    const { hardState, offset, entries, termRuns } = this.disk;
    const { last, conf } = this.machine;
    const node = new RawNode({
      id: this.id,
      config: coreConfigOf(this.config),
      random: () => this.#draw(),
      restored: {
        hardState,
        snapshot: offset.index === 0
          ? { ...offset, conf: this.#founding }
          : this.snapshot(),
        conf: { index: last.index, conf },
        firstIndex: offset.index + 1,
        lastIndex: offset.index + entries.length,
        prevTerm: offset.term,
        termRuns,
        tail: [...entries],
        appliedIndex: last.index,
      },
    });
    node.compact(this.snapshot(), offset.index);
    return node;
  }

  #draw(): number {
    if (this.#timeoutTicks === undefined) return this.#random.float();
    const { electionTicks } = this.config;
    return (this.#timeoutTicks - electionTicks + 0.5) / electionTicks;
  }
}
