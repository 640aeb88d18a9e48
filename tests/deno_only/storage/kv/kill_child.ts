/**
 * Writes to an engine until it is killed, and tells on standard output what
 * was acknowledged: `sqlite|deno DIRECTORY ROUND`.
 *
 * @module
 */
import process from "node:process";
import type { Entry } from "../../../../src/core/types.ts";
import {
  append,
  command,
  createGroup,
  metaAt,
} from "../../../../src/testing/storage_samples.ts";
import { KvStorage } from "../../../../storage/kv/mod.ts";
import { openDenoKv } from "../../../../storage/kv/deno.ts";
import { openSqliteKv } from "../../../../storage/kv/sqlite.ts";

/** The entry that a round writes at an index; some are larger than a value. */
export function entryOf(round: number, index: number): Entry {
  return command(round, index, index % 17 === 0 ? 90_000 : index % 500);
}

/** A storage over one of the engines. */
export function storageIn(engine: string, directory: string): KvStorage {
  return new KvStorage({
    open: () =>
      engine === "deno"
        ? openDenoKv(`${directory}/raft.kv`)
        : openSqliteKv({ path: `${directory}/raft.db` }),
  });
}

async function main(): Promise<void> {
  const [engine = "", directory = "", round = ""] = process.argv.slice(2);
  const term = Number(round);
  const storage = storageIn(engine, directory);
  const { groups } = await storage.open({ deployment: "kill" });
  if (groups.length === 0) await storage.write([createGroup(1)]);
  let index = groups[0]?.lastIndex ?? 0;
  const tell = (line: string) => process.stdout.write(`${line}\n`);
  for (;;) {
    const writes: Promise<void>[] = [];
    for (let i = 0; i < 1 + term; i++) {
      const at = ++index;
      const hardState = { term, vote: 1, commit: at - 1 };
      const write = { ...append(1, [entryOf(term, at)]), hardState };
      writes.push(storage.write([write]).then(() => void tell(`ack ${at}`)));
    }
    await Promise.all(writes);
    if (index % 40 > term) continue;
    const writer = await storage.snapshotWriter(1, metaAt(index, term));
    await writer.write(new Uint8Array(100_000).fill(index));
    await writer.commit();
    await storage.compact(1, index - 20);
    tell(`compacted ${index - 20}`);
  }
}

if (process.env["BALSA_KILL_CHILD"] !== undefined) await main();
