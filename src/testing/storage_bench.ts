/**
 * What a storage case works with: data of its own, and its accidents.
 *
 * @module
 */
import type { OpenedStorage, Storage } from "../storage.ts";
import { contents, DEPLOYMENT } from "./storage_samples.ts";

/** Data that a case has to itself, and the accidents that befall it. */
export interface StorageUnderTest {
  /** A storage over the data, not open. */
  attach(): Storage;
  /**
   * The power fails, or the process dies, under the storage that was attached
   * last. What was flushed stays; the rest may go, whole batches from the
   * end. Its pending calls may reject or never settle.
   */
  crash(): Promise<void>;
  /** The next flush fails, once; the one after it would succeed. */
  failNextFlush(): void;
  /**
   * Spoils one stored entry. It was flushed, more was flushed after it, and
   * no storage has the data open.
   */
  damage(group: number, index: number): Promise<void>;
  /** Tells any change of the stored bytes. */
  fingerprint(): Promise<string>;
  /** Removes the data; every storage is closed or crashed by then. */
  dispose(): Promise<void>;
}

/** A storage on the bench: opens and crashes, and cleans up behind a case. */
export class StorageBench {
  readonly #data: StorageUnderTest;
  readonly #open: Set<Storage> = new Set();

  /** Puts fresh data on the bench. */
  constructor(data: StorageUnderTest) {
    this.#data = data;
  }

  /** The data and its accidents. */
  get data(): StorageUnderTest {
    return this.#data;
  }

  /** Opens the data. */
  async open(
    deployment: string = DEPLOYMENT,
  ): Promise<[Storage, OpenedStorage]> {
    const storage = this.#data.attach();
    const opened = await storage.open({ deployment });
    this.#open.add(storage);
    return [storage, opened];
  }

  /** Crashes, and opens what is left. */
  async reopen(): Promise<[Storage, OpenedStorage]> {
    this.#open.clear();
    await this.#data.crash();
    return await this.open();
  }

  /** Closes, and tells what a new opening finds. */
  async look(storage: Storage): Promise<unknown> {
    await storage.close();
    const [again, opened] = await this.open();
    const state = await contents(again, opened);
    await again.close();
    return state;
  }

  /** Ends whatever is still open. */
  async dispose(): Promise<void> {
    for (const storage of this.#open) await storage.close();
    await this.#data.dispose();
  }
}
