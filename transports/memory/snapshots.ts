/**
 * How a snapshot goes from one host of a process to another.
 *
 * @module
 */

/** Copies of chunks (H121), until one of the signals is aborted. */
export async function* copyChunks(
  chunks: AsyncIterable<Uint8Array>,
  signals: readonly AbortSignal[],
  progress: { isWhole: boolean },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (const signal of signals) {
      if (signal.aborted) throw signal.reason;
    }
    yield new Uint8Array(chunk);
  }
  progress.isWhole = true;
}

/** Settles as `task` does, or rejects once one of the signals is aborted. */
export function untilAborted(
  task: Promise<void>,
  signals: readonly AbortSignal[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signals.find(({ aborted }) => aborted)?.reason);
      finish();
    };
    const finish = () => {
      for (const signal of signals) signal.removeEventListener("abort", abort);
    };
    for (const signal of signals) signal.addEventListener("abort", abort);
    task.then(resolve, reject).finally(finish);
  });
}
