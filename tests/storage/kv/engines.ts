/** The engines that this runtime has, on real files where there are any. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StorageUnderTest } from "../../../src/testing/mod.ts";
import { KvStorage, type OrderedKv } from "../../../storage/kv/mod.ts";
import { openSqliteKv } from "../../../storage/kv/sqlite.ts";
import { isRaftError } from "../../../src/errors.ts";
import { damageEntry, Fault, faulty } from "./kv_bench.ts";

/** Opens the data of a directory of its own. */
export type EngineOpener = (directory: string) => Promise<OrderedKv>;

/** SQLite as the runtime has it. */
export function openSqlite(directory: string): Promise<OrderedKv> {
  return openSqliteKv({ path: join(directory, "raft.db") });
}

/** Whether this runtime has SQLite; Node 20 has none. */
export async function hasSqlite(): Promise<boolean> {
  try {
    await (await openSqliteKv({ path: ":memory:" })).close();
    return true;
  } catch (error) {
    return !isRaftError(error, "unsupported");
  }
}

/** Death of the process: what it has written to its files stays. */
export class FilesUnderTest implements StorageUnderTest {
  readonly #open: EngineOpener;
  readonly #root = mkdtempSync(join(tmpdir(), "balsa-kv-"));
  readonly #fault = new Fault();
  readonly #attached: KvStorage[] = [];
  #generation = 0;

  constructor(open: EngineOpener) {
    this.#open = open;
    mkdirSync(this.#directory());
  }

  attach(): KvStorage {
    const directory = this.#directory();
    const storage = new KvStorage({
      open: async () => faulty(await this.#open(directory), this.#fault),
    });
    this.#attached.push(storage);
    return storage;
  }

  /** The dead process would leave its files as they are at this moment. */
  async crash(): Promise<void> {
    const from = this.#directory();
    this.#generation++;
    cpSync(from, this.#directory(), { recursive: true });
    for (const storage of this.#attached.splice(0)) await storage.close();
  }

  failNextFlush(): void {
    this.#fault.arm();
  }

  async damage(group: number, index: number): Promise<void> {
    const kv = await this.#open(this.#directory());
    await damageEntry(kv, group, index);
    await kv.close();
  }

  fingerprint(): Promise<string> {
    const directory = this.#directory();
    const files = readdirSync(directory).sort().map((name) =>
      `${name}=${readFileSync(join(directory, name)).toString("base64")}`
    );
    return Promise.resolve(files.join("\n"));
  }

  dispose(): Promise<void> {
    rmSync(this.#root, { recursive: true });
    return Promise.resolve();
  }

  #directory(): string {
    return join(this.#root, `data-${this.#generation}`);
  }
}
