/**
 * Backups on their way to clients: few at a time, and none for ever. Each
 * keeps a state of the store that would be gone otherwise.
 *
 * @module
 */
import type { BackupOptions, GroupBackup } from "@balsa/raft";
import { Problem, RETRY_AFTER_SECONDS } from "./replies.ts";

/** Settings of {@linkcode Backups}. */
export interface BackupLimits {
  /** Backups under way at once; one more is refused. @default {4} */
  readonly maxBackups?: number | undefined;
  /**
   * Milliseconds after which a client that takes nothing of its backup has
   * lost it. @default {30_000}
   */
  readonly backupStallMs?: number | undefined;
}

const DEFAULT_MOST = 4;
const DEFAULT_STALL_MS = 30_000;

/** Serves the backups of one member. */
export class Backups {
  readonly #most: number;
  readonly #stallMs: number;
  #count = 0;
  /** Each ends one that is under way. */
  readonly #running = new Set<(reason: string) => void>();

  /** Makes a server of backups; its limits are for all of them. */
  constructor(limits: BackupLimits = {}) {
    this.#most = limits.maxBackups ?? DEFAULT_MOST;
    this.#stallMs = limits.backupStallMs ?? DEFAULT_STALL_MS;
  }

  /** How many are under way. */
  get count(): number {
    return this.#count;
  }

  /**
   * Answers with a backup, as slowly as the client takes it.
   *
   * @throws {Problem} 503 if too many are under way.
   * @throws {RaftError} What beginning one came to.
   */
  async respond(
    group: { backup(options?: BackupOptions): Promise<GroupBackup> },
    options: BackupOptions,
  ): Promise<Response> {
    if (this.#count >= this.#most) throw tooMany(this.#most);
    this.#count++;
    let backup: GroupBackup;
    try {
      backup = await group.backup(options);
    } catch (error) {
      this.#count--;
      throw error;
    }
    return new Response(this.#stream(backup), {
      headers: {
        "content-type": "application/octet-stream",
        "balsa-applied": `${backup.manifest.index}`,
      },
    });
  }

  /** Breaks off what is under way. */
  close(): void {
    for (const end of this.#running) end("the member stops");
  }

  #stream(backup: GroupBackup): ReadableStream<Uint8Array<ArrayBuffer>> {
    const bytes = backup.chunks();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let abort: (reason: string) => void = () => {};
    const end = () => {
      clearTimeout(timer);
      if (!this.#running.delete(abort)) return;
      this.#count--;
      // Streaming that never began lets go of nothing.
      backup.release();
      bytes.return().catch(() => {});
    };
    const watch = () => {
      const reason = `nothing was taken of it for ${this.#stallMs} ms`;
      timer = setTimeout(() => abort(reason), this.#stallMs);
    };
    return new ReadableStream({
      start: (controller) => {
        abort = (reason) => {
          end();
          controller.error(
            new Error(`Cannot go on with the backup: ${reason}`),
          );
        };
        this.#running.add(abort);
        watch();
      },
      async pull(controller) {
        clearTimeout(timer);
        try {
          const { done, value } = await bytes.next();
          if (done !== true) {
            controller.enqueue(new Uint8Array(value));
            return watch();
          }
          controller.close();
          end();
        } catch (error) {
          end();
          throw error;
        }
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }
}

function tooMany(most: number): Problem {
  return new Problem(
    503,
    "overloaded",
    `Cannot back up: ${most} backups are under way, which is the most`,
    { "retry-after": RETRY_AFTER_SECONDS },
  );
}
