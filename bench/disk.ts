/**
 * What the disk can do: one write and one fdatasync at a time, nothing else.
 *
 * @module
 */
import { Journal } from "./journal.ts";
import { percentile } from "./stats.ts";

/** How fast single appends become durable. */
export interface DiskFigures {
  readonly syncsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Appends `bytes` at a time to a preallocated file, flushing each. */
export async function measureDisk(
  path: string,
  bytes: number,
  seconds: number,
): Promise<DiskFigures> {
  const journal = new Journal(path);
  const payload = new Uint8Array(bytes).fill(120);
  const took: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1_000;
  let now = start;
  while (now < end) {
    journal.write(payload);
    await new Promise<void>((resolve) => journal.flush(resolve));
    const then = performance.now();
    took.push(then - now);
    now = then;
  }
  journal.close();
  const sorted = Float64Array.from(took).sort();
  return {
    syncsPerSecond: took.length / ((now - start) / 1_000),
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
  };
}
