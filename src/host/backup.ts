/**
 * A backup of a running group, streamed while everything goes on.
 *
 * @module
 */
import { backupChunks, type BackupManifest } from "../backup_format.ts";
import type { Clock } from "./clock.ts";
import { paced } from "./paced.ts";
import type { Capture } from "./snapshot_taker.ts";

/**
 * The state of a group at one instant. Streams in the format of
 * `src/backup_format.ts`, which `verify-backup` and `restore` of the command
 * line read.
 *
 * Until it is streamed or released, the machine keeps what changes meanwhile
 * twice: the memory it takes grows with the writes, not with the state.
 */
export interface GroupBackup {
  /** What it holds. */
  readonly manifest: BackupManifest;
  /**
   * The backup's bytes, to be drawn once and as slowly as one likes. At most
   * a few chunks of some hundred kilobytes are held at a time.
   *
   * @throws {RaftError} `machineFailed` if the machine cannot stream its
   * state; what was drawn before is no backup then.
   */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /**
   * Lets go of the state. Idempotent. Streaming to the end, or ending the
   * stream after its first chunk, does it too; whoever may give up before that
   * calls it.
   */
  release(): void;
}

/** A chunk costs more than that of a snapshot: it is hashed as well. */
const SLICE_BYTES = 64 << 10;

/** Where a capture comes from. */
export interface BackupOrigin {
  readonly deployment: string;
  readonly group: number;
  readonly clock: Clock;
}

/** A capture as a backup. */
export function backupOf(
  { meta, source }: Capture,
  { deployment, group, clock }: BackupOrigin,
): GroupBackup {
  const { index, term, conf } = meta;
  const takenAtMs = Math.round(clock.wallNow());
  const manifest = { deployment, group, index, term, conf, takenAtMs };
  const { signal } = new AbortController();
  let isReleased = false;
  const release = () => {
    if (isReleased) return;
    isReleased = true;
    source.release?.();
  };
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      const sliceBytes = SLICE_BYTES;
      const pace = { clock, signal, sliceBytes, inBackground: true };
      yield* backupChunks(manifest, paced(source.chunks(), pace));
    } finally {
      release();
    }
  }
  return { manifest, chunks, release };
}
