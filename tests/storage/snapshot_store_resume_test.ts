/**
 * Snapshots that come in parts, over several lives: what is there is checked
 * and gone on with, what comes again changes nothing, and what belongs to
 * another one is never mixed in (H65, H66).
 */
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import type { SnapshotStore } from "../../storage/wal/snapshots/store.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import {
  contentsOf,
  dataOf,
  openOn,
  richMeta,
  storeOn,
  storeSnapshot,
  wholeAt,
} from "./snapshot_bench.ts";

const BYTES = 1_000_000;
const DATA = dataOf(8, BYTES);

async function assertStored(
  disk: FakeFileSystem,
  data: Uint8Array,
): Promise<void> {
  const { store } = await openOn(disk);
  assertEquals(await contentsOf(store, wholeAt(store, 1, 8)), data);
  assertEquals(disk.paths().length, 1);
}

/** Suspends `data` under a token. */
async function suspend(
  store: SnapshotStore,
  data: Uint8Array,
  token = "t",
): Promise<void> {
  const writer = await store.writer(1, richMeta(8), { token });
  await writer.write(data);
  await writer.suspend();
}

/** Path of the one draft. */
function draftOf(disk: FakeFileSystem): string {
  const [path, ...more] = disk.paths().filter((it) => it.endsWith(".part"));
  assert(path !== undefined && more.length === 0, "wanted one draft");
  return path;
}

describe("chunks of a snapshot", () => {
  it("may come twice, overlap and come too early", async () => {
    const disk = new FakeFileSystem();
    const writer = await storeOn(disk).writer(1, richMeta(8));
    let state = 7;
    const random = (below: number) => {
      state = Math.imul(state, 48_271) >>> 0;
      return state % below;
    };
    let refusals = 0;
    while (writer.offset < BYTES) {
      const { offset } = writer;
      const at = Math.max(0, offset + random(90_000) - 60_000);
      const chunk = DATA.subarray(at, at + random(120_000));
      const isTaken = await writer.write(chunk, at);
      assertEquals(isTaken, at <= offset);
      if (!isTaken) refusals++;
      const reached = isTaken ? Math.max(offset, at + chunk.length) : offset;
      assertEquals(writer.offset, reached);
    }
    assert(refusals > 3, "none came too early");
    await writer.commit();
    await assertStored(disk, DATA);
  });
});

describe("a suspended snapshot", () => {
  it("is gone on with where it ended, in many parts, by one store or several", async () => {
    let disk = new FakeFileSystem();
    let offset = 0;
    for (let part = 0; offset < BYTES; part++) {
      if (part % 2 === 0) disk = disk.kill();
      const writer = await storeOn(disk).writer(1, richMeta(8), { token: "t" });
      assertEquals(writer.offset, offset);
      offset = Math.min(BYTES, offset + 77_777);
      await writer.write(DATA.subarray(writer.offset, offset));
      if (offset < BYTES) await writer.suspend();
      else await writer.commit();
    }
    await assertStored(disk, DATA);
  });

  it("is not seen, and leaves what was stored before alone", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 100)]);
    await suspend(store, DATA);
    const { store: again } = await openOn(disk);
    assertEquals(again.files(1), store.files(1));
  });

  it("is dropped when another one begins, be it of the same index (H65)", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await suspend(store, DATA.subarray(0, 400_000), "one leader");
    const other = dataOf(9, BYTES);
    const token = "another leader";
    const writer = await store.writer(1, richMeta(8), { token });
    assertEquals(writer.offset, 0);
    await writer.write(other);
    await writer.commit();
    await assertStored(disk, other);
  });

  it("is not gone on with under other meta data", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await suspend(store, DATA);
    const meta = richMeta(8);
    const conf = { ...meta.conf, removed: [77] };
    const options = { token: "t" };
    const writer = await store.writer(1, { ...meta, conf }, options);
    assertEquals(writer.offset, 0);
    await writer.abort();
    assertEquals(disk.paths(), []);
  });

  it("stays while the member takes a snapshot of its own below it", async () => {
    const disk = new FakeFileSystem();
    const store = storeOn(disk);
    await suspend(store, DATA.subarray(0, 400_000));
    await storeSnapshot(store, 1, richMeta(5), [dataOf(5, 100)]);
    const writer = await store.writer(1, richMeta(8), { token: "t" });
    assertEquals(writer.offset, 400_000);
    await writer.suspend();
    // One at or above it makes it useless.
    await storeSnapshot(store, 1, richMeta(8), [dataOf(8, 100)]);
    assertEquals(disk.paths().filter((it) => it.endsWith(".part")), []);
  });

  it("is gone on with in front of the first byte that is damaged", async () => {
    const whole = new FakeFileSystem();
    const parts = [0, 300, 600, 900].map((at) => DATA.subarray(at, at + 300));
    for (const [i, part] of parts.entries()) {
      const store = storeOn(whole);
      const writer = await store.writer(1, richMeta(8), { token: "t" });
      assertEquals(writer.offset, i * 300);
      await writer.write(part);
      await writer.suspend();
    }
    const path = draftOf(whole);
    const bytes = whole.get(path);
    const start = bytes.length - 4 * 308;
    for (let at = 0; at < bytes.length; at += 7) {
      for (const isCut of [true, false]) {
        const disk = whole.kill();
        const changed = isCut ? bytes.slice(0, at) : bytes.slice();
        if (!isCut) changed[at] = (changed[at] ?? 0) ^ 0x10;
        disk.put(path, changed);
        const store = storeOn(disk);
        const writer = await store.writer(1, richMeta(8), { token: "t" });
        const intact = Math.max(0, Math.floor((at - start) / 308)) * 300;
        assertEquals(writer.offset, intact, `damage at ${at}`);
        await writer.write(DATA.subarray(0, 1000), 0);
        await writer.commit();
        await assertStored(disk, DATA.subarray(0, 1000));
      }
    }
  });

  it("of a finished draft that was never renamed is taken over whole", async () => {
    const disk = new FakeFileSystem();
    const writer = await storeOn(disk).writer(1, richMeta(8), { token: "t" });
    await writer.write(DATA);
    const copy = new Promise<FakeFileSystem>((resolve) => {
      disk.onOperation = ({ type }) => {
        if (type === "rename") resolve(disk.kill());
      };
    });
    await writer.commit();
    const killed = await copy;
    const again = await storeOn(killed).writer(1, richMeta(8), { token: "t" });
    assertEquals(again.offset, BYTES);
    await again.commit();
    await assertStored(killed, DATA);
  });
});
