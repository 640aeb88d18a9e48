/** Calls that overlap, and groups and snapshots that come again. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import type { Storage } from "../../../src/storage.ts";
import {
  append,
  commands,
  createGroup,
  DEPLOYMENT,
  metaAt,
  RICH_CONF,
} from "../../../src/testing/storage_samples.ts";
import { MemoryKv } from "../../../storage/kv/mod.ts";
import { PART } from "../../../storage/kv/keys.ts";
import { storageOn } from "./kv_bench.ts";

/** A commit that lasts until it is let go. */
class Gate {
  #wait: Promise<void> | undefined;
  #open: (() => void) | undefined;
  #reached: (() => void) | undefined;

  /** Holds the next commit; resolves once it is there. */
  hold(): Promise<void> {
    this.#wait = new Promise((resolve) => this.#open = resolve);
    return new Promise((resolve) => this.#reached = resolve);
  }

  letGo(): void {
    this.#wait = undefined;
    this.#open?.();
  }

  async pass(): Promise<void> {
    this.#reached?.();
    await this.#wait;
  }
}

async function withTen(data: MemoryKv): Promise<Storage> {
  const storage = storageOn(data);
  await storage.open({ deployment: DEPLOYMENT });
  await storage.write([createGroup(1), append(1, commands(1, 1, 10))]);
  return storage;
}

async function store(storage: Storage, fill: number): Promise<void> {
  const writer = await storage.snapshotWriter(1, metaAt(8, 1));
  await writer.write(new Uint8Array(100).fill(fill));
  await writer.commit();
}

async function firstByte(storage: Storage): Promise<number | undefined> {
  const reader = await storage.snapshotReader(1);
  for await (const chunk of reader?.chunks() ?? []) return chunk[0];
  return undefined;
}

const ALL = { group: 1, from: 1, through: 1000, maxBytes: 1 << 20 };

describe("a read", () => {
  it("beside a truncation finds the log before or after it (H53)", async () => {
    const storage = await withTen(new MemoryKv());
    const reading = storage.read(ALL);
    const writing = storage.write([append(1, commands(2, 5, 10))]);
    const terms = (await reading).map(({ term }) => term).join("");
    assert(["1111111111", "1111222222"].includes(terms), terms);
    await writing;
    await storage.close();
  });

  for (
    const [what, entries] of [
      ["truncated", commands(2, 5, 12)],
      ["appended to", commands(1, 13, 14)],
    ] as const
  ) {
    it(`that waits for a commit while the log is ${what} is no damage`, async () => {
      const gate = new Gate();
      const data = new MemoryKv({ onCommit: () => gate.pass() });
      const storage = await withTen(data);
      const reached = gate.hold();
      const first = storage.write([append(1, commands(1, 11, 12))]);
      const reading = storage.read(ALL);
      await reached;
      const second = storage.write([append(1, entries)]);
      gate.letGo();
      const found = await reading;
      assert(found.length >= 12, `there are ${found.length}`);
      await Promise.all([first, second]);
      await storage.close();
    });
  }
});

describe("a group that is destroyed", () => {
  it("and made again in the same commit has nothing of its former life", async () => {
    const data = new MemoryKv();
    const storage = await withTen(data);
    await storage.write([{
      group: 1,
      entries: [],
      conf: { index: 1, conf: RICH_CONF },
    }]);
    await Promise.all([
      storage.destroyGroup(1),
      storage.write([createGroup(1, 2)]),
    ]);
    await storage.close();
    const again = storageOn(data);
    const { groups } = await again.open({ deployment: DEPLOYMENT });
    assertEquals(groups.length, 1);
    assertEquals(groups[0]?.conf, undefined);
    assertEquals(groups[0]?.lastIndex, 0);
    await again.close();
  });

  it("before it was ever stored leaves no row of a snapshot", async () => {
    const copies: MemoryKv[] = [];
    const data: MemoryKv = new MemoryKv({
      onCommit: () => void copies.push(data.copy({})),
    });
    const storage = storageOn(data);
    await storage.open({ deployment: DEPLOYMENT });
    await Promise.allSettled([
      storage.write([createGroup(1)]),
      storage.snapshotWriter(1, metaAt(5, 1), { token: "any" }),
      storage.destroyGroup(1),
    ]);
    await storage.close();
    assert(copies.length > 1, "there was no commit");
    for (const copy of [...copies, data.copy({})]) {
      const left = storageOn(copy);
      const { groups } = await left.open({ deployment: DEPLOYMENT });
      assertEquals(groups, []);
      await left.close();
    }
  });

  it("is no damage to who reads its snapshot", async () => {
    const data = new MemoryKv();
    const storage = await withTen(data);
    await store(storage, 1);
    const reader = await storage.snapshotReader(1);
    await storage.destroyGroup(1);
    const isThere = () => data.rows().some(([key]) => key[0] === 2);
    // Each write waits for what is removed before it.
    for (let group = 2; isThere() && group < 9; group++) {
      await storage.write([createGroup(group)]);
      await storage.destroyGroup(group);
    }
    await assertRejects(
      async () => {
        for await (const _ of reader?.chunks() ?? []);
      },
      RaftError,
      "replaced",
    );
    await storage.close();
  });
});

describe("a snapshot of the same index", () => {
  it("takes the place of a damaged one, for good", async () => {
    const data = new MemoryKv();
    const storage = await withTen(data);
    await store(storage, 1);
    const piece = data.rows().find(([key]) =>
      key[0] === 2 && key[9] === PART.snapshots
    );
    assert(piece !== undefined, "there is no piece");
    const [key, value] = piece;
    value[10] = (value[10] ?? 0) ^ 1;
    data.put(key, value);
    await assertRejects(() => firstByte(storage), RaftError, "checksum");
    await store(storage, 2);
    assertEquals(await firstByte(storage), 2);
    await storage.close();
    const again = storageOn(data);
    await again.open({ deployment: DEPLOYMENT });
    assertEquals(await firstByte(again), 2);
    await again.close();
  });
});

describe("a large snapshot that was replaced", () => {
  it("is removed a few mebibytes at a time (H74)", async () => {
    let removed = 0;
    let most = 0;
    const data: MemoryKv = new MemoryKv({
      onCommit: (_, operations) => {
        const pieces = operations.filter(({ type, key }) =>
          type === "delete" && key[0] === 2 && key[9] === PART.snapshots
        );
        removed += pieces.length;
        most = Math.max(most, pieces.length);
      },
    });
    const storage = await withTen(data);
    const writer = await storage.snapshotWriter(1, metaAt(7, 1));
    await writer.write(new Uint8Array(9 << 20));
    await writer.commit();
    await store(storage, 1);
    for (let group = 2; removed < 144 && group < 20; group++) {
      await storage.write([createGroup(group)]);
    }
    assert(removed >= 144, `only ${removed} pieces are gone`);
    // Pieces are of 64 KiB here.
    assert(most <= 66, `${most} pieces went at once`);
    await storage.close();
  });
});
