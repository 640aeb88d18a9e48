/**
 * Backups that clients do not take: none keeps its state for ever, and there
 * are never more than a few.
 *
 * @module
 */
import { connect } from "node:net";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { GroupBackup } from "@balsa/raft";
import { EMPTY_CONF } from "../../../src/core/types.ts";
import { type BackupLimits, Backups } from "../../../examples/kv/backups.ts";
import { listen } from "../../../examples/kv/listen.ts";
import { Problem } from "../../../examples/kv/replies.ts";

const MANIFEST = {
  deployment: "orders",
  group: 1,
  index: 5,
  term: 2,
  conf: EMPTY_CONF,
  takenAtMs: 0,
};

/** Backups of ten bytes, and what was let go of. */
class Group {
  releaseCount = 0;
  readonly released: Promise<void>;
  #tell: () => void = () => {};
  readonly #failAt: number;

  constructor(failAt = Infinity) {
    this.#failAt = failAt;
    this.released = new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  backup(): Promise<GroupBackup> {
    const failAt = this.#failAt;
    return Promise.resolve({
      manifest: MANIFEST,
      async *chunks() {
        for (let i = 0; i < 10; i++) {
          await Promise.resolve();
          if (i === failAt) throw new Error("The machine failed");
          yield new Uint8Array([i]);
        }
      },
      release: () => {
        this.releaseCount++;
        this.#tell();
      },
    });
  }
}

async function begin(
  group: Group,
  limits: BackupLimits = {},
): Promise<{
  readonly backups: Backups;
  readonly body: ReadableStream<Uint8Array>;
}> {
  const backups = new Backups(limits);
  const { body } = await backups.respond(group, {});
  if (body === null) throw new Error("There is no body");
  return { backups, body };
}

describe("a backup over HTTP", () => {
  it("lets go of the state at its end", async () => {
    const group = new Group();
    const { backups, body } = await begin(group);
    const bytes = new Uint8Array(await new Response(body).arrayBuffer());
    assertEquals([...bytes], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assertEquals([group.releaseCount, backups.count], [1, 0]);
  });

  it("lets go of it if the client leaves before the first byte", async () => {
    const group = new Group();
    const { backups, body } = await begin(group);
    await body.cancel();
    assertEquals([group.releaseCount, backups.count], [1, 0]);
  });

  it("lets go of it if the client takes nothing, at all or any more", async () => {
    for (const taken of [0, 3]) {
      const group = new Group();
      const { backups, body } = await begin(group, { backupStallMs: 20 });
      const reader = body.getReader();
      for (let i = 0; i < taken; i++) await reader.read();
      await group.released;
      await assertRejects(() => reader.read(), Error, "nothing was taken");
      assertEquals([group.releaseCount, backups.count], [1, 0]);
    }
  });

  it("lets go of it if the machine cannot stream, or the server stops", async () => {
    const failing = await begin(new Group(2));
    await assertRejects(() => new Response(failing.body).arrayBuffer());
    assertEquals(failing.backups.count, 0);
    const group = new Group();
    const { backups, body } = await begin(group);
    backups.close();
    await assertRejects(() => body.getReader().read(), Error, "stops");
    assertEquals([group.releaseCount, backups.count], [1, 0]);
  });

  it("is refused while too many are under way, then taken again", async () => {
    const backups = new Backups({ maxBackups: 2 });
    const group = new Group();
    const responses = [
      await backups.respond(group, {}),
      await backups.respond(group, {}),
    ];
    const error = await assertRejects(() => backups.respond(group, {}));
    assert(error instanceof Problem);
    assertEquals([error.status, error.code], [503, "overloaded"]);
    await responses[0]?.body?.cancel();
    responses.push(await backups.respond(group, {}));
    for (const { body } of responses.slice(1)) await body?.cancel();
    const failing = { backup: () => Promise.reject(new Error("no leader")) };
    await assertRejects(() => backups.respond(failing, {}));
    assertEquals(backups.count, 0);
  });

  it("lets go of it if a connection stays open and nobody reads", async () => {
    let tell = () => {};
    const released = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const backups = new Backups({ backupStallMs: 50 });
    const endless = {
      manifest: MANIFEST,
      async *chunks() {
        for (;;) {
          await Promise.resolve();
          yield new Uint8Array(1 << 16);
        }
      },
      release: tell,
    };
    const group = { backup: () => Promise.resolve(endless) };
    const address = { host: "127.0.0.1", port: 0 };
    const server = await listen(address, () => backups.respond(group, {}));
    const socket = connect(server.address.port, "127.0.0.1");
    socket.on("error", () => {});
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.pause();
    socket.write("GET /backup HTTP/1.1\r\nhost: member\r\n\r\n");
    await released;
    assertEquals(backups.count, 0);
    socket.destroy();
    await closed;
    await server.close(1_000);
  });
});
