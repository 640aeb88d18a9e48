import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, it } from "node:test";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  dump,
  inspect,
  planRepair,
  Refusal,
  repair,
  verify,
} from "@balsa/raft/tools";
import {
  ENTRY_COUNT,
  entryAt,
  flip,
  keepSnapshot,
  makeLog,
  openLog,
} from "./logs.ts";
import { fill, fingerprint, founders, withSite } from "./support.ts";

/** Segments of a directory, oldest first. */
function segments(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.endsWith(".wal")).sort()
    .map((name) => join(directory, name));
}

/** A closed log of some segments, and the middle one of them. */
async function closedLog(directory: string): Promise<string> {
  const storage = await makeLog(directory);
  await storage.close();
  const all = segments(directory);
  assert(all.length >= 4, `there are only ${all.length} segments`);
  return all[Math.floor(all.length / 2)] ?? "";
}

describe("verify", () => {
  it("finds nothing wrong with a log, closed or in use, and changes nothing", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const storage = await makeLog(directory);
      const used = await verify(directory);
      assertEquals(used.problems, []);
      assertEquals(used.verdict.type, "opens");
      assertEquals(used.heldBy, process.pid);
      assertEquals(used.entries, 2 * ENTRY_COUNT);
      await storage.close();
      const before = fingerprint(directory);
      const closed = await verify(directory);
      assertEquals(fingerprint(directory), before);
      assertEquals(closed.problems, []);
      assertEquals([closed.verdict.type, closed.heldBy], ["opens", null]);
      assertEquals(closed.segments, segments(directory).length);
    }));

  it("looks at a log that is written to meanwhile as at one moment", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const storage = await makeLog(directory);
      let isOver = false;
      const writing = (async () => {
        for (let index = ENTRY_COUNT + 1; !isOver; index++) {
          await storage.write([{ group: 1, entries: [entryAt(1, index)] }]);
        }
      })();
      for (let look = 0; look < 5; look++) {
        const { problems, verdict } = await verify(directory);
        const damage = problems.filter(({ type }) => type === "damage");
        assertEquals([damage, verdict.type], [[], "opens"]);
        const { groups: [one] } = await inspect(directory);
        assert((one?.lastIndex ?? 0) >= ENTRY_COUNT);
      }
      isOver = true;
      await writing;
      await storage.close();
    }));

  it("looks at a log that is cut behind snapshots meanwhile", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const storage = await makeLog(directory);
      let isOver = false;
      const writing = (async () => {
        for (let index = ENTRY_COUNT + 1; !isOver; index++) {
          const entries = [entryAt(1, index)];
          await storage.write([{ group: 1, entries }]);
          if (index % 50 !== 0) continue;
          await keepSnapshot(storage, 1, index);
          await storage.compact(1, index - 10);
        }
      })();
      for (let look = 0; look < 5; look++) {
        const { problems, verdict } = await verify(directory);
        const damage = problems.filter(({ type }) => type === "damage");
        assertEquals([damage, verdict.type], [[], "opens"]);
      }
      isOver = true;
      await writing;
      await storage.close();
      assertEquals((await verify(directory)).problems, []);
    }));

  it("lists every damage with file and offset, not only the first (H48)", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      await closedLog(directory);
      const [first = "", , third = ""] = segments(directory);
      flip(first, 1_000);
      flip(third, 2_000);
      flip(third, 5_000);
      const { problems } = await verify(directory);
      const places = problems.map(({ file }) => file);
      assertEquals(new Set(places), new Set([first, third]));
      assert(places.filter((file) => file === third).length >= 2);
      for (const { offset, type } of problems) {
        assert(offset > 0);
        assertEquals(type, "damage");
      }
    }));

  it("notices each flipped byte of what was written", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const middle = await closedLog(directory);
      const bytes = readFileSync(middle);
      const end = bytes.findLastIndex((byte) => byte !== 0);
      for (let offset = 0; offset <= end; offset += 97) {
        flip(middle, offset);
        const { problems } = await verify(directory);
        const damage = problems.filter(({ type }) => type === "damage");
        assert(damage.length > 0, `byte ${offset} was not noticed`);
        flip(middle, offset);
      }
    }));

  it("names missing files, and refuses what is no data directory", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const middle = await closedLog(directory);
      rmSync(middle);
      const { problems } = await verify(directory);
      assert(
        problems.some(({ file, what }) =>
          file === middle && what === "the segment is missing"
        ),
      );
      rmSync(join(directory, "identity"));
      const second = await verify(directory);
      assertMatch(second.problems[0]?.what ?? "", /identity.*is missing/);
      await assertRejects(() => verify(site.path("none")), RangeError);
    }));
});

describe("repair", () => {
  it("says what it would drop, and changes nothing", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const middle = await closedLog(directory);
      flip(middle, 2_000);
      const before = fingerprint(directory);
      const plan = await planRepair(directory);
      assertEquals(fingerprint(directory), before);
      assert(plan.isNeeded);
      const [cut] = plan.dropped;
      assertEquals(cut?.file, middle);
      assert((cut?.offset ?? 0) > 0 && (cut?.offset ?? 0) <= 2_000);
      assertEquals(plan.groups.map(({ others }) => others), [[2], [2]]);
    }));

  it("saves all before the damage, keeps the original, writes a report", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const middle = await closedLog(directory);
      flip(middle, 2_000);
      const before = fingerprint(directory);
      const outcome = await repair(directory);
      assertEquals(fingerprint(outcome.kept), before);
      const report = JSON.parse(readFileSync(outcome.report, "utf8"));
      assertEquals(report.dropped[0].file, middle);
      const found = await inspect(directory);
      assertEquals(found.incarnation, outcome.incarnation);
      const ends = found.groups.map(({ lastIndex }) => lastIndex);
      assert(Math.min(...ends) > 10 && Math.min(...ends) < ENTRY_COUNT);
      for (const { group, lastIndex, hardState } of found.groups) {
        assertEquals(hardState.term, 2);
        assert(hardState.commit <= lastIndex);
        let index = 0;
        for await (const entry of dump(directory, { group })) {
          index++;
          const wanted = entryAt(group, index);
          assertEquals([entry.index, entry.term], [index, wanted.term]);
        }
        assertEquals(index, lastIndex);
      }
      await (await openLog(directory)).close();
      assertEquals((await verify(directory)).problems, []);
    }));

  it("gives the directory a new incarnation: the group does not know it (H48, H80)", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      flip(await closedLog(directory), 2_000);
      const storage = await makeLog(site.path("other"));
      await storage.close();
      const { kept, incarnation } = await repair(directory);
      const header = readFileSync(join(kept, "identity"));
      const former = header.subarray(16, 32).toString("hex");
      assert(former !== incarnation);
    }));

  it("goes around every kind of damage, and never saves anything wrong", () =>
    withSite(async (site) => {
      await closedLog(site.path("log"));
      const spoil: readonly ((directory: string) => void)[] = [
        (it) => rmSync(join(it, "identity")),
        (it) => flip(join(it, "identity"), 20),
        (it) => flip(join(it, "closed"), 40),
        (it) => rmSync(segments(it)[2] ?? ""),
        (it) => flip(segments(it)[2] ?? "", 3),
        (it) => flip(segments(it).at(-2) ?? "", 300),
      ];
      for (const [at, damage] of spoil.entries()) {
        site.copy("log", `copy-${at}`);
        const directory = site.path(`copy-${at}`);
        damage(directory);
        const plan = await planRepair(directory);
        assertEquals(plan.groups.length, 2, `damage ${at}`);
        // A checkpoint, say, is not needed while its segment's index is there.
        if (plan.isNeeded) await repair(directory);
        else assertEquals(plan.groups.map((it) => it.lastIndex), [100, 100]);
        for (const { group } of plan.groups) {
          for await (const entry of dump(directory, { group })) {
            const wanted = entryAt(group, entry.index);
            const data = wanted.type === "command"
              ? Buffer.from(wanted.data).toString("base64")
              : "";
            assertEquals(entry.payload, data);
          }
        }
      }
    }));

  it("saves the other groups if the snapshot of one is damaged", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      const storage = await makeLog(directory);
      await keepSnapshot(storage, 1, 90);
      await storage.compact(1, 80);
      await storage.close();
      const { snapshots: [snapshot] } = await inspect(directory);
      assert(snapshot !== undefined);
      flip(snapshot.file, snapshot.bytes - 30);
      const { groups, lostGroups, dropped } = await repair(directory);
      assertEquals(lostGroups, [1]);
      assertEquals(dropped[0]?.file, snapshot.file);
      const saved = groups.map((it) => [it.group, it.lastIndex]);
      assertEquals(saved, [[2, ENTRY_COUNT]]);
      const found = await inspect(directory);
      assertEquals(found.groups.map(({ group }) => group), [2]);
    }));

  it("refuses a log whose only snapshot is damaged, and names it (H54)", () =>
    withSite(async (site) => {
      const directory = site.path("member");
      const only = await site.start("member", "orders", {
        node: 1,
        members: founders(1),
        snapshotTrailing: 0,
      });
      await fill(only.group, "key", 5);
      await only.group.snapshot();
      await fill(only.group, "more", 5);
      await site.stop(only);
      const { snapshots: [snapshot] } = await inspect(directory);
      assert(snapshot !== undefined);
      flip(snapshot.file, snapshot.bytes - 30);
      const { problems, verdict } = await verify(directory);
      assert(problems.some(({ file }) => file === snapshot.file));
      assertEquals(verdict.type, "refused");
      const error = await assertRejects(() => repair(directory));
      assert(error instanceof Refusal, String(error));
      assertMatch(error.message, /nothing is left before the damage: .*\.snap/);
    }));

  it("refuses what opens, what is in use, and what nothing is left of (H49)", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      await closedLog(directory);
      const whole = await assertRejects(() => repair(directory));
      assert(whole instanceof Refusal);
      assertMatch(whole.message, /it opens as it is/);
      const storage = await openLog(directory);
      const used = await assertRejects(() => repair(directory));
      assert(used instanceof Refusal);
      assertMatch(used.message, /process \d+ uses it/);
      await storage.close();
      flip(segments(directory)[0] ?? "", 60);
      const before = fingerprint(directory);
      const hopeless = await assertRejects(() => repair(directory));
      assert(hopeless instanceof Refusal, String(hopeless));
      assertEquals(fingerprint(directory), before);
      assert(!existsSync(`${directory}.new`));
    }));
});
