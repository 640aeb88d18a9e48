/**
 * Everything that can happen in a run, as plain data.
 *
 * @module
 */
import type { Load } from "../core/ready.ts";
import type { GroupId, NodeId } from "../core/types.ts";
import type { PendingOperation } from "./clients.ts";
import type { ProtocolStep } from "./nemesis_protocol.ts";
import type { Link, Packet } from "./network.ts";
import type { Resend } from "./session_clients.ts";
import type { StoredSnapshot } from "./snapshots.ts";

/** The end of a fault, or its next step. Void once its epoch has passed. */
export type Repair =
  | { readonly type: "crash"; readonly node: NodeId }
  | { readonly type: "isolate"; readonly node: NodeId }
  | { readonly type: "restart"; readonly node: NodeId }
  | { readonly type: "resume"; readonly node: NodeId }
  | { readonly type: "cut"; readonly links: readonly Link[] }
  | { readonly type: "heal"; readonly links: readonly Link[] }
  | { readonly type: "speedUp"; readonly node: NodeId }
  | { readonly type: "mend"; readonly node: NodeId }
  | { readonly type: "takeBack"; readonly node: NodeId }
  | { readonly type: "hurry"; readonly node: NodeId }
  | { readonly type: "endBurst" };

/** An event of a host's process, which all its members share. */
export type HostEvent =
  & {
    readonly node: NodeId;
    /** The life it was meant for. */
    readonly life: number;
  }
  & (
    | { readonly type: "tick" | "turn" | "flushed" }
    | {
      /** Messages to a peer are lost; `refused`: its process is gone. */
      readonly type: "unreachable";
      readonly peer: NodeId;
      readonly refused: boolean;
    }
  );

/** What every event of a member says. */
export interface NodeEvent {
  readonly type:
    | "message"
    | "apply"
    | "loaded"
    | "submit"
    | "readRetry"
    | "snapshotTaken"
    | "snapshotStored"
    | "snapshotReport";
  readonly group: GroupId;
  readonly node: NodeId;
  /** The life it was meant for. */
  readonly life: number;
}

/** An event of one member. */
export type MemberEvent =
  & NodeEvent
  & (
    | { readonly type: "apply" }
    | { readonly type: "message"; readonly packet: Packet }
    | { readonly type: "loaded"; readonly load: Load }
    | {
      readonly type: "submit";
      readonly operations: readonly PendingOperation[];
    }
    | { readonly type: "readRetry"; readonly context: number }
    | { readonly type: "snapshotTaken"; readonly snapshot: StoredSnapshot }
    | { readonly type: "snapshotStored"; readonly packet: Packet }
    | {
      readonly type: "snapshotReport";
      readonly peer: NodeId;
      readonly ok: boolean;
    }
  );

/** An event of a run. */
export type SimEvent =
  | HostEvent
  | MemberEvent
  | { readonly type: "arrival"; readonly packet: Packet }
  | {
    readonly type: "client";
    readonly group: GroupId;
    readonly client: number;
  }
  | {
    readonly type: "deadline";
    readonly group: GroupId;
    readonly client: number;
    readonly batch: number;
  }
  | Resend
  | { readonly type: "fault" }
  | {
    readonly type: "repair";
    readonly epoch: number;
    readonly repair: Repair;
  }
  | { readonly type: "protocolFault"; readonly group: GroupId }
  | {
    readonly type: "protocolStep";
    readonly group: GroupId;
    readonly epoch: number;
    readonly step: ProtocolStep;
  };

/** Codes of events in the trace; never renumbered, or old hashes differ. */
export const EVENT_CODE: Readonly<Record<SimEvent["type"], number>> = {
  tick: 1,
  turn: 2,
  message: 3,
  flushed: 4,
  apply: 5,
  loaded: 6,
  submit: 7,
  readRetry: 8,
  unreachable: 9,
  arrival: 10,
  client: 11,
  deadline: 12,
  fault: 13,
  repair: 14,
  snapshotTaken: 15,
  snapshotStored: 16,
  snapshotReport: 17,
  protocolFault: 18,
  protocolStep: 19,
  resend: 20,
};
