/**
 * What a host and its members know of each other.
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { GroupId, NodeId } from "../core/types.ts";
import type { StopReason } from "../status.ts";
import type { Storage } from "../storage.ts";
import type { Envelope, PeerState, SnapshotTransfer } from "../transport.ts";
import type { BulkLane } from "./bulk_lane.ts";
import type { Clock } from "./clock.ts";
import type { IgnoredReason } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import type { Sender } from "./peers.ts";
import type { Tasks } from "./tasks.ts";
import type { WritePipeline } from "./write_pipeline.ts";

/** A member, as the turns of its host see it. All calls are synchronous. */
export interface Participant {
  readonly group: GroupId;
  readonly node: NodeId;
  /** Whether it waits for {@linkcode collect}; the host's to set. */
  marked: boolean;
  /** Whether it waits to apply; the host's to set. */
  applying: boolean;
  /** Whether it needs no ticks until it is marked again. */
  readonly isAsleep: boolean;
  /** Whether {@linkcode applySlice} would do something. */
  readonly hasApplies: boolean;
  /**
   * Steps a message from another host.
   *
   * @returns Why it was left out, or `null`.
   */
  receive(sender: Sender, message: Message, now: number): IgnoredReason | null;
  /**
   * A snapshot arrives; resolves once the machine has it. Not within a turn.
   */
  receiveSnapshot(sender: Sender, transfer: SnapshotTransfer): Promise<void>;
  /** A tick passes. */
  tick(now: number): void;
  /** Carries out what the core has ready, into the host's joined I/O. */
  collect(now: number): void;
  /** Applies one slice of what is committed, then serves reads. */
  applySlice(now: number): void;
  /** These messages of its own were never sent. */
  undelivered(messages: readonly Message[]): void;
  /** The connection to the host at `address` changed. */
  peerState(address: string, state: PeerState): void;
  /** The clock may have stood still: leases are in doubt (H117). */
  clockJumped(): void;
  /** Something is broken beyond this member's repair: it stops for good. */
  fail(error: unknown): void;
}

/** The host, as its members see it. */
export interface HostServices {
  readonly clock: Clock;
  readonly tickMs: number;
  readonly tasks: Tasks;
  readonly storage: Storage;
  readonly pipeline: WritePipeline;
  readonly outbox: Outbox;
  /** The data directory of this host; `null` until it is open. */
  readonly incarnation: string | null;
  /**
   * Whether the monotonic clock has kept up with the wall clock since the
   * last look. If not all members have heard of it when this returns.
   */
  clocksAgree(): boolean;
  /** The way out for snapshots. */
  readonly bulk: BulkLane;
  /** Asks for a turn in which the member is collected. */
  wake(member: Participant): void;
  /** Where the clients of the host at an address reach it. */
  clientAddressAt(address: string): string | null;
  /** A message was left out because the member may not believe it. */
  ignored(sender: Sender, envelope: Envelope, reason: IgnoredReason): void;
  /** A member stopped: it gets no more turns. */
  stopped(member: Participant, reason: StopReason): void;
}
