import { describe, it } from "node:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { run } from "../../../storage/tools/cli/run.ts";
import { ENTRY_COUNT, flip, makeLog, openLog } from "./logs.ts";
import { fingerprint, type Site, withSite } from "./support.ts";

/** What a command line came to. */
interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function balsa(...args: string[]): Promise<Ran> {
  return balsaOn(undefined, args);
}

/** As on a terminal, if there is somebody to draw for. */
async function balsaOn(
  bar: ((text: string) => void) | undefined,
  args: readonly string[],
): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await run(args, {
    bar,
    out: (line) => {
      out.push(line);
      return Promise.resolve();
    },
    err: (line) => void err.push(line),
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

async function logOn(site: Site): Promise<string> {
  const directory = site.path("log");
  await (await makeLog(directory)).close();
  return directory;
}

/** The second segment, which has others before and behind it. */
function middleOf(directory: string): string {
  const names = readdirSync(directory).filter((it) => it.endsWith(".wal"));
  return join(directory, names.sort()[2] ?? "");
}

describe("balsa", () => {
  it("explains itself, and ends with 2 on wrong use", async () => {
    const help = await balsa("--help");
    assertEquals(help.code, 0);
    for (
      const name of [
        "inspect",
        "verify",
        "dump",
        "repair",
        "backup",
        "verify-backup",
        "restore",
        "force-new-cluster",
      ]
    ) assertMatch(help.out, new RegExp(`balsa ${name} `));
    const wrong: readonly (readonly string[])[] = [
      ["unpack"],
      ["inspect"],
      ["inspect", "a", "b"],
      ["inspect", "a", "--colour"],
      ["dump", "a", "--group"],
      ["dump", "a", "--group", "0"],
      ["backup", "localhost", "f"],
      ["restore", "f", "--node", "1"],
      ["force-new-cluster", "a", "--group", "1", "--deployment", "x"],
    ];
    for (const args of wrong) {
      const { code, err } = await balsa(...args);
      assertEquals(code, 2, args.join(" "));
      assertMatch(err, /^Cannot .*\n--help tells more$/);
    }
  });

  it("takes no empty argument: as a path it is the working directory", async () => {
    const wrong: readonly (readonly string[])[] = [
      ["inspect", ""],
      ["repair", "", "--yes"],
      ["force-new-cluster", "a", "--group", "1", "--node", "2", "--other", ""],
      ["restore", "f", "--node", "1", "--address", "a:1", "--data", ""],
    ];
    for (const args of wrong) {
      const { code, err } = await balsa(...args);
      assertEquals(code, 2, args.join(" "));
      assertMatch(err, /^Cannot .* is empty/);
    }
  });

  it("takes no address that nobody can be reached at", async () => {
    const force = ["force-new-cluster", "a", "--group", "1", "--node", "2"];
    const restore = ["restore", "f", "--data", "d", "--node", "1"];
    for (
      const address of ["a", "a:", ":1", "a:0", "a:65536", "a b:1", "a:1x"]
    ) {
      const lines = [
        [...force, "--deployment", "x", "--address", address],
        [...restore, "--deployment", "x", "--address", address],
        [...restore, "--deployment", "x", "--members", `1=${address}`],
      ];
      for (const args of lines) {
        const { code, err } = await balsa(...args);
        assertEquals(code, 2, args.join(" "));
        assertMatch(err, /^Cannot use --(address|members): .*HOST:PORT/);
      }
    }
  });

  it("writes JSON with --json, whatever it comes to", () =>
    withSite(async (site) => {
      const log = await logOn(site);
      const spoilt = site.path("spoilt");
      site.copy("log", "spoilt");
      flip(join(spoilt, "identity"), 3);
      writeFileSync(site.path("file"), "no backup");
      const wanted: readonly (readonly [string, number, ...string[]])[] = [
        ["usage", 2, "unpack"],
        ["usage", 2, "inspect"],
        ["usage", 2, "inspect", log, "--colour"],
        ["usage", 2, "inspect", site.path("none")],
        ["usage", 2, "dump", log, "--group", "9"],
        ["corrupt", 1, "inspect", spoilt],
        ["corrupt", 1, "verify-backup", site.path("file")],
        ["unreachable", 1, "backup", "http://127.0.0.1:1/", site.path("new")],
        ["refused", 3, "backup", "http://127.0.0.1:1/", site.path("file")],
      ];
      for (const [name, wantedCode, ...args] of wanted) {
        const { code, err, out } = await balsa(...args, "--json");
        const { error } = JSON.parse(out);
        assertEquals(error.code, name, args.join(" "));
        assertEquals([code, err.split("\n")[0]], [wantedCode, error.message]);
        assertMatch(error.message, /^Cannot /);
      }
    }));

  it("ends with 2 where there is no data directory", () =>
    withSite(async (site) => {
      for (const name of ["inspect", "verify", "repair"]) {
        const { code, err } = await balsa(name, site.path("none"));
        assertEquals(code, 2);
        assertMatch(err, /wanted a data directory/);
        assert(!existsSync(site.path("none")));
      }
    }));
});

describe("balsa inspect", () => {
  it("tells groups, terms, ranges and members", () =>
    withSite(async (site) => {
      const { code, out } = await balsa("inspect", await logOn(site));
      assertEquals(code, 0);
      assertMatch(out, /deployment "orders"/);
      assertMatch(out, /group 2, member 1\n {2}term 2, vote 1, commit 99/);
      assertMatch(out, /log 1 to 100 of term 2\n {4}term 1 from 1/);
      assertMatch(out, /voters 1=a:1,2=b:1/);
      const json = await balsa("inspect", site.path("log"), "--json");
      assertEquals(JSON.parse(json.out).groups.length, 2);
    }));
});

describe("balsa verify", () => {
  it("ends with 0 on a sound directory, with 1 on a damaged one", () =>
    withSite(async (site) => {
      const directory = await logOn(site);
      const sound = await balsa("verify", directory);
      assertEquals([sound.code, sound.err], [0, ""]);
      assertMatch(sound.out, /200 entries.*\nnothing is wrong with it$/);
      // A checkpoint is not needed while its segment's index is there.
      flip(middleOf(directory), 300);
      const damaged = await balsa("verify", directory);
      assertEquals(damaged.code, 1);
      assertMatch(damaged.out, /^damage .*0003\.wal:\d+: /);
      assertMatch(damaged.out, /it opens, but not all of it can be read$/);
      flip(join(directory, "identity"), 20);
      const lost = await balsa("verify", directory);
      assertEquals(lost.code, 1);
      assertMatch(lost.out, /it will not open: corrupt: /);
    }));
});

describe("a bar", () => {
  it("says how far a command has come, and goes when it is done", () =>
    withSite(async (site) => {
      const drawn: string[] = [];
      const args = ["verify", await logOn(site), "--json"];
      const { out } = await balsaOn((text) => void drawn.push(text), args);
      assertMatch(drawn[0] ?? "", /^verify \[#*\.*\] \d+ % .*\/s$/);
      assertEquals(drawn.at(-1), "");
      assertEquals(JSON.parse(out).problems, []);
    }));
});

describe("balsa dump", () => {
  it("writes the entries asked for, a line each", () =>
    withSite(async (site) => {
      const range = ["--from", "49", "--to", "51"];
      const directory = await logOn(site);
      const { out } = await balsa("dump", directory, "--group", "2", ...range);
      const lines = out.split("\n").map((line) => JSON.parse(line));
      assertEquals(lines.map(({ index }) => index), [49, 50, 51]);
      assertEquals(lines.map(({ term }) => term), [1, 1, 2]);
      const all = await balsa("dump", directory, "--group", "1");
      assertEquals(all.out.split("\n").length, ENTRY_COUNT);
      const none = await balsa("dump", directory, "--group", "7");
      assertEquals(none.code, 2);
      assertMatch(none.err, /it holds only 1, 2/);
    }));
});

describe("balsa repair", () => {
  it("does nothing without --yes, and says what it would do", () =>
    withSite(async (site) => {
      const directory = await logOn(site);
      flip(middleOf(directory), 2_000);
      const before = fingerprint(site.directory);
      const asked = await balsa("repair", directory);
      assertEquals(asked.code, 3);
      assertMatch(
        asked.out,
        /would leave out what cannot be read: .*0003\.wal/,
      );
      assertMatch(asked.out, /would save group 1, member 1, through entry \d+/);
      assertMatch(asked.out, /may be with members 2/);
      assertMatch(asked.out, /Nothing was done\. With --yes it will be\.$/);
      assertEquals(fingerprint(site.directory), before);
      const done = await balsa("repair", directory, "--yes");
      assertEquals(done.code, 0);
      assertMatch(done.out, /the damaged one is .*before-repair-/);
      assertEquals((await balsa("verify", directory)).code, 0);
      const again = await balsa("repair", directory, "--yes");
      assertEquals(again.code, 0);
      assertMatch(again.out, /nothing to repair/);
    }));

  it("refuses a directory in use with 3", () =>
    withSite(async (site) => {
      const directory = await logOn(site);
      const storage = await openLog(directory);
      const { code, err } = await balsa("repair", directory, "--yes");
      assertEquals(code, 3);
      assertMatch(err, /process \d+ uses it, wanted it stopped/);
      await storage.close();
    }));
});

describe("balsa force-new-cluster", () => {
  it("does nothing without --yes, and says what it would do", () =>
    withSite(async (site) => {
      const directory = await logOn(site);
      const before = fingerprint(site.directory);
      const flags = [
        ...["--group", "1", "--node", "7"],
        ...["--group", "2", "--node", "8"],
        ...["--deployment", "orders-2"],
      ];
      const asked = await balsa("force-new-cluster", directory, ...flags);
      assertEquals(asked.code, 3, asked.err);
      assertMatch(asked.out, /"orders" is left, "orders-2" begins/);
      assertMatch(asked.out, /member 1 becomes member 7 at a:1, the only one/);
      assertMatch(asked.out, /entries 100 to 100 may never have been/);
      assertMatch(asked.out, /members 1,2 are refused for ever/);
      assertEquals(fingerprint(site.directory), before);
      const args = [directory, ...flags, "--yes"];
      const done = await balsa("force-new-cluster", ...args);
      assertEquals(done.code, 0, done.err);
      assertMatch(
        done.out,
        /start member 8 at a:1 for deployment "orders-2"$/,
      );
      const { out } = await balsa("inspect", directory);
      assertMatch(out, /group 2, member 8/);
    }));

  it("refuses with 3 what would do harm", () =>
    withSite(async (site) => {
      const directory = await logOn(site);
      const flags = ["--group", "1", "--node", "7", "--deployment", "new"];
      const { code, err } = await balsa(
        "force-new-cluster",
        directory,
        ...flags,
        "--yes",
      );
      assertEquals(code, 3);
      assertMatch(err, /group 2 is in .* too/);
    }));
});

describe("balsa verify-backup", () => {
  it("ends with 1 on a file that is none, with 2 where there is none", () =>
    withSite(async (site) => {
      writeFileSync(site.path("file"), "this is not the backup you look for");
      const damaged = await balsa("verify-backup", site.path("file"));
      assertEquals(damaged.code, 1);
      assertMatch(damaged.err, /^Cannot trust the backup: /);
      const none = await balsa("verify-backup", site.path("none"));
      assertEquals(none.code, 2);
    }));
});
