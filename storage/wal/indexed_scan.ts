/**
 * Reads a full segment by its index file instead of going through it, if
 * that fits what the segment and the frames before it say.
 *
 * @module
 */
import { corruption } from "./errors.ts";
import { errorCode, readFully } from "./file_system.ts";
import { FRAME, FRAME_HEADER_BYTES, readFrameHead } from "./format.ts";
import type { GroupTable } from "./groups.ts";
import type { FrameChain, ScanTarget, SegmentScan } from "./scan.ts";
import {
  applySegmentIndex,
  decodeSegmentIndex,
  sealOffset,
  type SegmentIndex,
  type SegmentIndexReading,
} from "./segment_index.ts";
import { indexPath } from "./segment.ts";

/** No record takes more than twice its room in an index file. */
const MOST_BYTES_RATIO = 2;
const SPARE_BYTES = 4 << 10;

/** What came of an index file. */
export type IndexedScan =
  | { readonly type: "taken"; readonly scan: SegmentScan }
  /** There is none that fits. */
  | { readonly type: "absent" }
  | { readonly type: "damaged"; readonly path: string; bytes: number };

/**
 * Takes the records of a segment into `groups` as its index file has them.
 * Unless that is whole and fits, nothing is taken, and the segment itself has
 * to be gone through.
 *
 * @throws {RaftError} `corrupt` if its records contradict those before.
 */
export async function scanIndexed(
  target: ScanTarget,
  before: FrameChain | undefined,
  groups: GroupTable,
): Promise<IndexedScan> {
  const path = indexPath(target.path);
  const { index, bytes } = await readIndex(target, path);
  if (index.type === "damaged") return { type: "damaged", path, bytes };
  const isFitting = index.type === "valid" &&
    continues(index, before, target) && await isSealedBy(index, target);
  if (!isFitting) return { type: "absent" };
  const { sequence } = target;
  const isStart = before === undefined;
  try {
    applySegmentIndex(index, { sequence, isStart }, groups);
  } catch (error) {
    const at = { file: path, offset: 0 };
    throw corruption(at, "its records contradict those before", error);
  }
  const chain = { ...index.after, type: FRAME.sealed };
  const { base, end } = index;
  const last = sealOffset(index);
  return { type: "taken", scan: { chain, base, last, end, isSealed: true } };
}

async function readIndex(
  { fileSystem, size }: ScanTarget,
  path: string,
): Promise<{ readonly index: SegmentIndexReading; readonly bytes: number }> {
  let bytes = 0;
  try {
    const file = fileSystem.open(path, "read");
    try {
      bytes = fileSystem.size(file);
      const isPossible = bytes <= MOST_BYTES_RATIO * size + SPARE_BYTES;
      if (!isPossible) return { index: { type: "damaged" }, bytes };
      const content = new Uint8Array(bytes);
      const length = await readFully(fileSystem, file, content, 0);
      const index = decodeSegmentIndex(content.subarray(0, length));
      return { index, bytes };
    } finally {
      fileSystem.close(file);
    }
  } catch (error) {
    // Whatever keeps it from being read, the segment is there.
    const isMissing = errorCode(error) === "ENOENT";
    return { index: { type: isMissing ? "foreign" : "damaged" }, bytes };
  }
}

function continues(
  index: SegmentIndex,
  before: FrameChain | undefined,
  target: ScanTarget,
): boolean {
  if (index.seed !== target.seed || index.end > target.size) return false;
  if (before === undefined) return index.base > target.headerBytes;
  return index.before.sequence === before.sequence &&
    index.before.checksum === before.checksum;
}

/** Looks at the frame that seals the segment; all others it vouches for. */
async function isSealedBy(
  index: SegmentIndex,
  { fileSystem, file, headerBytes, seed }: ScanTarget,
): Promise<boolean> {
  const offset = sealOffset(index);
  if (offset < headerBytes) return false;
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  await readFully(fileSystem, file, bytes, offset);
  const head = readFrameHead(bytes, 0, { seed, offset });
  return head?.type === FRAME.sealed &&
    head.sequence === index.after.sequence &&
    head.checksum === index.after.checksum;
}
