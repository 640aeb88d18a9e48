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

/** Sends snapshots, a few at a time; the others wait in order. */
export class BulkLane {
  readonly #transport: Pick<Transport, "sendSnapshot">;
  #sending = 0;
  /** Those who wait; empty unless `MAX_SENDING` are under way. */
  #waiting: (() => void)[] = [];

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
    if (this.#sending >= MAX_SENDING) await this.#room(signal);
    else this.#sending++;
    try {
      if (signal.aborted) throw signal.reason;
      await this.#transport.sendSnapshot(address, transfer, signal);
    } finally {
      this.#free();
    }
  }

  /** Waits for somebody's place. */
  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((other) => other !== enter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
      if (signal.aborted) leave();
    });
  }

  /** Hands the place on. */
  #free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#sending--;
    else next();
  }
}
