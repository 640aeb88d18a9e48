/**
 * The bodies of the transport cases about snapshots.
 *
 * @module
 */
import type { SnapshotTransfer } from "../transport.ts";
import { isSame } from "./is_same.ts";
import { check, eventually, type Host, rejects } from "./transport_host.ts";
import { sampleSnapshot } from "./transport_samples.ts";

/** The cases of what carries snapshots. */
export class TransportSnapshotCases {
  readonly #host: () => Promise<Host>;

  /** Cases for hosts that are made, and closed, elsewhere. */
  constructor(host: () => Promise<Host>) {
    this.#host = host;
  }

  async carriesSnapshots(): Promise<void> {
    const [a, b] = [await this.#host(), await this.#host()];
    const { transfer, bytes } = sampleSnapshot();
    await a.sendSnapshot(b, transfer);
    const [arrived] = b.snapshots;
    check(arrived !== undefined, "no snapshot arrived");
    check(arrived?.address === a.address, "a snapshot has a wrong sender");
    const { chunks: _, ...rest } = transfer;
    check(isSame(arrived?.transfer, rest), "what a snapshot is changed");
    check(isSame(arrived?.bytes, bytes), "a snapshot's bytes changed");
  }

  async reportsSnapshotFailures(): Promise<void> {
    const [a, b] = [await this.#host(), await this.#host()];
    b.snapshotFailure = new Error("Cannot take a snapshot: the disk is full");
    const { transfer } = sampleSnapshot();
    await rejects("a failed snapshot resolves", a.sendSnapshot(b, transfer));
    b.snapshotFailure = undefined;
    b.skipsSnapshots = true;
    const skipped = sampleSnapshot().transfer;
    await rejects("half a snapshot is enough", a.sendSnapshot(b, skipped));
    b.skipsSnapshots = false;
    const source = new Error("Cannot read: damaged");
    const next = sampleSnapshot().transfer;
    await rejects(
      "a snapshot whose source fails resolves",
      a.sendSnapshot(b, { ...next, chunks: () => failing(next, source) }),
    );
    await eventually("the receiver is let go", () => b.openSnapshots === 0);
    check(b.snapshots.length === 0, "half a snapshot was taken as a whole");
    await a.sendSnapshot(b, sampleSnapshot().transfer);
    check(b.snapshots.length === 1, "the next snapshot was not taken");
  }

  async abortsSnapshots(): Promise<void> {
    const [a, b] = [await this.#host(), await this.#host()];
    const controller = new AbortController();
    const { transfer } = sampleSnapshot();
    const chunks = () => abortAfterFirst(transfer, controller);
    const sending = a.sendSnapshot(
      b,
      { ...transfer, chunks },
      controller.signal,
    );
    await rejects("an aborted snapshot resolves", sending);
    await eventually("the receiver is let go", () => b.openSnapshots === 0);
    check(b.snapshots.length === 0, "half a snapshot was taken as a whole");
  }

  async resumesSnapshots(): Promise<void> {
    const [a, b] = [await this.#host(), await this.#host()];
    b.keepsParts = true;
    const { transfer, bytes } = sampleSnapshot();
    let sent = 0;
    for (let attempt = 1; b.snapshots.length === 0; attempt++) {
      check(attempt < 9, "a snapshot whose connection breaks never arrives");
      const controller = new AbortController();
      const before = b.kept.length;
      const chunks = async function* (fromOffset = 0) {
        check(fromOffset === before, `it was asked for from ${fromOffset}`);
        for await (const chunk of transfer.chunks(fromOffset)) {
          sent += chunk.length;
          yield chunk;
          if (chunk.length < 300_000) continue;
          await eventually("it arrives", () => b.snapshotBytes === sent);
          const cut = new Error("Cannot go on: the line is cut");
          controller.abort(cut);
          throw cut;
        }
      };
      const sending = { ...transfer, chunks };
      await a.sendSnapshot(b, sending, controller.signal).catch(() => {});
      await eventually("the receiver is let go", () => b.openSnapshots === 0);
    }
    check(isSame(b.snapshots[0]?.bytes, bytes), "a snapshot's bytes changed");
    check(sent === bytes.length, `${sent} bytes of it were sent`);
  }
}

async function* failing(
  { chunks }: SnapshotTransfer,
  error: Error,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks()) {
    yield chunk;
    throw error;
  }
}

async function* abortAfterFirst(
  { chunks }: SnapshotTransfer,
  controller: AbortController,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks()) {
    yield chunk;
    controller.abort(new Error("Cannot go on: enough"));
  }
}
