/** What the tests of the key-value storage share. */
import type { GroupWrite, OpenedStorage } from "../../../src/storage.ts";
import type { StorageUnderTest } from "../../../src/testing/mod.ts";
import {
  append,
  command,
  commands,
  contents,
  createGroup,
  DEPLOYMENT,
  RICH_CONF,
} from "../../../src/testing/storage_samples.ts";
import {
  KvStorage,
  type KvStorageOptions,
  type MemoryKv,
  type OrderedKv,
} from "../../../storage/kv/mod.ts";
import { numberedKey, PART } from "../../../storage/kv/keys.ts";

export const INCARNATION: string = "0123456789abcdef".repeat(2);

/** Small, so that everything comes in pieces. */
export const SMALL_LIMITS = {
  keyBytes: 32,
  valueBytes: 256,
  batchBytes: 1024,
  batchOps: 8,
};

/** A storage over data in memory. */
export function storageOn(
  data: MemoryKv,
  options: Partial<KvStorageOptions> = {},
): KvStorage {
  return new KvStorage({
    open: () => data.open(),
    incarnation: INCARNATION,
    ...options,
  });
}

/** Opens what data holds, tells everything about it, and leaves it. */
export async function inspect(
  data: MemoryKv,
): Promise<{ opened: OpenedStorage; state: unknown }> {
  const storage = storageOn(data);
  const opened = await storage.open({ deployment: DEPLOYMENT });
  try {
    return { opened, state: await contents(storage, opened) };
  } finally {
    await storage.close();
  }
}

/** A fault: what the next commit throws, once. */
export class Fault {
  #error: Error | undefined;

  arm(): void {
    this.#error = new Error("The engine is broken");
  }

  strike(): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
  }
}

/** An engine whose commits a fault may strike. */
export function faulty(kv: OrderedKv, fault: Fault): OrderedKv {
  return {
    name: kv.name,
    limits: kv.limits,
    get: (key) => kv.get(key),
    list: (range) => kv.list(range),
    // deno-lint-ignore require-await -- a rejection, never a throw
    commit: async (operations, guard) => {
      fault.strike();
      return kv.commit(operations, guard);
    },
    close: () => kv.close(),
  };
}

/** Flips a bit of a stored entry. */
export async function damageEntry(
  kv: OrderedKv,
  group: number,
  index: number,
): Promise<void> {
  const key = numberedKey(group, PART.entries, index, 0);
  const value = await kv.get(key);
  if (value === undefined) throw new Error("There is no such entry");
  const at = value.length - 1;
  value[at] = (value[at] ?? 0) ^ 4;
  await kv.commit([{ type: "set", key, value }]);
}

/** All rows of an engine as text. */
export async function dump(kv: OrderedKv): Promise<string> {
  const lines: string[] = [];
  const range = { start: new Uint8Array(0), end: new Uint8Array([255]) };
  for await (const [key, value] of kv.list(range)) {
    lines.push(`${key.join(".")}=${value.join(".")}`);
  }
  return lines.join("\n");
}

/** Data in memory on the bench of the contract suite. */
export function memoryUnderTest(make: () => MemoryKv): StorageUnderTest {
  const data = make();
  const fault = new Fault();
  return {
    attach: () =>
      new KvStorage({ open: async () => faulty(await data.open(), fault) }),
    crash: () => {
      data.crash();
      return Promise.resolve();
    },
    failNextFlush: () => fault.arm(),
    damage: async (group, index) => {
      const kv = await data.open();
      await damageEntry(kv, group, index);
      await kv.close();
    },
    fingerprint: () => Promise.resolve(JSON.stringify(data.rows())),
    dispose: () => Promise.resolve(),
  };
}

/** Batches of three groups: truncations, states, configurations, noops. */
export function recordedBatches(): GroupWrite[][] {
  const state = (term: number, vote: number | null, commit: number) => ({
    term,
    vote,
    commit,
  });
  return [
    [createGroup(1)],
    [createGroup(2, 2), append(1, commands(1, 1, 3))],
    [{ group: 2, hardState: state(1, 3, 0), entries: commands(1, 1, 2, 60) }],
    [append(1, commands(1, 4, 8, 700)), append(2, [command(1, 3, 0)])],
    [append(1, commands(2, 5, 6))],
    [createGroup(7), {
      group: 2,
      hardState: state(3, null, 2),
      entries: [{ type: "noop", term: 3, index: 3 }],
      conf: { index: 2, conf: RICH_CONF },
    }],
    [append(7, commands(4, 1, 20, 30))],
    [append(1, [command(3, 2, 900)]), append(7, [command(5, 9, 90)])],
    [{ group: 7, hardState: state(5, 7, 9), entries: [] }],
    [append(2, commands(4, 4, 9, 40)), append(7, commands(5, 10, 12, 100))],
  ];
}
