/**
 * Random runs against a model. The power goes at a random operation, any part
 * of what was not synced reaches the disk, and the log is opened again, some
 * generations long. Whatever the disk kept: what was acknowledged is there,
 * batches are whole and in order, snapshots are whole and belong to the log
 * above them, and opening never takes a loss of power for damage (H45, H47,
 * H50 to H54, H63).
 */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import type { GroupWrite, OpenedStorage, Storage } from "../../src/storage.ts";
import type { Entry, SnapshotMeta } from "../../src/core/types.ts";
import { contents, metaAt } from "../../src/testing/storage_samples.ts";
import { RECORD } from "../../storage/wal/format.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DEPLOYMENT, recordTypes, walOn } from "./wal_bench.ts";
import {
  lastOf,
  Model,
  type ModelGroup,
  snapshotData,
  termOf,
} from "./wal_model.ts";

const SEEDS = 60;
const GENERATIONS = 6;
const GROUPS = 4;

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is known of the snapshots of a life of a group. */
interface ModelSnapshots {
  /** All that were begun and may be there. */
  readonly begun: SnapshotMeta[];
  /** The newest that was acknowledged, and counted then. */
  kept: SnapshotMeta;
  /** Nothing may replace an entry up to here. */
  floor: number;
  isBusy: boolean;
}

/** One run: a disk, a model, and all that came of them so far. */
class Run {
  readonly #random: () => number;
  #disk = new FakeFileSystem();
  #model = new Model();
  /** The model after each batch since the last opening. */
  #states: Model[] = [this.#model.clone()];
  /** Index of the newest of them that was acknowledged. */
  #acknowledged = 0;
  /** By life of a group. */
  readonly #snapshots = new Map<number, ModelSnapshots>();
  #term = 1;
  #generation = 0;
  #lives = 0;
  #isPowerGone = false;
  #isClosed = false;
  /** What went wrong that no loss of power explains. */
  readonly #surprises: unknown[] = [];
  repairs = 0;
  /** How many records of each type were on the disk when the power went. */
  readonly records = new Map<number, number>();
  /** Segments that were gone when it was opened. */
  freed = 0;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  async generation(): Promise<void> {
    const storage = walOn(this.#disk, {
      segmentBytes: 256 + this.#pick(4) * 700,
      retainSegments: this.#pick(2),
      retainSnapshots: 1 + this.#pick(2),
    });
    this.#isPowerGone = false;
    this.#isClosed = false;
    const opened = await storage.open({ deployment: DEPLOYMENT });
    this.repairs += opened.repairs.length;
    for (const { type } of opened.repairs) assertEquals(type, "tornTail");
    await this.#adopt(storage, opened);
    if (this.#random() < 0.9) this.#planPowerLoss();
    await this.#work(storage);
    if (this.#random() < 0.2) {
      // A snapshot on its way is let go of.
      this.#isClosed = true;
      await storage.close();
    }
    this.#look();
    const style = this.#random();
    // What the old life still does, it does without power and unheard.
    this.#generation++;
    this.#disk.onOperation = () => {
      throw new SystemError("EIO", "The power is gone");
    };
    this.#disk = this.#disk.crash({
      keepBytes: (count) => this.#keep(style, count),
      keepNames: (count) => this.#pick(count + 1),
    });
    ignore(storage.close());
    assertEquals(this.#surprises, []);
  }

  /** Finds out which of the possible states the disk holds. */
  async #adopt(storage: Storage, opened: OpenedStorage): Promise<void> {
    const state = JSON.stringify(
      await contents(storage, opened),
      (key, value) => key === "snapshot" ? undefined : value,
    );
    const index = this.#states.findLastIndex((model) =>
      model.describe() === state
    );
    assert(index >= 0, `no prefix of the batches: ${state}`);
    assert(
      index >= this.#acknowledged,
      `state ${index} is older than ${this.#acknowledged}, acknowledged`,
    );
    this.#model = this.#states[index]?.clone() ?? new Model();
    this.#states = [this.#model.clone()];
    this.#acknowledged = 0;
    for (const { group, snapshot } of opened.groups) {
      await this.#adoptSnapshot(storage, group, snapshot);
    }
  }

  async #adoptSnapshot(
    storage: Storage,
    id: number,
    meta: SnapshotMeta,
  ): Promise<void> {
    const group = this.#model.groups.get(id);
    assert(group !== undefined);
    const known = this.#snapshotsOf(group);
    const text = `snapshot ${meta.index} of group ${id}`;
    assert(meta.index >= group.firstIndex - 1, `${text} leaves a gap`);
    // The log may not have come so far: a snapshot says what is applied.
    const { kept } = known;
    const isSure = termOf(group, kept.index) === kept.term;
    assert(!isSure || meta.index >= kept.index, `${text} is not ${kept.index}`);
    const reader = await storage.snapshotReader(id);
    assertEquals(reader?.meta.index ?? 0, meta.index, text);
    if (reader !== undefined) {
      assertEquals(termOf(group, meta.index), meta.term, text);
      const wasBegun = known.begun.some((one) =>
        one.index === meta.index && one.term === meta.term
      );
      assert(wasBegun, `${text} was never written`);
      const chunks: number[] = [];
      for await (const chunk of reader.chunks()) chunks.push(...chunk);
      assertEquals(chunks, [...snapshotData(group.life, meta)], text);
      reader.release?.();
    }
    this.#snapshots.set(group.life, {
      begun: known.begun.filter(({ index }) => index <= meta.index),
      kept: meta,
      floor: meta.index,
      isBusy: false,
    });
  }

  #look(): void {
    for (const type of recordTypes(this.#disk)) {
      this.records.set(type, (this.records.get(type) ?? 0) + 1);
    }
    const segments = this.#disk.paths().filter((path) => path.endsWith(".wal"));
    this.freed += Number(/(\d+)\.wal$/.exec(segments[0] ?? "")?.[1] ?? 1) - 1;
  }

  #planPowerLoss(): void {
    let left = this.#pick(200);
    const isInFlush = this.#random() < 0.6;
    this.#disk.onOperation = ({ type }) => {
      this.#isPowerGone ||= --left < 0 && (!isInFlush || type === "sync");
      if (this.#isPowerGone) throw new SystemError("EIO", "The power is gone");
      return type.startsWith("sync") ? breathe() : undefined;
    };
  }

  async #work(storage: Storage): Promise<void> {
    const count = this.#pick(40);
    for (let i = 0; i < count; i++) {
      const step = this.#step(storage);
      const generation = this.#generation;
      step.catch((error) => {
        if (generation === this.#generation) this.#judge(error);
      });
      if (this.#random() < 0.5) await step.catch(() => {});
    }
    if (this.#random() < 0.5) await breathe();
  }

  /** Only a loss of power, or the end, lets anything fail. */
  #judge(error: unknown): void {
    const isExpected = this.#isPowerGone || this.#isClosed;
    if (!isExpected) this.#surprises.push(error);
  }

  #step(storage: Storage): Promise<void> {
    const [id, group] = [...this.#model.groups][this.#pick(GROUPS)] ?? [];
    const choice = this.#random();
    if (id === undefined || group === undefined || choice < 0.6) {
      return this.#write(storage, this.#batch(), this.#random() < 0.85);
    }
    if (choice < 0.64) return this.#destroy(storage, id);
    if (choice < 0.8) return this.#compact(storage, id, group);
    return choice < 0.93
      ? this.#take(storage, id, group)
      : this.#receive(storage, id, group);
  }

  #write(
    storage: Storage,
    batch: readonly GroupWrite[],
    sync: boolean,
  ): Promise<void> {
    const written = storage.write(batch, { sync });
    this.#model.apply(batch, ++this.#lives);
    return this.#acknowledge(written, sync);
  }

  #destroy(storage: Storage, id: number): Promise<void> {
    const destroyed = storage.destroyGroup(id);
    this.#model.groups.delete(id);
    return this.#acknowledge(destroyed, true);
  }

  #compact(storage: Storage, id: number, group: ModelGroup): Promise<void> {
    const { kept } = this.#snapshotsOf(group);
    const through = this.#pick(kept.index + 1);
    const compacted = storage.compact(id, through);
    this.#model.compact(id, through);
    return this.#acknowledge(compacted, true);
  }

  /** What was written last is the newest state from now on. */
  async #acknowledge(written: Promise<void>, sync: boolean): Promise<void> {
    this.#states.push(this.#model.clone());
    const index = this.#states.length - 1;
    const generation = this.#generation;
    await written;
    if (generation !== this.#generation || !sync) return;
    this.#acknowledged = Math.max(this.#acknowledged, index);
  }

  /** A snapshot of what the log holds. */
  async #take(storage: Storage, id: number, group: ModelGroup): Promise<void> {
    const known = this.#snapshotsOf(group);
    const room = lastOf(group) - known.floor;
    if (known.isBusy || room <= 0) return;
    const index = known.floor + 1 + this.#pick(room);
    const meta = metaAt(index, termOf(group, index) ?? 0);
    known.floor = index;
    const isStored = await this.#store(storage, { id, group, meta });
    // A newer one that was installed meanwhile has it thrown away (H63).
    if (isStored && known.floor === index) known.kept = meta;
  }

  /** A snapshot of what the log does not hold, and the write that installs it. */
  async #receive(
    storage: Storage,
    id: number,
    group: ModelGroup,
  ): Promise<void> {
    const known = this.#snapshotsOf(group);
    if (known.isBusy) return;
    const isWithin = this.#random() < 0.3 && known.floor < lastOf(group);
    const index = isWithin ? lastOf(group) : lastOf(group) + 1 + this.#pick(5);
    // Of a term in which no entry is ever written here.
    if (!isWithin) this.#term += 2;
    const term = isWithin ? termOf(group, index) ?? 0 : this.#term - 1;
    const meta = metaAt(index, term);
    if (isWithin) known.floor = index;
    const generation = this.#generation;
    await this.#store(storage, { id, group, meta });
    const { life } = group;
    const current = this.#model.groups.get(id);
    // Another one may have come first (H63).
    const isThere = current?.life === life && index >= current.firstIndex &&
      generation === this.#generation;
    // Without the write it counts for nothing, if the log does not hold it.
    if (!isThere || this.#random() < 0.2) return;
    known.floor = Math.max(known.floor, index);
    const entries = this.#random() < 0.5 && index >= lastOf(current)
      ? this.#entries({ ...current, firstIndex: index + 1, entries: [] })
      : [];
    await this.#write(storage, [{ group: id, snapshot: meta, entries }], true);
    if (index > known.kept.index) known.kept = meta;
  }

  /** Whether it is stored: not if the group was destroyed meanwhile. */
  async #store(
    storage: Storage,
    { id, group, meta }: {
      readonly id: number;
      readonly group: ModelGroup;
      readonly meta: SnapshotMeta;
    },
  ): Promise<boolean> {
    const known = this.#snapshotsOf(group);
    const { life } = group;
    known.isBusy = true;
    known.begun.push(meta);
    try {
      const writer = await storage.snapshotWriter(id, meta);
      await writer.write(snapshotData(life, meta));
      await writer.commit();
      return true;
    } catch (error) {
      if (this.#model.groups.get(id)?.life === life) throw error;
      return false;
    } finally {
      known.isBusy = false;
    }
  }

  #snapshotsOf({ life }: ModelGroup): ModelSnapshots {
    const known = this.#snapshots.get(life);
    if (known !== undefined) return known;
    const kept = metaAt(0, 0);
    const fresh = { begun: [], kept, floor: 0, isBusy: false };
    this.#snapshots.set(life, fresh);
    return fresh;
  }

  #batch(): GroupWrite[] {
    const batch: GroupWrite[] = [];
    const ids = new Set<number>();
    for (let i = this.#pick(3); i >= 0; i--) ids.add(1 + this.#pick(GROUPS));
    for (const group of ids) {
      const known = this.#model.groups.get(group);
      const create = known === undefined
        ? { node: 1 + this.#pick(5), snapshot: metaAt(0, 0) }
        : undefined;
      const entries = this.#entries(known);
      const hardState = this.#random() < 0.3
        ? { term: this.#term, vote: this.#pick(2) || null, commit: 0 }
        : undefined;
      batch.push({ group, create, entries, hardState });
      // All groups of a batch that it creates begin the same life.
      if (create !== undefined) return batch;
    }
    return batch;
  }

  #entries(group: ModelGroup | undefined): Entry[] {
    const last = group === undefined ? 0 : lastOf(group);
    const floor = group === undefined
      ? 0
      : Math.max(this.#snapshotsOf(group).floor, group.firstIndex - 1);
    const isCut = last > floor && this.#random() < 0.2;
    const first = isCut ? floor + 1 + this.#pick(last - floor) : last + 1;
    if (isCut) this.#term++;
    return Array.from({ length: this.#pick(5) }, (_, i) => ({
      type: "command" as const,
      term: this.#term,
      index: first + i,
      data: new Uint8Array(this.#size()).fill(this.#pick(256)),
    }));
  }

  #size(): number {
    return this.#random() < 0.05 ? this.#pick(3000) : this.#pick(80);
  }

  /** All, nothing, or anything between, sector by sector. */
  #keep(style: number, count: number): number {
    if (style < 0.1) return 0;
    if (style < 0.2) return count;
    const chance = this.#random();
    if (chance < 0.25) return 0;
    return chance < 0.5 ? count : this.#pick(count + 1);
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

function ignore(promise: Promise<unknown>): void {
  promise.catch(() => {});
}

/** A flush takes until everything else that can happen has. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("WalStorage under random loss of power", () => {
  it(`keeps what it acknowledged, whole and in order, in ${SEEDS} runs of ${GENERATIONS} lives`, async () => {
    let repairs = 0;
    let freed = 0;
    const records = new Map<number, number>();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const run = new Run(seed);
      try {
        for (let i = 0; i < GENERATIONS; i++) await run.generation();
      } catch (error) {
        throw new Error(`Seed ${seed}: ${error}`, { cause: error });
      }
      repairs += run.repairs;
      freed += run.freed;
      for (const [type, count] of run.records) {
        records.set(type, (records.get(type) ?? 0) + count);
      }
    }
    // Else the runs would not have torn anything, or never come to this.
    assert(repairs > SEEDS / 4, `only ${repairs} repairs`);
    assert(freed > SEEDS, `only ${freed} segments were freed`);
    for (const type of Object.values(RECORD)) {
      const count = records.get(type) ?? 0;
      // No run sets a configuration.
      const least = type === RECORD.conf ? 0 : SEEDS / 4;
      assert(count >= least, `only ${count} records of type ${type}`);
    }
  });

  it("is the same run for the same seed", async () => {
    const digest = async () => {
      const run = new Run(7);
      for (let i = 0; i < GENERATIONS; i++) await run.generation();
      return [run.repairs, run.freed, [...run.records]];
    };
    assertEquals(await digest(), await digest());
  });
});
