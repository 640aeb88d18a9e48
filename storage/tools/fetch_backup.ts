/**
 * Fetches a backup from a running member.
 *
 * @module
 */
import fs from "node:fs";
import { dirname } from "node:path";
import { BackupReader } from "../../src/backup_format.ts";
import { RaftError } from "../../src/errors.ts";
import { errorCode } from "../wal/file_system.ts";
import { nodeFileSystem } from "../wal/mod.ts";
import type { Progress } from "./copy_group.ts";
import { Refusal } from "./refusal.ts";
import type { CheckedBackup } from "./restore.ts";

/** Where to get a backup from, and where to put it. */
export interface FetchBackupOptions {
  /** URL of the stream; the KV server has it at `/backup`. */
  readonly url: string | URL;
  /** The file to make; must not be there. */
  readonly file: string;
  /** How far it has come, in bytes of the file. */
  readonly progress?: Progress | undefined;
  /** Ends it; no file is left then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams a backup into a file and checks it on the way. The file is there
 * whole and durable when it resolves, and not at all if it rejects.
 *
 * @throws {Refusal} If the file is there already.
 * @throws {RaftError} `unreachable` if nobody answers, or not with a backup;
 * `corrupt` if the stream broke off or was damaged.
 */
export async function fetchBackup(
  options: FetchBackupOptions,
): Promise<CheckedBackup> {
  const { url, file, progress, signal } = options;
  if (fs.existsSync(file)) throw isThere(file);
  const body = await bodyOf(url, signal);
  // A name of its own: others may be fetching the same.
  const part = `${file}.${crypto.randomUUID()}.part`;
  try {
    const checked = await store(body, part, progress);
    // A file that came meanwhile stays: a rename would replace it.
    fs.linkSync(part, file);
    fs.rmSync(part);
    await nodeFileSystem().syncDirectory(dirname(file));
    return { file, ...checked };
  } catch (error) {
    fs.rmSync(part, { force: true });
    if (errorCode(error) === "EEXIST") throw isThere(file);
    throw error;
  }
}

async function store(
  body: ReadableStream<Uint8Array>,
  part: string,
  progress: Progress | undefined,
): Promise<Omit<CheckedBackup, "file">> {
  const handle = await fs.promises.open(part, "wx", 0o600);
  try {
    const reader = await BackupReader.open(copied(body, handle, progress));
    for await (const _ of reader.chunks());
    await handle.sync();
    const { manifest, bytes, digest } = reader;
    return { manifest, bytes, digest: digest ?? "" };
  } finally {
    await handle.close();
  }
}

function isThere(file: string): Refusal {
  return new Refusal(`Cannot write "${file}": it is there already`);
}

async function bodyOf(
  url: string | URL,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  let response: Response;
  try {
    response = await fetch(url, signal === undefined ? {} : { signal });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RaftError("unreachable", `Cannot reach ${url}: ${reason}`, {
      cause,
    });
  }
  if (response.ok && response.body !== null) return response.body;
  const text = (await response.text()).slice(0, 1_000);
  throw new RaftError(
    "unreachable",
    `Cannot get a backup from ${url}: it answers ${response.status}: ${text}`,
  );
}

/** The same bytes, once they are in the file. */
async function* copied(
  body: ReadableStream<Uint8Array>,
  handle: fs.promises.FileHandle,
  progress: Progress | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body.getReader();
  let done = 0;
  try {
    for (;;) {
      const next = await readNext(reader);
      if (next === undefined) return;
      await handle.writeFile(next);
      done += next.length;
      progress?.(done);
      yield next;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function readNext(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await reader.read();
    return done ? undefined : value;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RaftError(
      "unreachable",
      `Cannot go on with the backup: the stream broke off: ${reason}`,
      { cause },
    );
  }
}
