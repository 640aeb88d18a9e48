/**
 * A host that only writes down what its transport tells it.
 *
 * @module
 */
import type {
  Envelope,
  PeerState,
  SnapshotTransfer,
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../transport.ts";

/** A bound for failure only: nothing that passes takes nearly as long. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 10;

/**
 * Tries until `condition` holds; what the network loses is tried again.
 *
 * @throws {Error} If it never does.
 */
export async function eventually(
  what: string,
  condition: () => boolean,
): Promise<void> {
  const giveUpMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > giveUpMs) {
      throw new Error(`The transport breaks its contract: never: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** @throws {Error} If the condition does not hold. */
export function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(`The transport breaks its contract: ${what}`);
}

/** @throws {Error} If the task resolves. */
export async function rejects(
  what: string,
  task: Promise<unknown>,
): Promise<void> {
  const outcome = await task.then(() => "resolved", () => "rejected");
  check(outcome === "rejected", what);
}

/** A snapshot that was taken. */
export interface TakenSnapshot {
  readonly address: string;
  readonly transfer: Omit<SnapshotTransfer, "chunks">;
  readonly bytes: Uint8Array;
}

/** One end of a conversation. */
export class Host implements TransportHandler {
  readonly transport: Transport;
  readonly received: {
    readonly address: string;
    readonly envelopes: readonly Envelope[];
    readonly incarnation: string | null;
  }[] = [];
  readonly refusals: { readonly code: string; readonly reason: string }[] = [];
  readonly snapshots: TakenSnapshot[] = [];
  /** Bytes of a snapshot that came before its connection broke. */
  kept: Uint8Array = new Uint8Array(0);
  /** Snapshots that are arriving. */
  openSnapshots = 0;
  /** Thrown in place of taking the next snapshot, half-way. */
  snapshotFailure: Error | undefined;
  /** Bytes of snapshots that came, all transfers together. */
  snapshotBytes = 0;
  /** Whether to go on later with what came before a transfer failed. */
  keepsParts = false;
  /** Whether to stop reading a snapshot half-way as if it were whole. */
  skipsSnapshots = false;
  readonly identity: TransportIdentity;
  readonly #states: { readonly address: string; readonly state: PeerState }[] =
    [];

  constructor(transport: Transport, identity: TransportIdentity) {
    this.transport = transport;
    this.identity = identity;
  }

  get address(): string {
    return this.identity.address;
  }

  start(): Promise<void> {
    return this.transport.start(this.identity, this);
  }

  /** Says something to `peer` until it hears. */
  async connect(peer: Host): Promise<void> {
    const before = peer.received.length;
    const message = { type: "timeoutNow", from: 1, to: 2, term: 1 } as const;
    await eventually("a frame arrives", () => {
      this.transport.send(peer.address, [{ group: 1, message }]);
      return peer.received.length > before;
    });
  }

  /** What was told about the peer at `address`, oldest first. */
  states(address: string): readonly PeerState[] {
    return this.#states.filter((it) => it.address === address)
      .map(({ state }) => state);
  }

  sendSnapshot(
    peer: Host,
    transfer: SnapshotTransfer,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<void> {
    return this.transport.sendSnapshot(peer.address, transfer, signal);
  }

  receive(
    address: string,
    envelopes: readonly Envelope[],
    incarnation: string | null,
  ): void {
    this.received.push({ address, envelopes, incarnation });
  }

  peerState(address: string, state: PeerState): void {
    this.#states.push({ address, state });
  }

  refused(_remote: string, code: string, reason: string): void {
    this.refusals.push({ code, reason });
  }

  async snapshot(
    address: string,
    { chunks, ...transfer }: SnapshotTransfer,
  ): Promise<void> {
    this.openSnapshots++;
    const parts: Uint8Array[] = [this.kept];
    try {
      for await (const chunk of chunks(this.kept.length)) {
        parts.push(chunk);
        this.snapshotBytes += chunk.length;
        if (this.snapshotFailure !== undefined) throw this.snapshotFailure;
        if (this.skipsSnapshots) return;
      }
      this.snapshots.push({ address, transfer, bytes: concatenate(parts) });
      this.kept = new Uint8Array(0);
    } catch (error) {
      if (this.keepsParts) this.kept = concatenate(parts);
      throw error;
    } finally {
      this.openSnapshots--;
    }
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
