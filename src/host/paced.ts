/**
 * Bulk data in slices: whoever moves a snapshot lets the turns run in between
 * (H74), and can be stopped while it waits for more.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Bytes after which everything else gets its turn. */
const SLICE_BYTES = 128 << 10;
/** What a chunk counts for besides its bytes: many small ones cost as well. */
const CHUNK_OVERHEAD_BYTES = 1 << 10;

/** How long work that nobody waits for rests between two slices. */
const REST_MS = 1;

/** How chunks are drawn. */
export interface PaceOptions {
  readonly clock: Pick<Clock, "schedule" | "setTimer" | "clearTimer">;
  /** Ends the drawing at once, also in the middle of a wait. */
  readonly signal: AbortSignal;
  /** Bytes after which others get their turn. @default {128 KiB} */
  readonly sliceBytes?: number | undefined;
  /**
   * Whether nobody waits for it: then it rests between two slices. A write
   * needs several turns of the loop, of several members; if each of them
   * carried a slice, it would take as long as so many slices.
   *
   * @default false
   */
  readonly inBackground?: boolean | undefined;
}

/** The same chunks, a slice per macrotask. @throws The signal's reason. */
export async function* paced(
  chunks: AsyncIterable<Uint8Array>,
  options: PaceOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal, sliceBytes = SLICE_BYTES } = options;
  const source = chunks[Symbol.asyncIterator]();
  let isOver = false;
  let bytes = 0;
  try {
    for (;;) {
      const next = await unlessAborted(source.next(), signal);
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
      bytes += next.value.length + CHUNK_OVERHEAD_BYTES;
      if (bytes < sliceBytes) continue;
      bytes = 0;
      await giveWay(options);
    }
  } finally {
    // Not awaited: a source that hangs would keep us for ever.
    if (!isOver) source.return?.().then(noop, noop);
  }
}

/** Waits for the others' turn. @throws The signal's reason. */
function giveWay(options: PaceOptions): Promise<void> {
  const { clock, inBackground, signal } = options;
  if (inBackground !== true) {
    return new Promise((go) => clock.schedule(go));
  }
  let timer = 0;
  const rested = new Promise<void>((go) => {
    timer = clock.setTimer(go, REST_MS);
  });
  return unlessAborted(rested, signal).finally(() => clock.clearTimer(timer));
}

/** Settles as `work` does, or rejects once the signal is aborted. */
export function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) {
      abort();
      work.then(noop, noop);
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    const off = () => signal.removeEventListener("abort", abort);
    work.then(resolve, reject).then(off, off);
  });
}

function noop(): void {}
