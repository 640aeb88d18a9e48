/**
 * The device under the disks of a host: writes become durable later, in
 * order, several groups' at once (H45, H143).
 *
 * @module
 */
import type { Ready } from "../core/ready.ts";
import type { DiskWrite, SimDisk } from "./disk.ts";
import type { DiskOptions } from "./options.ts";
import type { SimRandom } from "./prng.ts";

/** One group's part of a batch. */
export interface DevicePart {
  readonly disk: SimDisk;
  readonly write: DiskWrite;
}

/** What goes to the device in one turn. */
interface Batch {
  readonly parts: readonly DevicePart[];
  /** When it is done, in virtual milliseconds. */
  doneAt: number;
  /** Whether the device will say that it failed. */
  fails: boolean;
}

/** What a crash did to the writes that were not flushed. */
export interface CrashLoss {
  readonly lost: readonly DevicePart[];
  readonly kept: readonly DevicePart[];
}

/** What has become of the writes whose time has come. */
export interface Completion {
  /** Writes that are done, in order. */
  readonly done: readonly DevicePart[];
  /** Whether one failed: then nothing behind it is ever done (H44). */
  readonly failed: boolean;
}

/** How long a batch takes whose device hangs. */
const FOREVER = Infinity;

const NOTHING: Completion = { done: [], failed: false };

/** A device; survives the crashes of its host. */
export class SimDevice {
  /** Times are multiplied by this; a slow device has more than 1. */
  slowness = 1;
  /** Whether the next write fails. */
  willFail = false;
  readonly #options: DiskOptions;
  readonly #random: SimRandom;
  /** Whether nothing completes until it is healed (H20). */
  #isHung = false;
  /** The batch of the turn under way. */
  #open: DevicePart[] = [];
  /** Done but never synced. */
  #unsynced: DevicePart[] = [];
  /** In flight, in the order in which they were given. */
  #batches: Batch[] = [];

  /** Makes a device. */
  constructor(options: DiskOptions, random: SimRandom) {
    this.#options = options;
    this.#random = random;
  }

  /** Whether nothing completes. */
  get isHung(): boolean {
    return this.#isHung;
  }

  /** Writes that were given and are not done. */
  get pendingCount(): number {
    return this.#batches.reduce((sum, { parts }) => sum + parts.length, 0);
  }

  /** Takes a Ready's write into the batch of this turn. */
  add(disk: SimDisk, ready: Ready): void {
    this.#open.push({ disk, write: disk.write(ready) });
  }

  /**
   * Starts the batch of this turn. Returns in how many milliseconds it will
   * be done, never before those that came first; `undefined` if there is
   * none, or if it hangs.
   */
  flush(now: number): number | undefined {
    if (this.#open.length === 0) return undefined;
    const parts = this.#inSomeOrder(this.#open);
    this.#open = [];
    const last = this.#batches[this.#batches.length - 1];
    const doneAt = this.#isHung
      ? FOREVER
      : Math.max(last?.doneAt ?? 0, now + this.#flushMs(parts));
    this.#batches.push({ parts, doneAt, fails: this.willFail });
    this.willFail = false;
    return doneAt === FOREVER ? undefined : doneAt - now;
  }

  /** Takes the writes that are done by `now`. */
  complete(now: number): Completion {
    if ((this.#batches[0]?.doneAt ?? FOREVER) > now) return NOTHING;
    const done: DevicePart[] = [];
    let batch = this.#batches[0];
    while (batch !== undefined && batch.doneAt <= now) {
      if (batch.fails) return { done, failed: true };
      this.#batches.shift();
      for (const part of batch.parts) {
        this.#unsynced.push(part);
        part.disk.pendingCount--;
        done.push(part);
      }
      if (batch.parts.some(({ write }) => write.mustSync)) this.#sync();
      batch = this.#batches[0];
    }
    return { done, failed: false };
  }

  /** Nothing is done any more until {@linkcode heal} (H20). */
  hang(): void {
    this.#isHung = true;
    for (const batch of this.#batches) batch.doneAt = FOREVER;
  }

  /** Ends all waiting and all trouble: what is in flight is done now. */
  heal(now: number): void {
    this.#isHung = false;
    this.willFail = false;
    this.slowness = 1;
    for (const batch of this.#batches) {
      batch.doneAt = now;
      batch.fails = false;
    }
  }

  /**
   * The machine crashes; its disks have to be reverted after this. Loses what
   * was not flushed, save perhaps some whole writes, in order.
   * Writes that nobody waited for may be lost though they were done.
   */
  crash(): CrashLoss {
    const parts = [
      ...this.#unsynced,
      ...this.#batches.flatMap(({ parts }) => parts),
    ];
    const keep = this.#random.chance(this.#options.keepPrefixPermille)
      ? this.#random.between(0, parts.length)
      : 0;
    const lost = parts.slice(keep);
    this.#unsynced = parts.slice(0, keep);
    this.#sync();
    this.#open = [];
    this.#batches = [];
    const [torn] = lost;
    if (this.#random.chance(this.#options.tornPermille)) {
      torn?.disk.tear(torn.write);
    }
    return { lost, kept: parts.slice(0, keep) };
  }

  /** How long a load takes, in virtual milliseconds. */
  loadMs(): number {
    return this.#random.between(0, this.#options.loadMs) * this.slowness;
  }

  /** Whether a load fails for good. */
  loadFails(): boolean {
    return this.#random.chance(this.#options.loadFailPermille);
  }

  /** Whether a load that fits returns less. */
  loadIsShort(): boolean {
    return this.#random.chance(this.#options.loadShortPermille);
  }

  /** How many of `count` entries a short load returns. */
  shortCount(count: number): number {
    return this.#random.between(1, count - 1);
  }

  /** Of one group in order; of several groups in any. */
  #inSomeOrder(parts: DevicePart[]): DevicePart[] {
    if (!this.#options.reorderGroups || parts.length < 2) return parts;
    const disks = this.#random.shuffle([
      ...new Set(parts.map(({ disk }) => disk)),
    ]);
    return disks.flatMap((disk) => parts.filter((part) => part.disk === disk));
  }

  #flushMs(parts: readonly DevicePart[]): number {
    if (parts.every(({ write }) => isEmpty(write))) return 0;
    const { minFlushMs, spreadMs } = this.#options;
    return (minFlushMs + this.#random.below(spreadMs + 1)) * this.slowness;
  }

  #sync(): void {
    for (const { disk, write } of this.#unsynced) disk.sync(write);
    this.#unsynced = [];
  }
}

function isEmpty(write: DiskWrite): boolean {
  const { hardState, founding, snapshot, entries } = write;
  return hardState === undefined && founding === undefined &&
    snapshot === undefined && entries.length === 0;
}
