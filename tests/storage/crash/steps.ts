/**
 * What a run does with a storage, step by step, drawn by chance; and what the
 * storage holds after each step, as told by another storage in memory.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { MemoryStorage } from "../../../storage/memory.ts";
import type {
  GroupWrite,
  OpenedStorage,
  Storage,
} from "../../../src/storage.ts";
import type { Entry, SnapshotMeta } from "../../../src/core/types.ts";
import {
  contents,
  metaAt,
  RICH_CONF,
} from "../../../src/testing/storage_samples.ts";
import { DEPLOYMENT } from "../wal_bench.ts";
import type { Random } from "./random.ts";

/** One thing that is done. */
export type Step =
  | {
    readonly type: "write";
    readonly batch: readonly GroupWrite[];
    readonly sync: boolean;
  }
  | { readonly type: "destroy"; readonly group: number }
  /** A snapshot of what the log holds. */
  | {
    readonly type: "snapshot";
    readonly group: number;
    readonly meta: SnapshotMeta;
    readonly data: Uint8Array;
  }
  | {
    readonly type: "compact";
    readonly group: number;
    readonly through: number;
  }
  /** A snapshot of a leader comes half-way. */
  | ({ readonly type: "suspend" } & SentSnapshot)
  /** A snapshot of a leader, which replaces the log. */
  | ({ readonly type: "install" } & SentSnapshot);

interface SentSnapshot {
  readonly group: number;
  readonly meta: SnapshotMeta;
  readonly data: Uint8Array;
  /** Names these very bytes. */
  readonly token: string;
}

/** What a run may do besides writing and destroying. */
export interface StepKinds {
  readonly snapshots: boolean;
}

/** Carries out a step; resolves when it is acknowledged. */
export async function carryOut(storage: Storage, step: Step): Promise<void> {
  switch (step.type) {
    case "write":
      return storage.write(step.batch, { sync: step.sync });
    case "destroy":
      return storage.destroyGroup(step.group);
    case "compact":
      return storage.compact(step.group, step.through);
    case "suspend": {
      const { data, group, meta, token } = step;
      const writer = await storage.snapshotWriter(group, meta, { token });
      await writer.write(data.slice(0, data.length >> 1));
      return await writer.suspend();
    }
    case "snapshot":
      return await storeSnapshot(storage, step);
    case "install": {
      const { group, meta } = step;
      await storeSnapshot(storage, step);
      return storage.write([{ group, snapshot: meta, entries: [] }]);
    }
  }
}

async function storeSnapshot(
  storage: Storage,
  step: Step & { readonly type: "snapshot" | "install" },
): Promise<void> {
  const { data, group, meta } = step;
  const token = step.type === "install" ? step.token : undefined;
  const writer = await storage.snapshotWriter(group, meta, { token });
  const half = data.length >> 1;
  // What came before it was suspended comes again.
  await writer.write(data.slice(0, half), 0);
  await writer.write(data.slice(half), half);
  await writer.commit();
}

/** Everything that a storage holds, snapshots included, to be compared. */
export async function describe(
  storage: Storage,
  opened: OpenedStorage,
): Promise<string> {
  const snapshots: unknown[] = [];
  for (const { group } of opened.groups) {
    const reader = await storage.snapshotReader(group);
    if (reader === undefined) continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of reader.chunks()) chunks.push(chunk);
    reader.release?.();
    const data = new Uint8Array(Buffer.concat(chunks));
    snapshots.push([group, reader.meta, data]);
  }
  const groups = await contents(storage, opened);
  return stringify({ groups, snapshots });
}

/** JSON with short bytes, and keys in one order. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_, inner) => {
    if (inner instanceof Uint8Array) {
      return Buffer.from(inner).toString("latin1");
    }
    const isPlain = typeof inner === "object" && inner !== null &&
      !Array.isArray(inner);
    if (!isPlain) return inner;
    return Object.fromEntries(
      Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1),
    );
  });
}

/** What is held after 0, 1, 2 … steps. */
export async function statesOf(steps: readonly Step[]): Promise<string[]> {
  const states: string[] = [];
  for (let count = 0; count <= steps.length; count++) {
    const storage = new MemoryStorage();
    await storage.open({ deployment: DEPLOYMENT });
    for (const step of steps.slice(0, count)) await carryOut(storage, step);
    await storage.close();
    const again = storage.attach();
    const opened = await again.open({ deployment: DEPLOYMENT });
    states.push(await describe(again, opened));
    await again.close();
  }
  return states;
}

interface GroupSoFar {
  first: number;
  readonly terms: Map<number, number>;
  last: number;
  snapshot: number;
}

/** Draws steps that fit each other. */
export class StepDrawer {
  readonly #random: Random;
  readonly #kinds: StepKinds;
  readonly #groups = new Map<number, GroupSoFar>();
  #term = 1;
  /** What is drawn already. */
  #next: Step | undefined;

  constructor(random: Random, kinds: StepKinds) {
    this.#random = random;
    this.#kinds = kinds;
  }

  /** The next step. */
  draw(): Step {
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) return next;
    const random = this.#random;
    const ids = [...this.#groups.keys()];
    const group = ids[random.below(ids.length)];
    if (group !== undefined && random.chance(0.06)) {
      this.#groups.delete(group);
      return { type: "destroy", group };
    }
    if (group !== undefined && this.#kinds.snapshots && random.chance(0.35)) {
      const step = this.#snapshotStep(group);
      if (step !== undefined) return step;
    }
    const batch: GroupWrite[] = [];
    const chosen = new Set<number>();
    for (let i = random.below(3); i >= 0; i--) chosen.add(1 + random.below(4));
    for (const id of chosen) batch.push(this.#write(id));
    return { type: "write", batch, sync: random.chance(0.85) };
  }

  #snapshotStep(group: number): Step | undefined {
    const state = this.#groups.get(group);
    if (state === undefined) return undefined;
    const random = this.#random;
    if (random.chance(0.2)) {
      const term = ++this.#term;
      const index = state.last + 1 + random.below(3);
      Object.assign(state, { first: index + 1, last: index, snapshot: index });
      state.terms.clear();
      const meta = metaAt(index, term);
      const token = `${group}/${index}/${term}`;
      const sent = { group, meta, data: this.#data(), token };
      if (random.chance(0.5)) return { type: "install", ...sent };
      this.#next = { type: "install", ...sent };
      return { type: "suspend", ...sent };
    }
    if (state.snapshot >= state.first && random.chance(0.6)) {
      const through = state.first +
        random.below(state.snapshot - state.first + 1);
      state.first = through + 1;
      return { type: "compact", group, through };
    }
    const from = Math.max(state.first, state.snapshot + 1);
    if (from > state.last) return undefined;
    const index = from + random.below(state.last - from + 1);
    const term = state.terms.get(index);
    if (term === undefined) return undefined;
    state.snapshot = index;
    const meta = metaAt(index, term);
    return { type: "snapshot", group, meta, data: this.#data() };
  }

  #write(group: number): GroupWrite {
    const random = this.#random;
    const create = this.#groups.has(group)
      ? undefined
      : { node: 1 + random.below(5), snapshot: metaAt(0, 0) };
    const state = this.#groups.get(group) ??
      { first: 1, terms: new Map(), last: 0, snapshot: 0 };
    this.#groups.set(group, state);
    const entries = this.#entries(state);
    const hardState = random.chance(0.3)
      ? { term: this.#term, vote: random.below(2) || null, commit: 0 }
      : undefined;
    const conf = random.chance(0.1)
      ? { index: state.snapshot, conf: RICH_CONF }
      : undefined;
    return { group, create, entries, hardState, conf };
  }

  #entries(state: GroupSoFar): Entry[] {
    const random = this.#random;
    // What a snapshot holds was committed, and is never taken back.
    const least = Math.max(state.first, state.snapshot + 1);
    const isCut = state.last >= least && random.chance(0.2);
    const first = isCut
      ? least + random.below(state.last - least + 1)
      : state.last + 1;
    if (isCut) this.#term++;
    const count = random.below(5);
    if (count === 0) return [];
    for (let index = 0; index < count; index++) {
      state.terms.set(first + index, this.#term);
    }
    state.last = first + count - 1;
    return Array.from({ length: count }, (_, i) => ({
      type: "command" as const,
      term: this.#term,
      index: first + i,
      data: this.#data(),
    }));
  }

  #data(): Uint8Array {
    const size = this.#random.chance(0.06)
      ? this.#random.below(1500)
      : this.#random.below(80);
    return new Uint8Array(size).fill(this.#random.below(256));
  }
}
