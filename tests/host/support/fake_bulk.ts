/**
 * The snapshots of a network that delivers when the test says so.
 *
 * @module
 */
import type {
  SnapshotTransfer,
  TransportHandler,
} from "../../../src/transport.ts";
import { untilAborted } from "./until_aborted.ts";

/** A snapshot on its way, or what became of it. */
export interface FakeTransfer {
  readonly from: string;
  readonly to: string;
  readonly transfer: Omit<SnapshotTransfer, "chunks">;
  /** Chunks handed to the receiver. */
  chunkCount: number;
  /** From where the receiver wanted it. */
  fromOffset: number;
  fate: "running" | "taken" | "failed";
  /** Why it failed. */
  error: unknown;
}

/** What carries snapshots: whole, or not at all. */
export class FakeBulk {
  /** Every transfer ever begun. */
  readonly transfers: FakeTransfer[] = [];
  /** While set, no chunk is handed on; those under way wait. */
  isHeld = false;
  /** Transfers for which this says `true` break before their next chunk. */
  breaks: (transfer: FakeTransfer) => boolean = () => false;
  #held: (() => void)[] = [];

  /** Lets the chunks that wait, and all later ones, go on. */
  release(): void {
    this.isHeld = false;
    for (const pass of this.#held.splice(0)) pass();
  }

  /** Lets every transfer that waits hand on one chunk. */
  step(): void {
    for (const pass of this.#held.splice(0)) pass();
  }

  /** Those under way. */
  get running(): FakeTransfer[] {
    return this.transfers.filter(({ fate }) => fate === "running");
  }

  /** Carries a snapshot to a host. */
  async carry(
    to: { readonly address: string; readonly handler: TransportHandler },
    from: { readonly address: string; readonly incarnation: string | null },
    { chunks, ...transfer }: SnapshotTransfer,
    signal: AbortSignal,
  ): Promise<void> {
    const record: FakeTransfer = {
      from: from.address,
      to: to.address,
      transfer,
      chunkCount: 0,
      fromOffset: 0,
      fate: "running",
      error: undefined,
    };
    this.transfers.push(record);
    const progress = { isWhole: false };
    const handed = (fromOffset = 0) => {
      record.fromOffset = fromOffset;
      return this.#chunks(record, chunks(fromOffset), { signal, progress });
    };
    try {
      const taken = to.handler.snapshot?.(
        from.address,
        { ...transfer, chunks: handed },
        from.incarnation,
      );
      await untilAborted(taken ?? Promise.resolve(), signal);
      if (!progress.isWhole) throw new Error("It was not read to its end");
      record.fate = "taken";
    } catch (error) {
      record.fate = "failed";
      record.error = error;
      throw error;
    }
  }

  async *#chunks(
    record: FakeTransfer,
    chunks: AsyncIterable<Uint8Array>,
    { progress, signal }: {
      readonly progress: { isWhole: boolean };
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      while (this.isHeld && !signal.aborted) {
        await untilAborted(
          new Promise<void>((pass) => this.#held.push(pass)),
          signal,
        );
        break;
      }
      if (this.breaks(record)) throw new Error("The connection broke");
      record.chunkCount++;
      yield new Uint8Array(chunk);
    }
    if (this.breaks(record)) throw new Error("The connection broke");
    progress.isWhole = true;
  }
}
