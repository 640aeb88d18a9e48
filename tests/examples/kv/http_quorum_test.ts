import { assertEquals, assertMatch } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { assertError, Trio } from "./trio.ts";

describe("without a quorum", () => {
  let trio: Trio;
  before(async () => {
    trio = await Trio.start({ timeoutMs: 300 });
  });
  after(() => trio.stop());

  it("writes and reads answer 503 with Retry-After, stale reads go on", async () => {
    const survivor = trio.follower;
    const written = await trio.call("/kv/a", {
      method: "PUT",
      body: "kept",
      member: survivor,
    });
    assertEquals(written.status, 200);
    await trio.call("/kv/a", { member: survivor });
    await trio.stop([1, 2, 3].filter((id) => id !== survivor));

    const stale = await trio.call("/kv/a?consistency=stale", {
      member: survivor,
    });
    assertEquals(stale.text, "kept");
    const read = await trio.call("/kv/a", { member: survivor });
    assertEquals(read.status, 503);
    assertEquals(read.headers.get("retry-after"), "1");
    for (const method of ["PUT", "DELETE"]) {
      const answer = await trio.call("/kv/a", {
        method,
        body: method === "PUT" ? "x" : undefined,
        member: survivor,
      });
      assertEquals(answer.status, 503);
      assertEquals(answer.headers.get("retry-after"), "1");
      assertMatch(answer.text, /"outcome":"(notAppended|unknown)"/);
    }
  });

  it("a member is alive but not ready", async () => {
    const survivor =
      trio.members.find(({ group }) => group.status().stopped === null)?.id ??
        0;
    assertEquals(
      (await trio.call("/healthz", { member: survivor })).status,
      200,
    );
    const ready = await trio.call("/readyz", { member: survivor });
    assertError(ready, 503, "notReady");
    const none = await trio.call("/kv/a?forward=no", { member: survivor });
    assertEquals(none.status, 503);
  });
});
