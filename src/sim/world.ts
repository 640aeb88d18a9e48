/**
 * What the parts of a simulation know of each other.
 *
 * @module
 */
import type { InstallSnapshot, Message } from "../core/message.ts";
import type { RawNode, RawNodeOptions } from "../core/raw_node.ts";
import type { Ready, RestoredState } from "../core/ready.ts";
import type { ConfState, GroupId, NodeId } from "../core/types.ts";
import type { PendingOperation, Settlement } from "./clients.ts";
import type { SimEvent } from "./events.ts";
import type { SimHost } from "./host.ts";
import type { LostDisks } from "./disk_loss.ts";
import type { MachineChecks } from "./machine_checks.ts";
import type { MarkCounter } from "./marks.ts";
import type { MemberChecks } from "./member_checks.ts";
import type { SnapshotCargo } from "./network.ts";
import type { MemberView, Oracle } from "./oracle.ts";
import type { SimOptions } from "./options.ts";
import type { Subject } from "./subject.ts";
import type { SessionChecks } from "./session_checks.ts";
import type { CheckName } from "./violation.ts";

/** A subject whose types do not matter here. */
export type AnySubject = Subject<unknown, unknown, unknown, unknown>;

/**
 * Where a test may put its hand between the parts: to look on, or to break
 * something on purpose and see that it is noticed.
 */
export interface SimHooks {
  /** Makes the core of a member; default: `new RawNode(options)`. */
  createCore?(options: RawNodeOptions): RawNode;
  /** What a member starts from, before it does. */
  onRestore?(node: NodeId, restored: RestoredState): RestoredState;
  /** A Ready, before it is carried out. */
  onReady?(node: NodeId, ready: Ready, core: RawNode): Ready;
  /** A message, as it leaves. */
  onSend?(message: Message, core: RawNode): Message;
  /** Checks that are left out, to see whether others notice the same. */
  readonly mute?: readonly CheckName[];
  /** Whether disks believe what they read, as if they had no checksums. */
  readonly trustsDamage?: boolean;
}

/** What a member has around it. */
export interface World {
  /** The group that the member is in. */
  readonly group: GroupId;
  readonly options: SimOptions;
  readonly subject: AnySubject;
  readonly hooks: SimHooks;
  readonly oracle: Oracle;
  readonly machineChecks: MachineChecks;
  /** In runs with sessions. */
  readonly sessions: SessionChecks | undefined;
  readonly checks: MemberChecks;
  readonly marks: MarkCounter;
  readonly lostDisks: LostDisks;
  /** The configuration the group starts with. */
  readonly conf: ConfState;
  /** Virtual time in milliseconds. */
  now(): number;
  schedule(delayMs: number, event: SimEvent): void;
  send(message: Message, sender: MemberView): void;
  /** Sends a snapshot; returns whether it is on its way. */
  sendSnapshot(
    message: InstallSnapshot,
    sender: MemberView,
    cargo: SnapshotCargo,
  ): boolean;
  /** Whether faults are over and everything is quick. */
  isCalm(): boolean;
  /** A number that no read and no proposal had before. */
  newName(): number;
  /** A number that no operation of a client had before. */
  newSerial(): number;
  /** The host of a member cannot go on (H44). */
  hostFailed(host: SimHost): void;
  /** An operation has ended at its member. */
  settle(operation: PendingOperation, settlement: Settlement): void;
}
