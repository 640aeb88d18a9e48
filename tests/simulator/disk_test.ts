import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EMPTY_CONF, type Entry, type Ready } from "../../src/core/mod.ts";
import { SimDisk } from "../../src/sim/disk.ts";
import { type DiskOptions, SimRandom } from "../../src/sim/mod.ts";

const OPTIONS: DiskOptions = {
  minFlushMs: 10,
  spreadMs: 0,
  loadMs: 0,
  loadFailPermille: 0,
  loadShortPermille: 0,
  keepPrefixPermille: 0,
};

function newDisk(options: Partial<DiskOptions> = {}): SimDisk {
  return new SimDisk({ ...OPTIONS, ...options }, new SimRandom(1));
}

function entry(index: number, term: number): Entry {
  return { type: "noop", index, term };
}

function ready(number: number, parts: Partial<Ready>): Ready {
  return {
    number,
    entries: [],
    mustSync: true,
    messages: [],
    messagesAfterPersist: [],
    committedEntries: [],
    readStates: [],
    loads: [],
    ...parts,
  };
}

function terms(log: SimDisk["durable"]): number[] {
  return Array.from({ length: log.lastIndex }, (_, i) => log.termAt(i + 1));
}

describe("SimDisk", () => {
  it("shows a write at once, keeps it only when its time has come", () => {
    const disk = newDisk();
    assertEquals(disk.write(ready(1, { entries: [entry(1, 1)] }), 100), 10);
    assertEquals(terms(disk.written), [1]);
    assertEquals(disk.complete(109), undefined);
    assertEquals(terms(disk.durable), []);
    assertEquals(disk.complete(110)?.number, 1);
    assertEquals(terms(disk.durable), [1]);
  });

  it("completes writes in order, also when a later one would be quicker", () => {
    const disk = newDisk();
    disk.slowness = 10;
    disk.write(ready(1, { entries: [entry(1, 1)] }), 0);
    disk.slowness = 1;
    assertEquals(disk.write(ready(2, { entries: [entry(2, 1)] }), 0), 100);
    assertEquals(disk.complete(99), undefined);
    assertEquals(disk.complete(100)?.number, 1);
    assertEquals(disk.complete(100)?.number, 2);
  });

  it("loses on a crash what was not flushed (H45)", () => {
    const disk = newDisk();
    const hardState = { term: 2, vote: 1, commit: 0 };
    disk.write(ready(1, { entries: [entry(1, 1), entry(2, 1)] }), 0);
    disk.complete(10);
    disk.write(ready(2, { hardState, entries: [entry(2, 2)] }), 10);
    const { lost, kept } = disk.crash();
    assertEquals([lost.length, kept.length], [1, 0]);
    assertEquals(terms(disk.durable), [1, 1]);
    assertEquals(terms(disk.written), [1, 1]);
    assertEquals(disk.hardState.term, 0);
    assertEquals(disk.complete(1_000), undefined);
  });

  it("may keep whole writes in order, never a later without an earlier", () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const disk = new SimDisk(
        { ...OPTIONS, keepPrefixPermille: 1_000 },
        new SimRandom(seed),
      );
      for (let i = 1; i <= 3; i++) {
        disk.write(ready(i, { entries: [entry(i, i)] }), 0);
      }
      disk.crash();
      lengths.add(disk.durable.lastIndex);
      const expected = [1, 2, 3].slice(0, disk.durable.lastIndex);
      assertEquals(terms(disk.durable), expected);
    }
    assertEquals([...lengths].sort(), [0, 1, 2, 3]);
  });

  it("may lose what nobody waited for although it was done", () => {
    const disk = newDisk();
    const hardState = { term: 1, vote: null, commit: 1 };
    disk.write(ready(1, { hardState, mustSync: false }), 0);
    assertEquals(disk.complete(10)?.number, 1);
    disk.crash();
    assertEquals(disk.hardState.commit, 0);
  });

  it("a synced write takes along what came before it", () => {
    const disk = newDisk();
    const hardState = { term: 1, vote: null, commit: 1 };
    disk.write(ready(1, { hardState, mustSync: false }), 0);
    disk.write(ready(2, { entries: [entry(1, 1)] }), 0);
    disk.complete(10);
    disk.complete(10);
    disk.crash();
    assertEquals(disk.hardState.commit, 1);
    assertEquals(terms(disk.durable), [1]);
  });

  it("restores what is durable: term runs, and a tail within its bytes", () => {
    const disk = newDisk();
    const log = [1, 1, 2, 5, 5].map((term, i) => entry(i + 1, term));
    disk.write(ready(1, { entries: log }), 0);
    disk.complete(10);
    const conf = { ...EMPTY_CONF, voters: [1] };
    const restored = disk.restore(conf, 0, 70);
    assertEquals(restored.lastIndex, 5);
    assertEquals(restored.termRuns, [
      { term: 1, firstIndex: 1 },
      { term: 2, firstIndex: 3 },
      { term: 5, firstIndex: 4 },
    ]);
    assertEquals(restored.tail, log.slice(3));
    assertEquals(disk.restore(conf, 0, 0).tail, []);
  });

  it("loads at least one entry, then what fits, sometimes less (H37)", () => {
    const log = [1, 1, 1, 1].map((term, i) => entry(i + 1, term));
    const load = { id: 1, purpose: 2, from: 2, through: 4, maxBytes: 64 };
    const disk = newDisk();
    disk.write(ready(1, { entries: log }), 0);
    assertEquals(disk.load(load).entries, log.slice(1, 3));
    assertEquals(disk.load({ ...load, maxBytes: 0 }).entries, [log[1]]);
    const short = newDisk({ loadShortPermille: 1_000 });
    short.write(ready(1, { entries: log }), 0);
    assertEquals(short.load(load), { entries: [entry(2, 1)], isShort: true });
  });

  it("tells logs with equal ends and different middles apart", () => {
    const one = newDisk();
    const two = newDisk();
    one.write(ready(1, { entries: [entry(1, 1), entry(2, 3)] }), 0);
    two.write(ready(1, { entries: [entry(1, 2), entry(2, 3)] }), 0);
    assert(one.written.digestAt(2) !== two.written.digestAt(2));
  });
});
