/**
 * Says how far something long has come, on a terminal only.
 *
 * @module
 */
import type { Progress } from "../copy_group.ts";
import { formatBytes, type ToolIo } from "./io.ts";

/** Milliseconds between two looks of a bar. */
const REDRAW_MS = 100;
const BAR_WIDTH = 30;

/** A bar, and what takes it away. */
export interface Bar {
  readonly progress: Progress;
  /** Removes it from the terminal. */
  end(): void;
}

/**
 * A bar for `what`; of `total` bytes if that is known.
 */
export function startBar(io: ToolIo, what: string, total?: number): Bar {
  const { bar } = io;
  if (bar === undefined) return { progress: () => {}, end: () => {} };
  const startedAt = performance.now();
  let drawnAt = -Infinity;
  return {
    progress: (done) => {
      const now = performance.now();
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      const seconds = Math.max(0.001, (now - startedAt) / 1_000);
      const rate = `${formatBytes(done / seconds)}/s`;
      bar(`${what} ${describe(done, total)} ${rate}`);
    },
    end: () => bar(""),
  };
}

function describe(done: number, total: number | undefined): string {
  if (total === undefined || total <= 0) return formatBytes(done);
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "#".repeat(filled).padEnd(BAR_WIDTH, ".");
  return `[${bar}] ${Math.floor(share * 100)} %`;
}
