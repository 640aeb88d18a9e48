/**
 * The way out for snapshots, shared by all groups of a host.
 *
 * @module
 */
import type { SnapshotTransfer, Transport } from "../transport.ts";

/**
 * Snapshots on their way out at once: each is read from the disk and sent as
 * fast as it goes, and all groups share both (H74, H110).
 */
const MAX_SENDING = 4;
/**
 * Of these to one host: one that takes for ever, for its disk hangs while it
 * answers, must not keep all others from theirs.
 */
const MAX_PER_HOST = 2;

/** Somebody who waits. */
interface Waiting {
  readonly address: string;
  readonly enter: () => void;
}

/** Sends snapshots, a few at a time; the others wait in order. */
export class BulkLane {
  readonly #transport: Pick<Transport, "sendSnapshot">;
  /** How many are under way to each address; none is 0. */
  readonly #sending = new Map<string, number>();
  /** Their sum, at most `MAX_SENDING`. */
  #count = 0;
  /** Those who wait; for none of them there is room. */
  #waiting: Waiting[] = [];

  constructor(transport: Pick<Transport, "sendSnapshot">) {
    this.#transport = transport;
  }

  /**
   * Sends a snapshot once there is room; resolves when it was taken.
   *
   * @throws The signal's reason, or what the transport came to.
   */
  async send(
    address: string,
    transfer: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#room(address, signal);
    try {
      if (signal.aborted) throw signal.reason;
      await this.#transport.sendSnapshot(address, transfer, signal);
    } finally {
      this.#free(address);
    }
  }

  /** Waits for a place, and takes it. */
  #room(address: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const waiting = { address, enter };
      this.#waiting.push(waiting);
      signal.addEventListener("abort", leave, { once: true });
      if (signal.aborted) leave();
      else this.#admit();
    });
  }

  #free(address: string): void {
    const left = this.#sendingTo(address) - 1;
    if (left > 0) this.#sending.set(address, left);
    else this.#sending.delete(address);
    this.#count--;
    this.#admit();
  }

  /** Gives the free places to those who came first, as far as they may. */
  #admit(): void {
    while (this.#count < MAX_SENDING) {
      const next = this.#waiting.find(({ address }) =>
        this.#sendingTo(address) < MAX_PER_HOST
      );
      if (next === undefined) return;
      this.#waiting = this.#waiting.filter((other) => other !== next);
      this.#sending.set(next.address, this.#sendingTo(next.address) + 1);
      this.#count++;
      next.enter();
    }
  }

  #sendingTo(address: string): number {
    return this.#sending.get(address) ?? 0;
  }
}
