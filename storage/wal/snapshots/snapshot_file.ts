/**
 * The file of a stored snapshot: its name, and whether it is whole.
 *
 * @module
 */
import { join } from "node:path";
import type { GroupId, LogIndex, Term } from "../../../src/core/types.ts";
import type { SnapshotMeta } from "../../../src/core/types.ts";
import { isRaftError, type RaftError } from "../../../src/errors.ts";
import { corruption, type FileOffset, unsupported } from "../errors.ts";
import {
  type FileHandle,
  readFully,
  type WalFileSystem,
} from "../file_system.ts";
import { getU64, viewOf } from "../format.ts";
import {
  decodePiece,
  decodeSnapshotHeader,
  FOOTER_BYTES,
  HEADER_FIXED_BYTES,
  readSnapshotHead,
  SNAPSHOT_VERSION,
  type SnapshotFooter,
  type SnapshotHeader,
  snapshotSeed,
} from "./format.ts";
import { PieceReader } from "./piece_reader.ts";

/** A file that was whole when it was read, or written, last. */
export interface WholeSnapshotFile {
  readonly state: "whole";
  readonly group: GroupId;
  readonly path: string;
  readonly meta: SnapshotMeta;
  /** Bytes of data. */
  readonly bytes: number;
  /** CRC-32 of the data. */
  readonly checksum: number;
  /** Names these very bytes, whoever has them. */
  readonly token: string;
}

/** A file that must not be used. */
export interface DamagedSnapshotFile {
  readonly state: "damaged";
  readonly group: GroupId;
  readonly path: string;
  /** As its name says. */
  readonly index: LogIndex;
  /** As its name says. */
  readonly term: Term;
  /** Of code `corrupt`, with file and offset. */
  readonly problem: RaftError;
}

/** A file in the folder of a group. */
export type StoredSnapshotFile = WholeSnapshotFile | DamagedSnapshotFile;

const NAME = /^(\d{16})-(\d+)\.snap$/;

/** What a name says. */
export interface SnapshotName {
  readonly index: LogIndex;
  readonly term: Term;
}

/** Name of the file of a snapshot, without its ending. */
export function snapshotStem({ index, term }: SnapshotName): string {
  return `${String(index).padStart(16, "0")}-${term}`;
}

/** What the name of a file says, if it is that of a whole snapshot. */
export function parseSnapshotName(name: string): SnapshotName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const said = { index: Number(match[1]), term: Number(match[2]) };
  // Nothing else ever writes a number in another way.
  return name === `${snapshotStem(said)}.snap` ? said : undefined;
}

/** Describes a file that is whole. */
export function wholeFile(
  path: string,
  header: SnapshotHeader,
  { bytes, checksum }: SnapshotFooter,
): WholeSnapshotFile {
  const { group, incarnation, meta } = header;
  const sum = checksum.toString(16).padStart(8, "0");
  const token =
    `${incarnation}-${group}-${meta.index}-${meta.term}-${bytes}-${sum}`;
  return { state: "whole", group, path, meta, bytes, checksum, token };
}

/** Whose file it has to be. */
export interface SnapshotOwner {
  readonly incarnation: string;
  readonly group: GroupId;
  readonly directory: string;
}

/**
 * Reads a whole file and tells whether it may be used.
 *
 * @throws {RaftError} `unsupportedFormat` if another version wrote it. Errors
 * of the file system pass through.
 */
export async function inspectSnapshot(
  fileSystem: WalFileSystem,
  owner: SnapshotOwner,
  name: SnapshotName,
): Promise<StoredSnapshotFile> {
  const { group } = owner;
  const path = join(owner.directory, `${snapshotStem(name)}.snap`);
  const file = fileSystem.open(path, "read");
  try {
    const { header, start } = await readHeader(fileSystem, file, path);
    requireOwner(header, owner, { path, name });
    const footer = await checkPieces({ fileSystem, file, path }, start);
    return wholeFile(path, header, footer);
  } catch (problem) {
    if (!isRaftError(problem, "corrupt")) throw problem;
    return { state: "damaged", group, path, ...name, problem };
  } finally {
    fileSystem.close(file);
  }
}

/** Where the pieces of a file begin. */
export interface Start {
  readonly seed: number;
  readonly position: number;
}

/** An open file. */
export interface OpenFile {
  readonly fileSystem: WalFileSystem;
  readonly file: FileHandle;
  readonly path: string;
}

/**
 * The header of an open file.
 *
 * @throws {RaftError} `corrupt` or `unsupportedFormat`.
 */
export async function readHeader(
  fileSystem: WalFileSystem,
  file: FileHandle,
  path: string,
): Promise<{ readonly header: SnapshotHeader; readonly start: Start }> {
  const at = { file: path, offset: 0 };
  const size = fileSystem.size(file);
  const head = new Uint8Array(Math.min(HEADER_FIXED_BYTES, size));
  const filled = await readFully(fileSystem, file, head, 0);
  const reading = readSnapshotHead(head.subarray(0, filled));
  if (reading.type === "foreign") {
    throw unsupported(
      at,
      `its format version is ${reading.version}, wanted ${SNAPSHOT_VERSION}`,
    );
  }
  const isTooShort = reading.type === "valid" && reading.headerBytes > size;
  if (reading.type === "damaged" || isTooShort) {
    throw corruption(at, "its header is damaged");
  }
  const bytes = new Uint8Array(reading.headerBytes);
  const length = await readFully(fileSystem, file, bytes, 0);
  const header = decodeHeader(bytes.subarray(0, length), at);
  const start = { seed: snapshotSeed(bytes), position: bytes.length };
  return { header, start };
}

/** @throws {RaftError} `corrupt`. */
function decodeHeader(bytes: Uint8Array, at: FileOffset): SnapshotHeader {
  let cause: unknown;
  try {
    const header = decodeSnapshotHeader(bytes);
    if (header !== undefined) return header;
  } catch (error) {
    cause = error;
  }
  throw corruption(at, "its header is damaged", cause);
}

function requireOwner(
  { group, incarnation, meta }: SnapshotHeader,
  owner: SnapshotOwner,
  { path, name }: { readonly path: string; readonly name: SnapshotName },
): void {
  const at = { file: path, offset: 0 };
  if (incarnation !== owner.incarnation) {
    throw corruption(
      at,
      `it belongs to the data directory ${incarnation}, wanted ${owner.incarnation}`,
    );
  }
  const isNamed = group === owner.group && meta.index === name.index &&
    meta.term === name.term;
  if (isNamed) return;
  throw corruption(
    at,
    `it is of group ${group} at ${meta.index} of term ${meta.term}, not what its name says`,
  );
}

/** Reads everything behind the header. @throws {RaftError} `corrupt`. */
async function checkPieces(
  { fileSystem, file, path }: OpenFile,
  start: Start,
): Promise<SnapshotFooter> {
  const reader = new PieceReader(fileSystem, file, {
    ...start,
    isShared: true,
  });
  for (;;) {
    const piece = await reader.next();
    if (piece.type === "chunk") continue;
    const at = { file: path, offset: reader.position };
    if (piece.type === "damaged") throw corruption(at, piece.what);
    if (piece.footer.checksum !== reader.checksum) {
      throw corruption(at, "the checksum of its data is wrong");
    }
    requireEnd({ fileSystem, file, path }, reader.position);
    return piece.footer;
  }
}

/**
 * What an open file ends with, found from behind.
 *
 * @throws {RaftError} `corrupt`.
 */
export async function readFooter(
  { fileSystem, file, path }: OpenFile,
  { position, seed }: Start,
): Promise<SnapshotFooter> {
  const size = fileSystem.size(file);
  const at = Math.max(position, size - FOOTER_BYTES);
  const bytes = new Uint8Array(FOOTER_BYTES);
  const length = await readFully(fileSystem, file, bytes, at);
  const piece = decodePiece(
    bytes.subarray(0, length),
    seed,
    getU64(viewOf(bytes), 4),
  );
  if (piece.type === "footer") return piece.footer;
  throw corruption({ file: path, offset: at }, "its footer is damaged");
}

/** @throws {RaftError} `corrupt` if anything follows the footer. */
export function requireEnd(
  { fileSystem, file, path }: OpenFile,
  footerPosition: number,
): void {
  const end = footerPosition + FOOTER_BYTES;
  const size = fileSystem.size(file);
  if (size === end) return;
  throw corruption(
    { file: path, offset: end },
    `${size - end} bytes follow its footer`,
  );
}
