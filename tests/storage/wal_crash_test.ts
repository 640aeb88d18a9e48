/**
 * Random runs against a model. The power goes at a random operation, any part
 * of what was not synced reaches the disk, and the log is opened again, some
 * generations long. Whatever the disk kept: what was acknowledged is there,
 * batches are whole and in order, and opening never takes a loss of power for
 * damage (H45, H47, H50 to H53).
 */
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { assert, assertEquals } from "@std/assert";
import type { GroupWrite, Storage } from "../../src/storage.ts";
import type { Entry } from "../../src/core/types.ts";
import { contents, metaAt } from "../../src/testing/storage_samples.ts";
import { FakeFileSystem, SystemError } from "./fake_file_system.ts";
import { DEPLOYMENT, walOn } from "./wal_bench.ts";

const SEEDS = 100;
const GENERATIONS = 6;

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

interface ModelGroup {
  readonly node: number;
  hardState: { term: number; vote: number | null; commit: number };
  entries: Entry[];
}

/** The simplest thing that behaves like a storage. */
class Model {
  readonly groups: Map<number, ModelGroup> = new Map();

  apply(batch: readonly GroupWrite[]): void {
    for (const write of batch) {
      if (write.create !== undefined) {
        const hardState = { term: 0, vote: null, commit: 0 };
        const { node } = write.create;
        this.groups.set(write.group, { node, hardState, entries: [] });
      }
      const group = this.groups.get(write.group);
      assert(group !== undefined);
      const first = write.entries[0];
      if (first !== undefined) {
        const kept = group.entries.slice(0, first.index - 1);
        group.entries = [...kept, ...write.entries];
      }
      if (write.hardState !== undefined) group.hardState = write.hardState;
    }
  }

  /** In the form of `contents`. */
  describe(): string {
    const groups = [...this.groups].sort(([a], [b]) => a - b);
    return JSON.stringify(groups.map(([group, { node, ...state }]) => ({
      group,
      node,
      hardState: state.hardState,
      snapshot: metaAt(0, 0),
      conf: null,
      firstIndex: 1,
      lastIndex: state.entries.length,
      prevTerm: 0,
      termRuns: state.entries.filter((entry, i) =>
        i === 0 || entry.term !== state.entries[i - 1]?.term
      ).map(({ term, index }) => ({ term, firstIndex: index })),
      entries: state.entries,
    })));
  }
}

/** One run: a disk, a model, and all that came of them so far. */
class Run {
  readonly #random: () => number;
  #disk = new FakeFileSystem();
  #model = new Model();
  /** The model after each batch since the last opening. */
  #states: Model[] = [clone(this.#model)];
  /** Index of the newest of them that was acknowledged. */
  #acknowledged = 0;
  #term = 1;
  #life = 0;
  repairs = 0;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  async generation(): Promise<void> {
    const storage = walOn(this.#disk, {
      segmentBytes: 256 + this.#pick(4) * 700,
    });
    const opened = await storage.open({ deployment: DEPLOYMENT });
    this.repairs += opened.repairs.length;
    this.#adopt(JSON.stringify(await contents(storage, opened)));
    if (this.#random() < 0.9) this.#planPowerLoss();
    await this.#work(storage);
    if (this.#random() < 0.2) await storage.close();
    const style = this.#random();
    // What the old life still does, it does without power and unheard.
    this.#life++;
    this.#disk.onOperation = () => {
      throw new SystemError("EIO", "The power is gone");
    };
    this.#disk = this.#disk.crash({
      keepBytes: (count) => this.#keep(style, count),
      keepNames: (count) => this.#pick(count + 1),
    });
    ignore(storage.close());
  }

  /** Finds out which of the possible states the disk holds. */
  #adopt(state: string): void {
    const index = this.#states.findLastIndex((model) =>
      model.describe() === state
    );
    assert(index >= 0, `no prefix of the batches: ${state}`);
    assert(
      index >= this.#acknowledged,
      `state ${index} is older than ${this.#acknowledged}, acknowledged`,
    );
    this.#model = clone(this.#states[index] ?? new Model());
    this.#states = [clone(this.#model)];
    this.#acknowledged = 0;
  }

  #planPowerLoss(): void {
    let left = this.#pick(120);
    let isGone = false;
    const isInFlush = this.#random() < 0.6;
    this.#disk.onOperation = ({ type }) => {
      isGone ||= --left < 0 && (!isInFlush || type === "sync");
      if (isGone) throw new SystemError("EIO", "The power is gone");
      return type.startsWith("sync") ? breathe() : undefined;
    };
  }

  async #work(storage: Storage): Promise<void> {
    const count = this.#pick(40);
    for (let i = 0; i < count; i++) {
      const sync = this.#random() < 0.85;
      const [group] = this.#model.groups.keys();
      const isDestroying = group !== undefined && this.#random() < 0.03;
      const batch = isDestroying ? [] : this.#batch();
      const write = isDestroying
        ? storage.destroyGroup(group)
        : storage.write(batch, { sync });
      if (isDestroying) this.#model.groups.delete(group);
      this.#model.apply(batch);
      this.#states.push(clone(this.#model));
      const index = this.#states.length - 1;
      const life = this.#life;
      const settled = write.then(() => {
        if (life !== this.#life || !sync && !isDestroying) return;
        this.#acknowledged = Math.max(this.#acknowledged, index);
      });
      if (this.#random() < 0.5) await settled.catch(() => {});
      else ignore(settled);
    }
    if (this.#random() < 0.5) await breathe();
  }

  #batch(): GroupWrite[] {
    const batch: GroupWrite[] = [];
    const ids = new Set<number>();
    for (let i = this.#pick(3); i >= 0; i--) ids.add(1 + this.#pick(4));
    for (const group of ids) {
      const known = this.#model.groups.get(group);
      const create = known === undefined
        ? { node: 1 + this.#pick(5), snapshot: metaAt(0, 0) }
        : undefined;
      const entries = this.#entries(known?.entries ?? []);
      const hardState = this.#random() < 0.3
        ? { term: this.#term, vote: this.#pick(2) || null, commit: 0 }
        : undefined;
      batch.push({ group, create, entries, hardState });
    }
    return batch;
  }

  #entries(log: readonly Entry[]): Entry[] {
    const isCut = log.length > 0 && this.#random() < 0.2;
    const first = isCut ? 1 + this.#pick(log.length) : log.length + 1;
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

function clone(model: Model): Model {
  const copy = new Model();
  for (const [group, state] of model.groups) {
    copy.groups.set(group, { ...state, entries: [...state.entries] });
  }
  return copy;
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
    for (let seed = 1; seed <= SEEDS; seed++) {
      const run = new Run(seed);
      try {
        for (let i = 0; i < GENERATIONS; i++) await run.generation();
      } catch (error) {
        throw new Error(`Seed ${seed}: ${error}`, { cause: error });
      }
      repairs += run.repairs;
    }
    // Else the runs would not have torn anything.
    assert(repairs > SEEDS / 4, `only ${repairs} repairs`);
  });

  it("is the same run for the same seed", async () => {
    const digest = async () => {
      const run = new Run(7);
      for (let i = 0; i < GENERATIONS; i++) await run.generation();
      return run.repairs;
    };
    assertEquals(await digest(), await digest());
  });
});
