import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { it } from "node:test";
import { freePorts, ProcessCluster } from "../../chaos/cluster.ts";
import { ownProgram } from "../../chaos/program.ts";

it("a leader that is told to stop has handed over before it ends (§3.10)", async () => {
  const cluster = new ProcessCluster(
    { program: ownProgram(), size: 3, transport: "tcp" },
    await freePorts(6),
  );
  try {
    await cluster.startAll();
    await cluster.caughtUp();
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const before = await cluster.leader();
      const [ending] = await cluster.signal([before], signal);
      assertEquals(ending?.code, 0, cluster.log.join("\n"));
      const line = `${before}: member ${before} handed over to member `;
      const told = cluster.log.filter((each) => each.startsWith(line));
      assertEquals(told.length, 1, cluster.log.join("\n"));
      const after = Number(told[0]?.slice(line.length));
      assertNotEquals(after, before);
      assertEquals((await cluster.view(after))?.role, "leader");
      const url = `${cluster.url(after)}/kv/${signal}`;
      const response = await fetch(url, { method: "PUT", body: "x" });
      await response.arrayBuffer();
      assert(response.ok);
      await cluster.start(before);
      await cluster.caughtUp();
      cluster.log.length = 0;
    }
  } finally {
    await cluster.remove();
  }
});
