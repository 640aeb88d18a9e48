/**
 * A directory that takes another one's place: cut short anywhere, it leaves
 * the old one or the new one, whole.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  forceNewCluster,
  type ForceOptions,
  inspect,
  planForceNewCluster,
  planRepair,
  Refusal,
  repair,
  restore,
} from "@balsa/raft/tools";
import { replaceDirectory } from "../../../storage/tools/replace_directory.ts";
import { flip, makeLog, openLog } from "./logs.ts";
import { fingerprint, type Site, withSite } from "./support.ts";

/** What to make of the log of {@linkcode madeLog}. */
function optionsFor(directory: string): ForceOptions {
  const groups = [{ group: 1, node: 7 }, { group: 2, node: 7 }];
  return { directory, groups, deployment: "orders-2" };
}

async function madeLog(site: Site): Promise<string> {
  const directory = site.path("log");
  await (await makeLog(directory)).close();
  return directory;
}

/** Names beside the directory that a tool made. */
function besides(site: Site): string[] {
  return readdirSync(site.directory).filter((it) => it.startsWith("log."));
}

/** As a process leaves it that is killed between the two renames. */
async function killedBetween(site: Site): Promise<string> {
  const directory = await madeLog(site);
  const { kept } = await forceNewCluster(optionsFor(directory));
  const stamp = kept.slice(kept.lastIndexOf("-") + 1);
  renameSync(directory, `${directory}.new-${stamp}`);
  return kept;
}

describe("a replacement", () => {
  it("that was killed between its renames is named, and begun anew", () =>
    withSite(async (site) => {
      const kept = await killedBetween(site);
      const directory = site.path("log");
      const before = fingerprint(kept);
      const looks = [
        () => inspect(directory),
        () => planForceNewCluster(optionsFor(directory)),
        () => planRepair(directory),
      ];
      for (const look of looks) {
        const refusal = await assertRejects(look, Refusal, "was cut short");
        assert(refusal.message.includes(kept));
      }
      assert(!existsSync(directory));
      const outcome = await forceNewCluster(optionsFor(directory));
      assertEquals(fingerprint(outcome.kept), before);
      const { deployment, groups } = await inspect(directory);
      assertEquals(deployment, "orders-2");
      assertEquals(groups.map(({ node }) => node), [7, 7]);
      assertEquals(besides(site).length, 1);
    }));

  it("that was killed before them is made anew; its draft is called one", () =>
    withSite(async (site) => {
      const directory = await madeLog(site);
      const names: string[] = [];
      await replaceDirectory(directory, "test", () =>
        Promise.resolve({
          deployment: "orders",
          fill: () => {
            names.push(...besides(site));
            return Promise.resolve();
          },
        }));
      assertEquals(names.map((it) => it.replace(/-.*/, "")), ["log.part"]);
    }));

  it("that cannot be put in place leaves the old one, free and alone", () =>
    withSite(async (site) => {
      const directory = await madeLog(site);
      const before = fingerprint(directory);
      let isEnded = false;
      const failing = replaceDirectory(
        directory,
        "test",
        () =>
          Promise.resolve({
            deployment: "orders",
            fill: () => Promise.resolve(),
            announce: ({ kept }) => {
              mkdirSync(join(kept ?? "", "taken"), { recursive: true });
              return Promise.resolve();
            },
            end: () => {
              isEnded = true;
              return Promise.resolve();
            },
          }),
      );
      await assertRejects(() => failing, Error);
      assert(isEnded);
      assertEquals(fingerprint(directory), before);
      assertEquals(besides(site).map((it) => it.replace(/-.*/, "")), [
        "log.before",
      ]);
      await (await openLog(directory)).close();
    }));

  it("locks first: what it copies cannot change any more", () =>
    withSite(async (site) => {
      const directory = await madeLog(site);
      await replaceDirectory(directory, "test", async () => {
        await assertRejects(() => openLog(directory), Error, "is using it");
        return { deployment: "orders", fill: () => Promise.resolve() };
      });
    }));

  it("happens where a link leads to, on the same disk; the link stays", () =>
    withSite(async (site) => {
      const directory = await madeLog(site);
      const link = join(site.directory, "link");
      symlinkSync(directory, link);
      const { kept } = await forceNewCluster(optionsFor(link));
      assert(lstatSync(link).isSymbolicLink());
      assert(kept.startsWith(`${directory}.before-force-`));
      assertEquals((await inspect(link)).deployment, "orders-2");
    }));
});

describe("repair", () => {
  it("has written its report before anything is swapped", () =>
    withSite(async (site) => {
      const directory = await madeLog(site);
      flip(join(directory, "0000000000000003.wal"), 2_000);
      const before = fingerprint(directory);
      const stamps = Array.from({ length: 5 }, (_, i) => Date.now() + i * 1e3);
      for (const at of stamps) {
        const stamp = new Date(at).toISOString().replace(/[-:]|\..*/g, "");
        writeFileSync(`${directory}.repair-${stamp}.json`, "mine");
      }
      await assertRejects(() => repair(directory), Error, "EEXIST");
      assertEquals(fingerprint(directory), before);
    }));
});

describe("restore", () => {
  it("refuses a file in the place of the directory", () =>
    withSite(async (site) => {
      writeFileSync(site.path("log"), "mine");
      const options = {
        file: site.path("no.backup"),
        directory: site.path("log"),
        deployment: "orders-2",
        node: 1,
        members: [{ id: 1, address: "a:1" }],
      };
      await assertRejects(() => restore(options), Refusal, "it is a file");
    }));
});
