import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { EMPTY_CONF, type Entry, type Ready } from "../../src/core/mod.ts";
import { CommittedLog } from "../../src/sim/committed_log.ts";
import { type CrashLoss, SimDevice } from "../../src/sim/device.ts";
import { SimDisk } from "../../src/sim/disk.ts";
import { type DiskOptions, SimRandom } from "../../src/sim/mod.ts";

const OPTIONS: DiskOptions = {
  minFlushMs: 10,
  spreadMs: 0,
  loadMs: 0,
  loadFailPermille: 0,
  loadShortPermille: 0,
  keepPrefixPermille: 0,
  tornPermille: 0,
  reorderGroups: false,
  devicePerGroup: false,
};

function newDisk(): SimDisk {
  const committed = new CommittedLog(EMPTY_CONF);
  return new SimDisk({ committed, omittedDigest: () => 0 });
}

/** A disk on a device of its own. */
class Setup {
  readonly disk = newDisk();
  readonly device: SimDevice;

  constructor(options: Partial<DiskOptions> = {}, seed = 1) {
    const random = new SimRandom(seed);
    this.device = new SimDevice({ ...OPTIONS, ...options }, random);
  }

  /** Returns in how many milliseconds the write will be done. */
  write(number: number, parts: Partial<Ready>, now: number) {
    this.device.add(this.disk, ready(number, parts));
    return this.device.flush(now);
  }

  /** Returns the numbers of the writes that are done. */
  complete(now: number): number[] {
    return this.device.complete(now).done.map(({ write }) => write.number);
  }

  crash(): CrashLoss {
    const loss = this.device.crash();
    this.disk.revert();
    return loss;
  }
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

describe("SimDevice", () => {
  it("shows a write at once, keeps it only when its time has come", () => {
    const setup = new Setup();
    const { disk } = setup;
    assertEquals(setup.write(1, { entries: [entry(1, 1)] }, 100), 10);
    assertEquals(terms(disk.written), [1]);
    assertEquals(setup.complete(109), []);
    assertEquals(terms(disk.durable), []);
    assertEquals(disk.pendingCount, 1);
    assertEquals(setup.complete(110), [1]);
    assertEquals(terms(disk.durable), [1]);
    assertEquals(disk.pendingCount, 0);
  });

  it("completes writes in order, also when a later one would be quicker", () => {
    const setup = new Setup();
    setup.device.slowness = 10;
    setup.write(1, { entries: [entry(1, 1)] }, 0);
    setup.device.slowness = 1;
    assertEquals(setup.write(2, { entries: [entry(2, 1)] }, 0), 100);
    assertEquals(setup.complete(99), []);
    assertEquals(setup.complete(100), [1, 2]);
  });

  it("loses on a crash what was not flushed (H45)", () => {
    const setup = new Setup();
    const { disk } = setup;
    const hardState = { term: 2, vote: 1, commit: 0 };
    setup.write(1, { entries: [entry(1, 1), entry(2, 1)] }, 0);
    setup.complete(10);
    setup.write(2, { hardState, entries: [entry(2, 2)] }, 10);
    const { lost, kept } = setup.crash();
    assertEquals([lost.length, kept.length], [1, 0]);
    assertEquals(terms(disk.durable), [1, 1]);
    assertEquals(terms(disk.written), [1, 1]);
    assertEquals(disk.hardState.term, 0);
    assertEquals(disk.pendingCount, 0);
    assertEquals(setup.complete(1_000), []);
  });

  it("may keep whole writes in order, never a later without an earlier", () => {
    const lengths = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const setup = new Setup({ keepPrefixPermille: 1_000 }, seed);
      for (let i = 1; i <= 3; i++) {
        setup.write(i, { entries: [entry(i, i)] }, 0);
      }
      setup.crash();
      const { durable } = setup.disk;
      lengths.add(durable.lastIndex);
      assertEquals(terms(durable), [1, 2, 3].slice(0, durable.lastIndex));
    }
    assertEquals([...lengths].sort(), [0, 1, 2, 3]);
  });

  it("may lose what nobody waited for although it was done", () => {
    const setup = new Setup();
    const hardState = { term: 1, vote: null, commit: 1 };
    setup.write(1, { hardState, mustSync: false }, 0);
    assertEquals(setup.complete(10), [1]);
    setup.crash();
    assertEquals(setup.disk.hardState.commit, 0);
  });

  it("a synced write takes along what came before it", () => {
    const setup = new Setup();
    const hardState = { term: 1, vote: null, commit: 1 };
    setup.write(1, { hardState, mustSync: false }, 0);
    setup.write(2, { entries: [entry(1, 1)] }, 0);
    setup.complete(10);
    setup.crash();
    assertEquals(setup.disk.hardState.commit, 1);
    assertEquals(terms(setup.disk.durable), [1]);
  });

  it("hangs in silence until it is healed (H20)", () => {
    const setup = new Setup();
    setup.write(1, { entries: [entry(1, 1)] }, 0);
    setup.device.hang();
    assertEquals(setup.write(2, { entries: [entry(2, 1)] }, 0), undefined);
    assertEquals(setup.complete(1e6), []);
    setup.device.heal(1e6);
    assertEquals(setup.complete(1e6), [1, 2]);
  });

  it("a failed write ends everything behind it (H44)", () => {
    const setup = new Setup();
    setup.write(1, { entries: [entry(1, 1)] }, 0);
    setup.device.willFail = true;
    setup.write(2, { entries: [entry(2, 1)] }, 0);
    setup.write(3, { entries: [entry(3, 1)] }, 0);
    const { done, failed } = setup.device.complete(1_000);
    assertEquals([done.length, failed], [1, true]);
    setup.crash();
    assertEquals(terms(setup.disk.durable), [1]);
    setup.write(1, { entries: [entry(2, 2)] }, 2_000);
    assertEquals(setup.device.complete(3_000).failed, false);
  });

  it("groups share a flush, and a crash between their parts", () => {
    const survivors = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const { device, disk } = new Setup(
        { keepPrefixPermille: 1_000, reorderGroups: true },
        seed,
      );
      const other = newDisk();
      device.add(disk, ready(1, { entries: [entry(1, 1)] }));
      device.add(other, ready(1, { entries: [entry(1, 1)] }));
      assertEquals(device.flush(0), 10);
      device.crash();
      survivors.add(`${disk.durable.lastIndex}${other.durable.lastIndex}`);
    }
    assertEquals([...survivors].sort(), ["00", "01", "10", "11"]);
  });
});

describe("SimDisk", () => {
  it("restores what is durable: term runs, and a tail within its bytes", () => {
    const setup = new Setup();
    const log = [1, 1, 2, 5, 5].map((term, i) => entry(i + 1, term));
    setup.write(1, { entries: log }, 0);
    setup.complete(10);
    const conf = { ...EMPTY_CONF, voters: [1] };
    const restored = setup.disk.restore(conf, 0, undefined, 70);
    assertEquals(restored.lastIndex, 5);
    assertEquals(restored.termRuns, [
      { term: 1, firstIndex: 1 },
      { term: 2, firstIndex: 3 },
      { term: 5, firstIndex: 4 },
    ]);
    assertEquals(restored.tail, log.slice(3));
    assertEquals(setup.disk.restore(conf, 0, undefined, 0).tail, []);
  });

  it("loads at least one entry, then what fits", () => {
    const log = [1, 1, 1, 1].map((term, i) => entry(i + 1, term));
    const load = { id: 1, purpose: 2, from: 2, through: 4, maxBytes: 64 };
    const disk = newDisk();
    disk.write(ready(1, { entries: log }));
    assertEquals(disk.load(load), log.slice(1, 3));
    assertEquals(disk.load({ ...load, maxBytes: 0 }), [log[1]]);
  });

  it("tells logs with equal ends and different middles apart", () => {
    const one = newDisk();
    const two = newDisk();
    one.write(ready(1, { entries: [entry(1, 1), entry(2, 3)] }));
    two.write(ready(1, { entries: [entry(1, 2), entry(2, 3)] }));
    assert(one.written.digestAt(2) !== two.written.digestAt(2));
  });

  it("a write that was left half done is noticed and cut off (H47)", () => {
    const setup = new Setup({ tornPermille: 1_000 });
    setup.write(1, { entries: [entry(1, 1)] }, 0);
    setup.complete(10);
    setup.write(2, { entries: [entry(2, 1)] }, 10);
    setup.crash();
    assertEquals(setup.disk.repairTail(), true);
    assertEquals(setup.disk.repairTail(), false);
    assertEquals(terms(setup.disk.durable), [1]);
  });

  it("what has rotted is never read, until it is mended or replaced (H62)", () => {
    const setup = new Setup();
    const { disk } = setup;
    const data = Uint8Array.of(1, 2, 3);
    const log = [1, 2, 3].map((index): Entry => ({
      type: "command",
      index,
      term: 1,
      data,
    }));
    setup.write(1, { entries: log }, 0);
    setup.complete(10);
    const load = { id: 1, purpose: 2, from: 1, through: 3, maxBytes: 1e6 };
    assertEquals(disk.rot(2), 2);
    assertEquals(disk.isRotten, true);
    assertEquals(disk.load(load), undefined);
    assertEquals(disk.load({ ...load, through: 1 }), log.slice(0, 1));
    disk.mend();
    assertEquals(disk.load(load), log);
    assertEquals(disk.rot(3), 3);
    setup.write(2, { entries: [entry(3, 2)] }, 10);
    assertEquals(disk.isRotten, false);
  });

  it("a snapshot rots too, until there is another one (H62)", () => {
    const disk = newDisk();
    assertEquals(disk.rotSnapshot(), false);
    const meta = { index: 1, term: 1, conf: EMPTY_CONF };
    disk.compact({ meta, data: Uint8Array.of(1) }, 0);
    assertEquals(disk.rotSnapshot(), true);
    assertEquals([disk.isRotten, disk.isSnapshotRotten], [true, true]);
    disk.compact({ meta: { ...meta, index: 2 }, data: Uint8Array.of(2) }, 0);
    assertEquals([disk.isRotten, disk.isSnapshotRotten], [false, false]);
  });
});
