/**
 * Symptom: after a start of a new group had failed, the next try took the
 * storage, and with it all groups of the host, down: "Cannot write to
 * storage".
 *
 * Cause: the first try had created the group in the storage before it failed.
 * The second did not know, created it again, which a storage refuses; and a
 * write that is refused is taken for a disk that failed (H44).
 *
 * Why nothing noticed: the storage of the host's tests takes whatever it is
 * given, and the starts they let fail, fail before the group is created.
 */
import { describe, it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { RaftHost } from "../../src/host/raft_host.ts";
import { MemoryStorage } from "../../storage/memory.ts";
import { FakeNetwork } from "../host/support/fake_network.ts";
import { Journal } from "../host/support/machines.ts";

describe("a start of a new group that failed", () => {
  it("may be tried again, and harms no other group", async () => {
    const host = await RaftHost.start({
      deployment: "tests",
      address: "host-1:1",
      storage: new MemoryStorage(),
      transport: new FakeNetwork().transport(),
    });
    const options = {
      node: 1,
      members: [{ id: 1, address: "host-1:1" }],
      machine: new Journal(),
    };
    const other = await host.startGroup({ ...options, group: 2 });
    const random = () => {
      throw new Error("no entropy");
    };
    const failing = host.startGroup({ ...options, group: 1, random });
    await assertRejects(() => failing, Error, "no entropy");
    const group = await host.startGroup({ ...options, group: 1 });
    assertEquals((await group.propose("a")).result, 1);
    assertEquals(other.status().stopped, null);
    await host.stop();
  });
});
