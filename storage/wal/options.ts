/**
 * The options of a write-ahead log, and what they are when they are left out.
 *
 * @module
 */
import { resolve } from "node:path";
import { nodeFileSystem, type WalFileSystem } from "./file_system.ts";
import type { FlushMode } from "./log_tail.ts";

/** Options of {@linkcode WalStorage}. */
export interface WalStorageOptions {
  /** Where the files are; made if it does not exist. For one process only. */
  readonly directory: string;
  /**
   * Size of a full segment in bytes, laid out in advance; at least 256. The
   * first segments of a log are smaller.
   *
   * @default 64 MiB
   */
  readonly segmentBytes?: number | undefined;
  /**
   * What a resolved write has survived. `"fdatasync"`: everything, power loss
   * included; the frame is written, then flushed. `"dsync"`: the same, but
   * segments are opened with `O_DSYNC`, so that the write itself returns only
   * once the frame is on stable storage and no flush follows: one call to the
   * system instead of two, at the price of larger writes being slower on some
   * disks. As durable as `fdatasync` where the system keeps its word on
   * `O_DSYNC`, as Linux does; macOS leaves the disk's own cache out, so do not
   * use it there. Opening rejects with `unsupported` where it does not exist.
   * `"none"`: the end of the process, but not that of the machine;
   * after a power loss acknowledged writes may be gone, or opening may find
   * the log corrupt. Not for data that matters (H45).
   *
   * @default "fdatasync"
   */
  readonly flush?: FlushMode | undefined;
  /**
   * Bytes of memory for the newest entries that opening returns per group,
   * each counted with 400 more than its payload has; with many groups less,
   * so that they are at most 64 MiB together.
   *
   * @default 4 MiB
   */
  readonly tailBytes?: number | undefined;
  /**
   * Segments that stay although nothing in them is needed any more, the
   * newest ones of those: for whoever wants to see what was in them.
   *
   * @default 0
   */
  readonly retainSegments?: number | undefined;
  /**
   * Snapshots per group that stay, at least 1: the one it builds upon and
   * older ones. With an older one, opening survives damage to the newest if
   * the log still reaches back to it.
   *
   * @default 2
   */
  readonly retainSnapshots?: number | undefined;
  /**
   * The incarnation of a log that is made, 32 lower case hexadecimal digits.
   * Minted if absent; ignored when a log is there.
   */
  readonly incarnation?: string | undefined;
  /** The file operations; those of the machine if absent. */
  readonly fileSystem?: WalFileSystem | undefined;
}

/** All options, checked. */
export interface WalSettings {
  readonly directory: string;
  readonly segmentBytes: number;
  readonly flush: FlushMode;
  readonly tailBytes: number;
  /** As `tailBytes`, of all groups together. */
  readonly totalTailBytes: number;
  readonly retainSegments: number;
  readonly retainSnapshots: number;
  readonly incarnation: string | undefined;
  readonly fileSystem: WalFileSystem;
}

const DEFAULT_SEGMENT_BYTES = 64 << 20;
const MIN_SEGMENT_BYTES = 256;
const MAX_SEGMENT_BYTES = 1 << 30;
const DEFAULT_TAIL_BYTES = 4 << 20;
const MAX_TOTAL_TAIL_BYTES = 64 << 20;
const DEFAULT_RETAIN_SNAPSHOTS = 2;
const MAX_RETAINED = 1_000_000;

/**
 * Options with everything filled in.
 *
 * @throws {RangeError} If one is out of range.
 */
export function readOptions(options: WalStorageOptions): WalSettings {
  return {
    directory: resolve(options.directory),
    segmentBytes: requireInteger(
      "segmentBytes",
      options.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
      { least: MIN_SEGMENT_BYTES, most: MAX_SEGMENT_BYTES },
    ),
    flush: options.flush ?? "fdatasync",
    tailBytes: requireInteger(
      "tailBytes",
      options.tailBytes ?? DEFAULT_TAIL_BYTES,
      { least: 0, most: MAX_TOTAL_TAIL_BYTES },
    ),
    totalTailBytes: MAX_TOTAL_TAIL_BYTES,
    retainSegments: requireInteger(
      "retainSegments",
      options.retainSegments ?? 0,
      { least: 0, most: MAX_RETAINED },
    ),
    retainSnapshots: requireInteger(
      "retainSnapshots",
      options.retainSnapshots ?? DEFAULT_RETAIN_SNAPSHOTS,
      { least: 1, most: MAX_RETAINED },
    ),
    incarnation: options.incarnation,
    fileSystem: options.fileSystem ?? nodeFileSystem(),
  };
}

function requireInteger(
  name: string,
  value: number,
  range: { readonly least: number; readonly most: number },
): number {
  const { least, most } = range;
  if (Number.isSafeInteger(value) && value >= least && value <= most) {
    return value;
  }
  throw new RangeError(
    `Cannot make a write-ahead log: ${name} is ${value}, wanted an integer of ${least} to ${most}`,
  );
}
