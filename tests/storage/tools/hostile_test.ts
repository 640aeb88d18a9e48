/**
 * Directories that nobody wrote like this: what the tools say of them is what
 * opening does, and no name or link leads them astray.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { inspect, planRepair, Refusal, verify } from "@balsa/raft/tools";
import { flip, keepSnapshot, makeLog, openLog } from "./logs.ts";
import { fingerprint, type Site, withSite } from "./support.ts";

const SNAPSHOT = "snapshots/1/0000000000000060-2.snap";

/** Several segments and a snapshot, closed in order. */
async function soundLog(site: Site): Promise<void> {
  const storage = await makeLog(site.path("log"));
  await keepSnapshot(storage, 1, 60);
  await storage.compact(1, 50);
  await storage.close();
}

/** Does the same to a copy of the log for each. */
async function forEachCopy(
  site: Site,
  changes: Readonly<Record<string, (directory: string) => void>>,
  check: (directory: string, name: string) => Promise<void>,
): Promise<void> {
  await soundLog(site);
  for (const [name, change] of Object.entries(changes)) {
    site.copy("log", "copy");
    change(site.path("copy"));
    await check(site.path("copy"), name);
    site.destroy("copy");
  }
}

function replace(path: string, put: (path: string) => void): void {
  rmSync(path, { recursive: true, force: true });
  put(path);
}

/** Whether a member could use it. */
async function opens(directory: string): Promise<boolean> {
  try {
    await (await openLog(directory)).close();
    return true;
  } catch {
    return false;
  }
}

describe("verify", () => {
  it("finds nothing wrong where there is only more than is needed", () =>
    withSite((site) =>
      forEachCopy(site, {
        "a folder of no group": (it) => {
          cpSync(join(it, "snapshots/1"), join(it, "snapshots/abc"), {
            recursive: true,
          });
        },
        "snapshots of a group that is not there": (it) => {
          cpSync(join(it, "snapshots/1"), join(it, "snapshots/9"), {
            recursive: true,
          });
        },
        "a file among the folders": (it) =>
          writeFileSync(join(it, "snapshots/note"), "mine"),
        "a folder instead of an index": (it) =>
          replace(join(it, "0000000000000001.idx"), (at) => mkdirSync(at)),
        "other files": (it) => writeFileSync(join(it, "1.wal"), "mine"),
      }, async (directory, name) => {
        const before = fingerprint(directory);
        const { problems, verdict } = await verify(directory);
        assertEquals(verdict.type, "opens", name);
        assert(problems.every(({ type }) => type === "leftover"), name);
        await inspect(directory);
        assertEquals(fingerprint(directory), before, name);
        assert(await opens(directory), name);
      })
    ));

  it("lists what cannot be read, and goes on; repair leaves that alone", () =>
    withSite((site) =>
      forEachCopy(
        site,
        Object.fromEntries(
          ["identity", "closed", "0000000000000003.wal", SNAPSHOT].flatMap(
            (file) => [
              [`${file} is a folder`, (it: string) =>
                replace(join(it, file), (at) => mkdirSync(at))],
              [`${file} is a link to itself`, (it: string) =>
                replace(join(it, file), (at) =>
                  symlinkSync(at, at))],
            ],
          ),
        ),
        async (directory, name) => {
          const { problems, verdict } = await verify(directory);
          const file = join(directory, name.slice(0, name.indexOf(" ")));
          assert(
            problems.some((it) =>
              it.file === file
            ),
            name,
          );
          assertEquals(verdict.type, "refused", name);
          // It may be readable for somebody else, or tomorrow.
          await assertRejects(() =>
            planRepair(directory), Refusal);
          assert(!await opens(directory), name);
        },
      )
    ));

  it("is not led astray by the highest number there is", () =>
    withSite((site) =>
      forEachCopy(site, {
        far: (it) => writeFileSync(join(it, "9000000000000000.wal"), ""),
      }, async (directory) => {
        const { problems, verdict } = await verify(directory);
        assert(problems.length < 10);
        assertEquals(verdict.type, "refused");
        assert(!await opens(directory));
      })
    ));

  it("says of each damage what opening does", () =>
    withSite(async (site) => {
      await soundLog(site);
      const files = readdirSync(site.path("log"))
        .filter((name) => /wal$|idx$|identity|closed/.test(name));
      let seed = 7;
      const draw = (below: number) => {
        seed = (seed * 48_271) % 0x7fff_ffff;
        return seed % below;
      };
      const outcomes = new Set<boolean>();
      for (const name of [...files, ...files, SNAPSHOT, SNAPSHOT]) {
        site.copy("log", "copy");
        const file = join(site.path("copy"), name);
        const { length } = readFileSync(file);
        if (draw(3) === 0) truncateSync(file, draw(length));
        else flip(file, draw(Math.min(length, 2_500)));
        const { problems, verdict } = await verify(site.path("copy"));
        const isOpen = await opens(site.path("copy"));
        assertEquals(verdict.type === "opens", isOpen, name);
        assert(isOpen || problems.length > 0, `${name} is not named`);
        outcomes.add(isOpen);
        site.destroy("copy");
      }
      assertEquals(outcomes.size, 2);
    }));
});
