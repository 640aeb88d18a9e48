/**
 * A Worker with a Durable Object in which a member lives, and in which the
 * contract suite runs. Bundled and started by `durable_object_test.ts`.
 *
 * @module
 */
import { startNode } from "../../../../mod.ts";
import { KvMachine } from "../../../../src/machines/kv/mod.ts";
import {
  storageCases,
  type StorageUnderTest,
} from "../../../../src/testing/mod.ts";
import {
  type DurableObjectStorage,
  useDurableObjectKv,
} from "../../../../storage/kv/durable_object.ts";
import { KvStorage, type OrderedKv } from "../../../../storage/kv/mod.ts";
import { MemoryNetwork } from "../../../../transports/memory.ts";
import { damageEntry, Fault, faulty } from "../../../storage/kv/kv_bench.ts";

/** What the platform hands to an object. */
interface ObjectState {
  readonly storage: DurableObjectStorage;
}

interface Environment {
  readonly MEMBER: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

/** A table on the bench: a crash takes it from whoever has it open. */
class TableUnderTest implements StorageUnderTest {
  readonly #storage: DurableObjectStorage;
  readonly #table: string;
  readonly #fault = new Fault();
  #last: OrderedKv | undefined;

  constructor(storage: DurableObjectStorage, table: string) {
    this.#storage = storage;
    this.#table = table;
  }

  attach(): KvStorage {
    return new KvStorage({
      open: async () => {
        this.#last = await this.#open();
        return faulty(this.#last, this.#fault);
      },
    });
  }

  async crash(): Promise<void> {
    await this.#last?.close();
  }

  failNextFlush(): void {
    this.#fault.arm();
  }

  async damage(group: number, index: number): Promise<void> {
    const kv = await this.#open();
    await damageEntry(kv, group, index);
    await kv.close();
  }

  fingerprint(): Promise<string> {
    const query = `SELECT hex(k) AS k, hex(v) AS v FROM ${this.#table}`;
    const rows = this.#storage.sql.exec(`${query} ORDER BY k`).toArray();
    return Promise.resolve(JSON.stringify(rows));
  }

  dispose(): Promise<void> {
    this.#storage.sql.exec(`DROP TABLE ${this.#table}`).toArray();
    return Promise.resolve();
  }

  #open(): Promise<OrderedKv> {
    return useDurableObjectKv(this.#storage, { table: this.#table });
  }
}

/** One Raft member. */
export class Member {
  readonly #storage: DurableObjectStorage;

  constructor(state: ObjectState) {
    this.#storage = state.storage;
  }

  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/suite") return Response.json(await this.#runSuite());
    const key = searchParams.get("key") ?? "";
    const value = searchParams.get("value");
    return Response.json(await this.#serve(key, value));
  }

  /** Each case of the contract with what came of it. */
  async #runSuite(): Promise<(readonly [string, string])[]> {
    let tables = 0;
    const cases = storageCases({
      snapshots: true,
      create: () => new TableUnderTest(this.#storage, `case_${++tables}`),
    });
    const results: (readonly [string, string])[] = [];
    for (const { name, run } of cases) {
      const result = await run().then(() => "ok", (error) => `${error}`);
      results.push([name, result]);
    }
    return results;
  }

  /** Starts the member, puts a value if there is one, reads it, and stops. */
  async #serve(key: string, value: string | null): Promise<unknown> {
    const group = await startNode({
      deployment: "edge",
      address: "edge:1",
      storage: new KvStorage({ open: () => useDurableObjectKv(this.#storage) }),
      transport: new MemoryNetwork().transport(),
      tickMs: 10,
      group: 1,
      node: 1,
      members: [{ id: 1, address: "edge:1" }],
      machine: new KvMachine(),
    });
    try {
      if (value !== null) {
        const bytes = new TextEncoder().encode(value);
        await group.propose({ type: "put", key, value: bytes });
      }
      const answer = await group.read({ type: "get", key });
      const found = answer.type === "get" ? answer.item?.value : undefined;
      const { lastIndex } = group.status();
      return { value: found && new TextDecoder().decode(found), lastIndex };
    } finally {
      await group.stop();
    }
  }
}

/** Hands every request to the one object. */
const worker = {
  fetch(request: Request, environment: Environment): Promise<Response> {
    const { MEMBER } = environment;
    return MEMBER.get(MEMBER.idFromName("one")).fetch(request);
  },
};

export default worker;
