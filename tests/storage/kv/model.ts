/** Random work on a storage, with the storage in memory as its model. */
import type { GroupWrite, Storage } from "../../../src/storage.ts";
import type { SnapshotMeta } from "../../../src/core/types.ts";
import { MemoryStorage } from "../../../storage/memory.ts";
import {
  append,
  command,
  contents,
  createGroup,
  DEPLOYMENT,
  metaAt,
  RICH_CONF,
} from "../../../src/testing/storage_samples.ts";

/** One step: what it does to a storage. Visible as a whole or not at all. */
export type Step = (storage: Storage) => Promise<void>;

/** Numbers that look random and are the same in every run. */
export function drawer(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** What the next steps have to fit. */
interface Known {
  first: number;
  last: number;
  term: number;
  snapshot: number;
  /** Of entry `first - 1 + i`. */
  terms: number[];
}

/** Draws steps that fit each other. */
class StepDrawer {
  readonly #draw: (below: number) => number;
  readonly #groups = new Map<number, Known>();

  constructor(seed: number) {
    this.#draw = drawer(seed);
  }

  steps(): Step[] {
    const group = 1 + this.#draw(3);
    const known = this.#groups.get(group);
    if (known === undefined) return [this.#create(group)];
    if (this.#draw(10) === 0) return this.#installWithin(group, known);
    return [this.#step(group, known)];
  }

  #step(group: number, known: Known): Step {
    switch (this.#draw(11)) {
      case 0:
        return this.#destroy(group);
      case 1:
        return this.#state(group, known);
      case 2:
        return this.#conf(group, known);
      case 3:
      case 4:
        return this.#replace(group, known);
      case 5:
      case 6:
        return this.#snapshot(group, known);
      case 7:
        return this.#compact(group, known);
      case 8:
        return this.#installOver(group, known);
      default:
        return this.#append(group, known, known.last + 1);
    }
  }

  #create(group: number): Step {
    const known = { first: 1, last: 0, term: 1, snapshot: 0, terms: [0] };
    this.#groups.set(group, known);
    const node = 1 + this.#draw(5);
    const grown = this.#entries(group, known, 1);
    return (storage) => storage.write([createGroup(group, node), grown]);
  }

  #destroy(group: number): Step {
    this.#groups.delete(group);
    return (storage) => storage.destroyGroup(group);
  }

  #state(group: number, known: Known): Step {
    known.term += this.#draw(2);
    const hardState = {
      term: known.term,
      vote: this.#draw(2) === 0 ? null : 1 + this.#draw(9),
      commit: this.#draw(known.last + 1),
    };
    return (storage) => storage.write([{ group, hardState, entries: [] }]);
  }

  #conf(group: number, known: Known): Step {
    const conf = { ...RICH_CONF, version: 1 + this.#draw(1000) };
    const applied = { index: this.#draw(known.last + 1), conf };
    return (storage) => storage.write([{ group, entries: [], conf: applied }]);
  }

  #append(group: number, known: Known, first: number): Step {
    const writes = [this.#entries(group, known, first)];
    for (const [other, its] of this.#groups) {
      if (other === group || this.#draw(2) === 0) continue;
      writes.push(this.#entries(other, its, its.last + 1));
    }
    return (storage) => storage.write(writes);
  }

  #replace(group: number, known: Known): Step {
    known.term++;
    // What a snapshot holds is committed: no leader replaces it.
    const least = Math.max(known.first, known.snapshot + 1);
    const length = known.last - least + 1;
    return this.#append(group, known, least + this.#draw(length + 1));
  }

  #snapshot(group: number, known: Known): Step {
    if (known.last === 0) return this.#append(group, known, 1);
    const least = Math.max(known.first - 1, 1);
    const index = least + this.#draw(known.last - least + 1);
    const meta = metaAt(index, termOf(known, index));
    if (index > known.snapshot) known.snapshot = index;
    return this.#store(group, meta);
  }

  #compact(group: number, known: Known): Step {
    const through = this.#draw(known.snapshot + 1);
    if (through >= known.first) {
      known.terms.splice(0, through - known.first + 1);
      known.first = through + 1;
    }
    return (storage) => storage.compact(group, through);
  }

  /** Nobody sees the data before it is installed: one step. */
  #installOver(group: number, known: Known): Step {
    known.term++;
    const index = known.last + 1 + this.#draw(5);
    const meta = metaAt(index, known.term);
    Object.assign(known, { first: index + 1, last: index, snapshot: index });
    known.terms = [known.term];
    const store = this.#store(group, meta);
    return async (storage) => {
      await store(storage);
      await storage.write([{ group, snapshot: meta, entries: [] }]);
    };
  }

  /** The data is the group's own at once: two steps. */
  #installWithin(group: number, known: Known): Step[] {
    const least = known.snapshot + 1;
    if (least > known.last) return [this.#installOver(group, known)];
    const index = least + this.#draw(known.last - least + 1);
    const meta = metaAt(index, termOf(known, index));
    known.terms.splice(0, index - known.first + 1);
    known.first = index + 1;
    known.snapshot = index;
    return [
      this.#store(group, meta),
      (storage) => storage.write([{ group, snapshot: meta, entries: [] }]),
    ];
  }

  #store(group: number, meta: SnapshotMeta): Step {
    // What a machine has at an index is always the same.
    const bytes = (131 * meta.index + 617 * meta.term) % 1500;
    const data = new Uint8Array(bytes).fill(meta.index);
    return async (storage) => {
      const writer = await storage.snapshotWriter(group, meta);
      await writer.write(data);
      await writer.commit();
    };
  }

  #entries(group: number, known: Known, first: number): GroupWrite {
    known.terms.length = first - known.first + 1;
    const count = 1 + this.#draw(5);
    const entries = Array.from({ length: count }, (_, i) => {
      const size = this.#draw(10) === 0 ? 900 : this.#draw(60);
      known.terms.push(known.term);
      return command(known.term, first + i, size);
    });
    known.last = first + count - 1;
    return append(group, entries);
  }
}

function termOf(known: Known, index: number): number {
  return known.terms[index - known.first + 1] ?? 0;
}

/** Steps of a seed. */
export function drawSteps(seed: number, count: number): Step[] {
  const drawn = new StepDrawer(seed);
  const steps: Step[] = [];
  while (steps.length < count) steps.push(...drawn.steps());
  return steps;
}

/** Opens a storage, tells everything that it holds, and closes it. */
export async function lookInto(storage: Storage): Promise<unknown> {
  const opened = await storage.open({ deployment: DEPLOYMENT });
  try {
    const snapshots: unknown[] = [];
    for (const { group } of opened.groups) {
      const reader = await storage.snapshotReader(group);
      const bytes: number[] = [];
      for await (const chunk of reader?.chunks() ?? []) bytes.push(...chunk);
      snapshots.push([group, reader?.meta ?? null, bytes]);
    }
    return { groups: await contents(storage, opened), snapshots };
  } finally {
    await storage.close();
  }
}

/** What the model holds after the first `count` of the steps. */
export async function modelAfter(
  steps: readonly Step[],
  count: number,
): Promise<unknown> {
  const model = new MemoryStorage();
  await model.open({ deployment: DEPLOYMENT });
  for (const step of steps.slice(0, count)) await step(model);
  await model.close();
  return await lookInto(model.attach());
}
