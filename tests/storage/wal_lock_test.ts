/** One process per data directory (H80): who holds the lock, and who not. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { describe, it } from "node:test";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { WalStorage } from "../../storage/wal/mod.ts";
import { FakeFileSystem } from "./fake_file_system.ts";
import { DEPLOYMENT, DIRECTORY, walOn } from "./wal_bench.ts";

async function inFolder(
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), "balsa-lock-"));
  try {
    await body(join(folder, "data"));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

async function open(directory: string): Promise<WalStorage> {
  const storage = new WalStorage({ directory, segmentBytes: 4096 });
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

async function refusal(directory: string): Promise<RaftError> {
  return await assertRejects(() => open(directory), RaftError);
}

function lockFiles(directory: string): string[] {
  return fs.readdirSync(directory).filter((name) => name.startsWith("lock"));
}

/** A lock as the process `pid` would have left it in a directory. */
function leaveLock(
  directory: string,
  holder: { readonly pid: number; readonly started: string },
): void {
  const { dev, ino } = fs.statSync(directory);
  const { pid, started } = holder;
  const text = [pid, started, "token", `${dev}:${ino}`, directory, "end"];
  fs.writeFileSync(join(directory, "lock-9"), text.join("\n"));
}

/** What `/proc` says about the start of a process, or "?" without it. */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    return `${boot.trim()}/${fields[19]}`;
  } catch {
    return "?";
  }
}

/** A process of this runtime that does nothing until it is killed. */
async function idle(
  body: (pid: number, kill: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const isDeno = /deno/.test(basename(process.execPath));
  const args = isDeno ? ["eval"] : ["-e"];
  const child = spawn(
    process.execPath,
    [...args, "console.log(1); setInterval(() => {}, 1000)"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const exited = once(child, "exit");
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  try {
    await once(child.stdout, "data");
    assert(child.pid !== undefined);
    await body(child.pid, kill);
  } finally {
    await kill();
  }
}

describe("the lock of a data directory", () => {
  it("is refused to a second opening, which names the process and changes nothing", async () => {
    await inFolder(async (directory) => {
      const storage = await open(directory);
      const before = fs.readdirSync(directory).sort();
      const error = await refusal(directory);
      assertEquals(error.code, "locked");
      assert(error.message.includes(`process ${process.pid} `), error.message);
      assertEquals(error.file, join(directory, "lock-1"));
      assertEquals(fs.readdirSync(directory).sort(), before);
      await storage.close();
      await (await open(directory)).close();
      assertEquals(lockFiles(directory), ["lock-2"]);
    });
  });

  it("is held by a living process and free once that was killed", async () => {
    await inFolder(async (directory) => {
      await (await open(directory)).close();
      await idle(async (pid, kill) => {
        leaveLock(directory, { pid, started: startOf(pid) });
        const error = await refusal(directory);
        assertEquals(error.code, "locked");
        assert(error.message.includes(`process ${pid} `), error.message);
        await kill();
        const storage = await open(directory);
        assertEquals(lockFiles(directory), ["lock-10"]);
        await storage.close();
      });
    });
  });

  it("is free if its process number belongs to another process by now", async () => {
    await inFolder(async (directory) => {
      await (await open(directory)).close();
      await idle(async (pid) => {
        const known = startOf(pid);
        // Without /proc nobody can tell, and it counts as held.
        if (known === "?") return;
        leaveLock(directory, { pid, started: `${known}0` });
        await (await open(directory)).close();
        const earlier = `00000000-0000-0000-0000-000000000000/${
          known.split("/")[1]
        }`;
        leaveLock(directory, { pid, started: earlier });
        await (await open(directory)).close();
      });
    });
  });

  it("of this very process number, left by an earlier life, is free", async () => {
    await inFolder(async (directory) => {
      await (await open(directory)).close();
      leaveLock(directory, { pid: process.pid, started: "?" });
      await (await open(directory)).close();
    });
  });

  it("is free in a copy of the directory, and where it was cut by a power loss", async () => {
    await inFolder(async (directory) => {
      const storage = await open(directory);
      const copy = `${directory}-copy`;
      fs.cpSync(directory, copy, { recursive: true });
      await (await open(copy)).close();
      await storage.close();
      const own = String(process.pid);
      for (
        const text of ["", own, `${own}\n?\ntoken`, "nonsense\n\n\n\n\nend"]
      ) {
        fs.writeFileSync(join(directory, "lock-77"), text);
        await (await open(directory)).close();
        fs.rmSync(join(directory, "lock-78"));
      }
    });
  });

  it("goes to exactly one of many that open at once", async () => {
    for (let round = 0; round < 20; round++) {
      const disk = new FakeFileSystem();
      await close(await Promise.allSettled([openFake(disk)]));
      const all = Array.from({ length: 8 }, () => openFake(disk));
      const settled = await Promise.allSettled(all);
      const opened = settled.filter(({ status }) => status === "fulfilled");
      assertEquals(opened.length, 1);
      for (const result of settled) {
        if (result.status === "rejected") {
          assertEquals(result.reason.code, "locked");
        }
      }
      await close(settled);
      assertEquals(
        disk.list(DIRECTORY).filter((name) => name.startsWith("lock")).length,
        1,
      );
    }
  });

  it("is not taken by one who was too slow to see it change hands", async () => {
    const disk = new FakeFileSystem();
    await close(await Promise.allSettled([openFake(disk)]));
    // While this one makes up its mind, others take lock 2, leave it, take
    // lock 3, and clear away what is older: now 2 can be had once more.
    const held = [process.ppid, "?", "token", "fake", DIRECTORY, "end"];
    disk.onOperation = ({ type }) => {
      if (type !== "link") return;
      disk.onOperation = () => {};
      disk.remove(`${DIRECTORY}/lock-1`);
      const text = new TextEncoder().encode(held.join("\n"));
      disk.put(`${DIRECTORY}/lock-3`, text);
    };
    const error = await assertRejects(() => openFake(disk), RaftError);
    assertEquals(error.code, "locked");
    assert(error.message.includes(`process ${process.ppid} `), error.message);
    const locks = disk.list(DIRECTORY).filter((name) => /^lock/.test(name));
    assertEquals(locks, ["lock-3"]);
  });

  it("is given back when opening fails, and can be had again by the same storage", async () => {
    const disk = new FakeFileSystem();
    await close(await Promise.allSettled([openFake(disk)]));
    const storage = walOn(disk);
    await assertRejects(() => storage.open({ deployment: "other" }));
    await storage.open({ deployment: DEPLOYMENT });
    await assertRejects(() => storage.open({ deployment: DEPLOYMENT }));
    await storage.close();
    assertEquals(disk.openCount, 0);
  });
});

async function openFake(disk: FakeFileSystem): Promise<WalStorage> {
  const storage = walOn(disk);
  await storage.open({ deployment: DEPLOYMENT });
  return storage;
}

async function close(
  settled: readonly PromiseSettledResult<WalStorage>[],
): Promise<void> {
  for (const result of settled) {
    if (result.status === "fulfilled") await result.value.close();
  }
}
