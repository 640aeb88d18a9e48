/**
 * The snapshots of a member: when it takes one, and how it hands them on.
 *
 * @module
 */
import type { InstallSnapshot } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { LogIndex, NodeId, SnapshotMeta } from "../core/types.ts";
import type { Applier } from "./applier.ts";
import type { Packet } from "./network.ts";
import type { MemberView } from "./oracle.ts";
import type { SimRandom } from "./prng.ts";
import type { World } from "./world.ts";

const NO_DATA = new Uint8Array(0);

/** A snapshot with its data. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  /** The machine's state as of `meta.index`; empty at a witness. */
  readonly data: Uint8Array;
}

/** How a member gets from its log to snapshots. */
export interface SnapshotOptions {
  /** Applied entries after which the next one is taken; 0 for never. */
  readonly everyCount: number;
  /** Entries that are kept behind the newest snapshot. */
  readonly trailingCount: number;
  /** Longest time from the copy of the state to its being durable (H68). */
  readonly storeMs: number;
  /** Longest time that a snapshot takes to a member that needs it. */
  readonly sendMs: number;
  /** Share of transfers that are reported wrongly. */
  readonly wrongReportPermille: number;
  /** Longest time from the end of a transfer to its report. */
  readonly reportMs: number;
}

/** The snapshots of one member. */
export class Snapshots {
  readonly #member: MemberView;
  readonly #applier: Applier;
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #options: SnapshotOptions;
  /** Which life is storing one, as of which index. */
  #storing: { readonly life: number; readonly index: LogIndex } | undefined;

  /** Takes and installs for `member`. */
  constructor(
    member: MemberView,
    applier: Applier,
    world: World,
    random: SimRandom,
  ) {
    this.#member = member;
    this.#applier = applier;
    this.#world = world;
    this.#random = random;
    this.#options = world.options.protocol.snapshots;
  }

  /** Takes one if enough was applied since the last. */
  mayTake(core: RawNode): void {
    const { everyCount } = this.#options;
    const last = this.#member.disk.snapshot?.meta.index ?? 0;
    if (everyCount === 0 || core.appliedIndex < last + everyCount) return;
    this.take(core);
  }

  /** Copies the state now; it is durable later, if the process lives on. */
  take(core: RawNode): void {
    const { life, id, disk } = this.#member;
    if (this.#storing?.life === life) return;
    const snapshot = this.#applier.capture(core);
    const index = snapshot?.meta.index ?? 0;
    if (snapshot === undefined || index <= (disk.snapshot?.meta.index ?? 0)) {
      return;
    }
    this.#storing = { life, index };
    const delay = this.#random.below(this.#options.storeMs + 1);
    this.#world.schedule(delay, {
      type: "snapshotTaken",
      group: this.#world.group,
      node: id,
      life,
      snapshot,
    });
  }

  /** One is durable: the log may begin behind it. */
  taken(core: RawNode, snapshot: StoredSnapshot): void {
    const { marks, oracle } = this.#world;
    const { disk, id } = this.#member;
    const { index } = snapshot.meta;
    this.#storing = undefined;
    const newest = disk.snapshot?.meta.index ?? 0;
    if (this.#applier.isOvertaken(core) || index <= newest) {
      marks.hit("snapshotOvertaken");
      return;
    }
    oracle.checkSnapshot(`The snapshot of member ${id}`, snapshot.meta);
    marks.hit("snapshotTaken");
    if (snapshot.meta.conf.votersOutgoing.length > 0) {
      marks.hit("jointSnapshotTaken");
    }
    const through = Math.max(0, index - this.#options.trailingCount);
    disk.compact(snapshot, through);
    core.compact(snapshot.meta, through);
  }

  /** Sends the newest one, whichever the message speaks of. */
  send(message: InstallSnapshot): void {
    const { snapshot, isSnapshotRotten } = this.#member.disk;
    if (isSnapshotRotten) this.#world.marks.hit("snapshotRotFound");
    if (snapshot === undefined || isSnapshotRotten) {
      return this.#report({ peer: message.to, sentMs: 0, ok: false });
    }
    const delay = this.#random.below(this.#options.sendMs + 1);
    const sent = { ...message, snapshot: snapshot.meta };
    const isWitness = this.#member.core?.conf.witnesses.includes(message.to);
    const arrives = this.#world.sendSnapshot(sent, this.#member, {
      data: isWitness === true ? NO_DATA : snapshot.data,
      delayMs: delay,
    });
    const isWrong = !this.#world.isCalm() &&
      this.#random.chance(this.#options.wrongReportPermille);
    if (isWrong) this.#world.marks.hit("snapshotReportedWrongly");
    const ok = arrives !== isWrong;
    this.#report({ peer: message.to, sentMs: delay, ok });
  }

  /** One has come to the end of its way: it is stored, then it counts. */
  arrived(packet: Packet): void {
    const { id, life } = this.#member;
    const delay = this.#random.below(this.#options.storeMs + 1);
    this.#world.schedule(delay, {
      type: "snapshotStored",
      group: this.#world.group,
      node: id,
      life,
      packet,
    });
  }

  /** Its data is there; what becomes of it is up to the core. */
  store({ message, snapshot }: Packet): void {
    if (message.type !== "installSnapshot" || snapshot === undefined) return;
    this.#member.disk.receive({ meta: message.snapshot, data: snapshot });
  }

  /** One has replaced the log. */
  installed(core: RawNode): void {
    const { marks } = this.#world;
    marks.hit("snapshotInstalled");
    if (core.conf.votersOutgoing.length > 0) marks.hit("snapshotInJoint");
  }

  #report(
    { peer, sentMs, ok }: { peer: NodeId; sentMs: number; ok: boolean },
  ): void {
    const { id, life } = this.#member;
    if (!ok) this.#world.marks.hit("snapshotReportedFailed");
    const delay = sentMs + this.#random.below(this.#options.reportMs + 1);
    this.#world.schedule(this.#world.isCalm() ? sentMs : delay, {
      type: "snapshotReport",
      group: this.#world.group,
      node: id,
      life,
      peer,
      ok,
    });
  }
}
