/** SQLite as an engine, as far as the runtime has it. */
import { describe, it } from "node:test";
import process from "node:process";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import { storageCases } from "../../../src/testing/mod.ts";
import { openSqliteKv } from "../../../storage/kv/sqlite.ts";
import { FilesUnderTest, hasSqlite, openSqlite } from "./engines.ts";

if (await hasSqlite()) {
  describe("KvStorage in SQLite, killed", () => {
    const create = () => new FilesUnderTest(openSqlite);
    for (const { name, run } of storageCases({ create, snapshots: true })) {
      it(name, run);
    }
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
