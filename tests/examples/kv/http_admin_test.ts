/** What operators ask of a member: backups, and changes of members. */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { RaftHost } from "@balsa/raft";
import { KvMachine } from "@balsa/raft/machines/kv";
import { MemoryStorage } from "@balsa/raft/storage/memory";
import { BackupReader } from "../../../src/backup_format.ts";
import { assertError, Trio } from "./trio.ts";

let trio: Trio;

before(async () => {
  trio = await Trio.start({ timeoutMs: 20_000 });
});

after(async () => {
  await trio.stop();
});

async function* whole(
  bytes: Uint8Array,
): AsyncGenerator<Uint8Array, void, undefined> {
  await Promise.resolve();
  yield bytes;
}

describe("GET /backup", () => {
  it("streams a backup of everything acknowledged, from any member", async () => {
    for (let i = 0; i < 20; i++) {
      const path = `/kv/key${i}`;
      await trio.call(path, { method: "PUT", body: "v".repeat(10_000) });
    }
    for (const member of [1, 2, 3]) {
      const answer = await trio.call("/backup", { member });
      assertEquals(answer.status, 200);
      const reader = await BackupReader.open(whole(answer.bytes));
      for await (const _ of reader.chunks());
      assert(reader.digest !== null && reader.bytes > 200_000);
      const { index, deployment } = reader.manifest;
      assertEquals(deployment, "trio");
      assertEquals(answer.headers.get("balsa-applied"), `${index}`);
    }
  });

  it("lets go of the state when the client goes away", async () => {
    const member = trio.members[0];
    assert(member !== undefined);
    const request = new Request("http://127.0.0.1:8001/backup");
    const response = await member.app.fetch(request);
    await response.body?.cancel();
    const again = await trio.call("/backup");
    assertEquals(again.status, 200);
  });

  it("takes no other method and no other parameter", async () => {
    const posted = await trio.call("/backup", { method: "POST" });
    assertError(posted, 405, "wrongMethod");
    assertEquals(posted.headers.get("allow"), "GET");
    assertError(await trio.call("/backup?x=1"), 400, "badRequest");
  });
});

describe("POST /members", () => {
  const post = (body: string, member: number) =>
    trio.call("/members", { method: "POST", body, member });

  it("adds and removes members on the leader, and redirects others", async () => {
    const address = "member-4:1";
    const host = await RaftHost.start({
      deployment: "trio",
      address,
      storage: new MemoryStorage(),
      transport: trio.network.transport(),
      tickMs: 10,
    });
    const machine = new KvMachine();
    await host.startGroup({ group: 1, node: 4, join: true, machine });
    const add = JSON.stringify({ add: [{ id: 4, address }] });
    const redirect = await post(add, trio.follower);
    assertEquals(redirect.status, 307);
    const added = await post(add, trio.leader);
    assertEquals(added.status, 200, added.text);
    const { json } = added;
    assert(typeof json === "object" && json !== null && "voters" in json);
    assertEquals(json.voters, [1, 2, 3, 4]);
    const removed = await post('{"remove":[4]}', trio.leader);
    assertEquals(removed.status, 200, removed.text);
    const back = await post(add, trio.leader);
    assertError(back, 409, "removedMember");
    await host.stop();
  });

  it("refuses what is no change", async () => {
    const add = (id: unknown, address: unknown) =>
      JSON.stringify({ add: [{ id, address }] });
    const bodies = [
      ...["", "{", "[]", "{}", "null", '{"drop":[1]}', '{"remove":["1"]}'],
      ...['{"add":[],"remove":[]}', '{"add":[{"id":0}]}'],
      ...[0, -1, 1.5, 2 ** 60, "4", null].map((id) => add(id, "a:1")),
      ...[
        "",
        "abc",
        "a:b",
        "a:0",
        "a:70000",
        "a b:1",
        "a\nb:1",
        "x".repeat(999),
      ]
        .map((address) => add(4, address)),
      JSON.stringify({ remove: Array.from({ length: 101 }, (_, i) => i + 1) }),
      "[".repeat(100_000),
    ];
    for (const body of bodies) {
      assertError(await post(body, trio.leader), 400, "badChange");
    }
    const got = await trio.call("/members");
    assertError(got, 405, "wrongMethod");
  });
});
