/**
 * A backup: the state of one group at one index, in one stream that proves
 * itself.
 *
 * ```text
 *  0   8  magic "BALSABAK"
 *  8 u32  format version, big endian
 * 12   …  frames, see `snapshot_frames.ts`
 *  +  32  SHA-256 of everything before
 *
 * ["manifest", deployment, group, index, term, configuration, time,
 *  digest algorithm]                       first
 * ["data", offset, bytes]                  the snapshot, in order
 * ["end", bytes]                           last
 * ```
 *
 * The snapshot is the one that members send each other: sessions, then the
 * machine's own bytes. The frames find damage where it is, the digest makes
 * the file as a whole one thing that can be named and compared.
 *
 * @module
 */
import * as z from "zod";
import { confStateFromArray, confStateToArray } from "./codec.ts";
import type { ConfState, GroupId, LogIndex, Term } from "./core/types.ts";
import { isRaftError, RaftError } from "./errors.ts";
import { Sha256, SHA256_BYTES } from "./sha256.ts";
import {
  FrameReader,
  FrameWriter,
  SNAPSHOT_CHUNK_BYTES,
} from "./snapshot_frames.ts";

/** The version that is written, and the only one that is read. */
export const BACKUP_VERSION = 1;

const MAGIC: Uint8Array = new TextEncoder().encode("BALSABAK");
const HEAD_BYTES = 12;
const DIGEST_NAME = "sha-256";

/** What a backup holds. */
export interface BackupManifest {
  /** The deployment it was taken from. */
  readonly deployment: string;
  /** The group it was taken from. */
  readonly group: GroupId;
  /** Everything up to this entry is in it. */
  readonly index: LogIndex;
  /** Term of that entry. */
  readonly term: Term;
  /** The configuration in force there. */
  readonly conf: ConfState;
  /** When it was taken, in milliseconds of the wall clock. */
  readonly takenAtMs: number;
}

/** The last time that a `Date` can tell. */
const MAX_TIME_MS = 8_640_000_000_000_000;

const natural = z.int().min(0);
const manifestFrame = z.tuple([
  z.literal("manifest"),
  z.string().min(1).max(1_024),
  z.int().min(1),
  natural,
  natural,
  z.unknown(),
  natural.max(MAX_TIME_MS),
  z.literal(DIGEST_NAME),
]);
const bodyFrame = z.union([
  z.tuple([z.literal("data"), natural, z.instanceof(Uint8Array)]),
  z.tuple([z.literal("end"), natural]),
]);

/** The bytes of a backup, drawn from a snapshot's as they are wanted. */
export async function* backupChunks(
  manifest: BackupManifest,
  snapshot: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = new Sha256();
  const writer = new FrameWriter();
  const hashed = (bytes: Uint8Array) => {
    hash.update(bytes);
    return bytes;
  };
  yield hashed(head());
  yield hashed(writer.frame(manifestToArray(manifest)));
  let offset = 0;
  for await (const chunk of snapshot) {
    for (let at = 0; at < chunk.length; at += SNAPSHOT_CHUNK_BYTES) {
      const part = chunk.subarray(at, at + SNAPSHOT_CHUNK_BYTES);
      yield hashed(writer.frame(["data", offset, part]));
      offset += part.length;
    }
  }
  yield hashed(writer.frame(["end", offset]));
  yield hash.digest();
}

function head(): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, BACKUP_VERSION);
  return bytes;
}

function manifestToArray(manifest: BackupManifest): unknown[] {
  const { deployment, group, index, term, conf, takenAtMs } = manifest;
  const array = confStateToArray(conf);
  return [
    "manifest",
    deployment,
    group,
    index,
    term,
    array,
    takenAtMs,
    DIGEST_NAME,
  ];
}

/**
 * Reads a backup. Nothing of it may be relied upon before `chunks` has ended:
 * only then is the digest known to be right.
 */
export class BackupReader {
  /** What it holds. */
  readonly manifest: BackupManifest;
  readonly #frames: FrameReader;
  readonly #hashing: HashedBytes;
  #digest: string | null = null;
  #bytes = 0;

  private constructor(
    manifest: BackupManifest,
    frames: FrameReader,
    hashing: HashedBytes,
  ) {
    this.manifest = manifest;
    this.#frames = frames;
    this.#hashing = hashing;
  }

  /**
   * Reads the manifest from the start of a backup's bytes, cut anywhere.
   *
   * @throws {RaftError} `corrupt` if it is no backup or damaged,
   * `unsupportedFormat` if it is of another version.
   */
  static async open(
    source: AsyncIterable<Uint8Array>,
  ): Promise<BackupReader> {
    const hashing = new HashedBytes(source);
    const bytes = hashing.chunks();
    try {
      const frames = new FrameReader(await afterHead(bytes));
      const frame = manifestFrame.safeParse(await next(frames));
      if (!frame.success) throw corrupt("its manifest has a wrong shape");
      const [, deployment, group, index, term, conf, takenAtMs] = frame.data;
      const manifest = {
        deployment,
        group,
        index,
        term,
        conf: parseConf(conf),
        takenAtMs,
      };
      return new BackupReader(manifest, frames, hashing);
    } catch (error) {
      await bytes.return();
      throw error;
    }
  }

  /** The digest of the whole in hexadecimal; `null` before the end. */
  get digest(): string | null {
    return this.#digest;
  }

  /** Bytes of the snapshot read so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The snapshot's bytes. Once; ends only if every frame and the digest are
   * right.
   *
   * @throws {RaftError} `corrupt` otherwise.
   */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const frame = bodyFrame.safeParse(await next(this.#frames));
        if (!frame.success) throw corrupt("a frame has a wrong shape");
        const [type, offset] = frame.data;
        if (offset !== this.#bytes) {
          throw corrupt(
            `a frame is for offset ${offset}, wanted ${this.#bytes}`,
          );
        }
        if (type === "end") break;
        const chunk = frame.data[2];
        this.#bytes += chunk.length;
        yield chunk;
      }
      await this.#checkDigest();
    } finally {
      await this.#frames.close();
    }
  }

  /** Lets go of the source; for who does not read to the end. */
  close(): Promise<void> {
    return this.#frames.close();
  }

  async #checkDigest(): Promise<void> {
    const found = new Uint8Array(SHA256_BYTES);
    let length = 0;
    for await (const part of this.#frames.rest()) {
      if (length + part.length > found.length) {
        throw corrupt("bytes follow its digest");
      }
      found.set(part, length);
      length += part.length;
    }
    if (length < found.length) throw corrupt("its digest is cut off");
    const wanted = this.#hashing.digest();
    if (toHex(found) !== wanted) {
      throw corrupt(`its digest is ${wanted}, its end says ${toHex(found)}`);
    }
    this.#digest = wanted;
  }
}

/** Bytes on their way through, all but the last 32 of which are hashed. */
class HashedBytes {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #hash: Sha256 = new Sha256();
  /** The newest bytes, which may turn out to be the digest itself. */
  #held: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of this.#source) {
      this.#take(chunk);
      yield chunk;
    }
  }

  digest(): string {
    return toHex(this.#hash.digest());
  }

  #take(chunk: Uint8Array): void {
    const fromChunk = Math.max(0, chunk.length - SHA256_BYTES);
    const kept = Math.min(
      this.#held.length,
      SHA256_BYTES - (chunk.length - fromChunk),
    );
    const done = this.#held.length - kept;
    this.#hash.update(this.#held.subarray(0, done));
    this.#hash.update(chunk.subarray(0, fromChunk));
    const held = new Uint8Array(kept + chunk.length - fromChunk);
    held.set(this.#held.subarray(done));
    held.set(chunk.subarray(fromChunk), kept);
    this.#held = held;
  }
}

/** Checks magic and version; what follows them. */
async function afterHead(
  bytes: AsyncGenerator<Uint8Array, void, undefined>,
): Promise<AsyncIterable<Uint8Array>> {
  let start: Uint8Array = new Uint8Array(0);
  while (start.length < HEAD_BYTES) {
    const { done, value } = await bytes.next();
    if (done === true) throw corrupt("it is cut off in its head");
    const joined = new Uint8Array(start.length + value.length);
    joined.set(start);
    joined.set(value, start.length);
    start = joined;
  }
  if (MAGIC.some((byte, i) => start[i] !== byte)) {
    throw corrupt("it does not begin like one");
  }
  const version = new DataView(start.buffer).getUint32(MAGIC.length);
  if (version !== BACKUP_VERSION) {
    throw new RaftError(
      "unsupportedFormat",
      `Cannot read the backup: its format version is ${version}, wanted ${BACKUP_VERSION}`,
    );
  }
  const rest = start.subarray(HEAD_BYTES);
  return (async function* () {
    yield rest;
    yield* bytes;
  })();
}

async function next(frames: FrameReader): Promise<readonly unknown[]> {
  try {
    return await frames.next();
  } catch (error) {
    if (!isRaftError(error, "corrupt")) throw error;
    throw corrupt(error.message, error);
  }
}

function parseConf(conf: unknown): ConfState {
  try {
    return confStateFromArray(conf);
  } catch (cause) {
    throw corrupt("its configuration has a wrong shape", cause);
  }
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function corrupt(what: string, cause?: unknown): RaftError {
  return new RaftError("corrupt", `Cannot trust the backup: ${what}`, {
    cause,
  });
}
