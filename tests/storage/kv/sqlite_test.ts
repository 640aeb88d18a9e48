/** SQLite as an engine, as far as the runtime has it. */
import { describe, it } from "node:test";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isRaftError, RaftError } from "../../../src/errors.ts";
import { isSame } from "../../../src/testing/is_same.ts";
import { storageCases } from "../../../src/testing/mod.ts";
import {
  append,
  command,
  createGroup,
  DEPLOYMENT,
} from "../../../src/testing/storage_samples.ts";
import { KvStorage } from "../../../storage/kv/mod.ts";
import { recordedBatches } from "./kv_bench.ts";
import { lookInto } from "./model.ts";
import {
  openSqliteKv,
  runtimeDriver,
  type SqliteDatabase,
} from "../../../storage/kv/sqlite.ts";
import { FilesUnderTest, hasSqlite, openSqlite } from "./engines.ts";

/** A disk that is full when the database has so many pages. */
function limited(pages: number): (path: string) => SqliteDatabase {
  return (path) => {
    const database = runtimeDriver()(path);
    database.exec("PRAGMA page_size = 8192");
    database.exec(`PRAGMA max_page_count = ${pages}`);
    return database;
  };
}

/** What has become of damaged data. */
async function judge(storage: KvStorage, wanted: unknown): Promise<string> {
  try {
    const found = await lookInto(storage);
    return isSame(found, wanted) ? "complete" : "wrong data";
  } catch (error) {
    return isRaftError(error) ? error.code : `${error}`;
  } finally {
    await storage.close();
  }
}

if (await hasSqlite()) {
  describe("KvStorage in SQLite, killed", () => {
    const create = () => new FilesUnderTest(openSqlite);
    for (const { name, run } of storageCases({ create, snapshots: true })) {
      it(name, run);
    }
  });

  describe("a database file", () => {
    it("with a spoiled byte is complete or told to be damaged (H60)", async () => {
      const folder = mkdtempSync(join(tmpdir(), "balsa-rot-"));
      const path = join(folder, "raft.db");
      const storage = () =>
        new KvStorage({ open: () => openSqliteKv({ path }) });
      const first = storage();
      await first.open({ deployment: DEPLOYMENT });
      for (const batch of recordedBatches()) await first.write(batch);
      await first.close();
      const wanted = await lookInto(storage());
      const whole = readFileSync(path);
      const verdicts = new Map<string, number>();
      // Every byte of the header and the schema, some of the rest.
      for (let at = 0; at < whole.length; at += at < 128 ? 1 : 97) {
        const spoiled = new Uint8Array(whole);
        spoiled[at] = (spoiled[at] ?? 0) ^ (1 << (at % 8));
        for (const name of ["", "-wal", "-shm", "-journal"]) {
          rmSync(path + name, { force: true });
        }
        writeFileSync(path, spoiled);
        const verdict = await judge(storage(), wanted);
        verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
      }
      rmSync(folder, { recursive: true });
      const { complete = 0, corrupt = 0, storageFailed = 0, ...others } = Object
        .fromEntries(verdicts);
      assertEquals(others, {});
      // What SQLite does not take for damage is an odd header or schema.
      assert(storageFailed < 10, `${storageFailed} failed for other reasons`);
      assert(corrupt > 50, `${complete} complete, ${corrupt} corrupt`);
    });

    it("that cannot grow fails for good, and is fine when it can again (H56)", async () => {
      const folder = mkdtempSync(join(tmpdir(), "balsa-full-"));
      const path = join(folder, "raft.db");
      const storage = (pages: number) =>
        new KvStorage({
          open: () => openSqliteKv({ path, driver: limited(pages) }),
        });
      const first = storage(40);
      await first.open({ deployment: DEPLOYMENT });
      await first.write([createGroup(1)]);
      let index = 0;
      const error = await assertRejects(
        async () => {
          for (;;) {
            await first.write([append(1, [command(1, index + 1, 10_000)])]);
            index++;
          }
        },
        RaftError,
        "full",
      );
      assertEquals(error.code, "storageFailed");
      assert(error.cause instanceof Error, "the cause is not told");
      const again = await assertRejects(
        () => first.write([append(1, [command(1, index + 1, 1)])]),
        RaftError,
      );
      assertEquals(again.code, "storageFailed");
      await first.close();
      const second = storage(1000);
      const { groups } = await second.open({ deployment: DEPLOYMENT });
      assertEquals(groups[0]?.lastIndex, index);
      await second.write([append(1, [command(1, index + 1, 10_000)])]);
      await second.close();
      rmSync(folder, { recursive: true });
    });

    it("with tables of another program keeps every byte, its mode too", async () => {
      const folder = mkdtempSync(join(tmpdir(), "balsa-foreign-"));
      const path = join(folder, "other.db");
      const database = runtimeDriver()(path);
      database.exec("CREATE TABLE users (name)");
      database.exec("INSERT INTO users VALUES (1)");
      database.close();
      const before = readFileSync(path);
      const error = await assertRejects(
        () => openSqliteKv({ path }),
        RaftError,
        "not the table",
      );
      assertEquals(error.code, "corrupt");
      assertEquals(readFileSync(path), before);
      rmSync(folder, { recursive: true });
    });

    it("flushes every commit, in WAL mode", async () => {
      const asked: SqliteDatabase[] = [];
      const driver = (path: string) => {
        const database = runtimeDriver()(path);
        asked.push(database);
        return database;
      };
      const folder = mkdtempSync(join(tmpdir(), "balsa-mode-"));
      const kv = await openSqliteKv({ path: join(folder, "raft.db"), driver });
      const modes = ["synchronous", "journal_mode", "locking_mode"].map(
        (name) => {
          const statement = asked[0]?.prepare(`PRAGMA ${name}`);
          const [value] = Object.values(Object(statement?.get()));
          statement?.finalize?.();
          return value;
        },
      );
      assertEquals(modes, [2, "wal", "exclusive"]);
      await kv.close();
      rmSync(folder, { recursive: true });
    });

    it("of somebody else is not touched", async () => {
      const folder = mkdtempSync(join(tmpdir(), "balsa-other-"));
      const path = join(folder, "other.db");
      const kv = await openSqliteKv({ path });
      await kv.close();
      const whole = readFileSync(path);
      const at = Buffer.from(whole).indexOf("balsa_rows");
      // Both places: the name of the table, and the statement that made it.
      for (let next = at; next >= 0; next = whole.indexOf("balsa_r", next)) {
        whole[next] = 0x43;
      }
      writeFileSync(path, whole);
      await assertRejects(() => openSqliteKv({ path }), RaftError);
      assertEquals(readFileSync(path), whole);
      rmSync(folder, { recursive: true });
    });
  });
} else {
  describe("a runtime without SQLite", () => {
    it("is told so by the code unsupported", async () => {
      const error = await assertRejects(
        () => openSqliteKv({ path: "any.db" }),
        RaftError,
      );
      assertEquals(error.code, "unsupported");
      assert(process.version.startsWith("v20."), "only Node 20 may lack it");
    });
  });
}
