import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { after, before, describe, it } from "node:test";
import { KvApp } from "../../../examples/kv/app.ts";
import {
  assertError,
  type Call,
  clientAddress,
  revisionOf,
  Trio,
} from "./trio.ts";

describe("the HTTP contract of a member", () => {
  let trio: Trio;
  before(async () => {
    trio = await Trio.start({ timeoutMs: 10_000 });
  });
  after(() => trio.stop());

  async function put(path: string, body: string, call: Call = {}) {
    const answer = await trio.call(path, { ...call, method: "PUT", body });
    assertEquals(answer.status, 200, answer.text);
    return revisionOf(answer.json);
  }

  describe("GET /kv", () => {
    it("pages through a prefix in byte order", async () => {
      const keys = ["a", "aa", "b", "c/1", "é", "🌳"];
      const items = [];
      for (const name of [...keys].reverse()) {
        const key = `list/${name}`;
        const path = `/kv/${encodeURIComponent(key)}`;
        items.unshift({
          key,
          value: btoa("v"),
          revision: await put(path, "v"),
        });
      }
      const found: unknown[] = [];
      let after = "";
      let pages = 0;
      for (;;) {
        const { json } = await trio.call(
          `/kv?prefix=list%2F&limit=4&after=${encodeURIComponent(after)}`,
          { member: 1 + pages % 3 },
        );
        assert(typeof json === "object" && json !== null);
        assert("items" in json && Array.isArray(json.items));
        assert("next" in json);
        pages += 1;
        found.push(...json.items);
        if (json.next === null) break;
        assert(typeof json.next === "string");
        after = json.next;
      }
      assertEquals(found, items);
      assertEquals(pages, 2);
    });

    it("is empty for a prefix that nothing has", async () => {
      const answer = await trio.call("/kv?prefix=nobody");
      assertEquals(answer.json, { items: [], next: null });
    });

    const bad: readonly string[] = [
      "limit=0",
      "limit=1001",
      "limit=-1",
      "limit=1.5",
      "limit=ten",
      "limit=",
      "limit=99999999999999999999",
      "limit=1&limit=2",
      "prefix=%FF",
      "prefix=%",
      `prefix=${"p".repeat(1025)}`,
      `after=${"p".repeat(1025)}`,
      "consistency=strong",
      "consistency=",
      "forward=maybe",
      "colour=red",
      "__proto__=1",
    ];
    for (const query of bad) {
      it(`refuses ?${query.slice(0, 40)}`, async () => {
        assertError(await trio.call(`/kv?${query}`), 400, "badRequest");
      });
    }

    it("names the parameter that is badly encoded", async () => {
      for (const name of ["prefix", "consistency", "forward"]) {
        assertStringIncludes(
          (await trio.call(`/kv?${name}=%FF`)).text,
          `Cannot read the query parameter ${name}: its percent-encoding`,
        );
      }
    });

    it("takes the bounds of limit", async () => {
      assertEquals((await trio.call("/kv?limit=1")).status, 200);
      assertEquals((await trio.call("/kv?limit=1000")).status, 200);
    });
  });

  describe("?consistency=", () => {
    it("stale tells how much is applied and how old it may be", async () => {
      await put("/kv/stale", "x");
      const { follower } = trio;
      // A linearizable read first: the follower has the write from then on.
      await trio.call("/kv/stale", { member: follower });
      for (
        const path of ["/kv/stale?consistency=stale", "/kv?consistency=stale"]
      ) {
        const answer = await trio.call(path, { member: follower });
        assertEquals(answer.status, 200);
        assertMatch(answer.headers.get("balsa-applied") ?? "", /^[1-9]\d*$/);
        assertMatch(answer.headers.get("balsa-age-ms") ?? "", /^\d+$/);
      }
    });

    it("stale is 0 ms old on the leader", async () => {
      await put("/kv/stale", "x");
      const answer = await trio.call("/kv/stale?consistency=stale", {
        member: trio.leader,
      });
      assertEquals(answer.headers.get("balsa-age-ms"), "0");
    });

    it("lease sees what was acknowledged, through any member", async () => {
      for (const member of [1, 2, 3]) {
        await put("/kv/lease", `${member}`);
        const path = "/kv/lease?consistency=lease";
        const answer = await trio.call(path, { member });
        assertEquals(answer.text, `${member}`);
      }
    });

    for (const value of ["strong", "", "STALE"]) {
      it(`${JSON.stringify(value)} is refused`, async () => {
        const answer = await trio.call(`/kv/a?consistency=${value}`);
        assertError(answer, 400, "badRequest");
      });
    }
  });

  describe("?forward=no", () => {
    const calls: readonly [string, Call][] = [
      ["/kv/redirected?forward=no", { method: "PUT", body: "x" }],
      ["/kv/redirected?forward=no", { method: "DELETE" }],
      ["/kv/redirected?forward=no", {}],
      ["/kv/a%2Fb%20c?consistency=lease&forward=no", {}],
      ["/kv?prefix=a&forward=no", {}],
    ];
    for (const [path, call] of calls) {
      it(`redirects ${call.method ?? "GET"} ${path} to the leader`, async () => {
        const { leader, follower } = trio;
        const answer = await trio.call(path, { ...call, member: follower });
        assertError(answer, 307, "notLeader");
        assertEquals(
          answer.headers.get("location"),
          `http://${clientAddress(leader)}${path}`,
        );
      });
    }

    it("is served by the leader itself", async () => {
      const { leader } = trio;
      await put("/kv/direct?forward=no", "x", { member: leader });
      const read = await trio.call("/kv/direct?forward=no", { member: leader });
      assertEquals(read.text, "x");
    });

    it("changes nothing for stale reads", async () => {
      const path = "/kv?consistency=stale&forward=no";
      const answer = await trio.call(path, { member: trio.follower });
      assertEquals(answer.status, 200);
    });
  });

  describe("Idempotency-Key", () => {
    it("answers a repeat with the first answer, through any member (H102)", async () => {
      const headers = { "Idempotency-Key": "client-7/1" };
      const first = await put("/kv/once", "1", { headers });
      await put("/kv/once", "2");
      for (const member of [1, 2, 3]) {
        const again = await put("/kv/once", "1", { headers, member });
        assertEquals(again, first);
      }
      assertEquals((await trio.call("/kv/once")).text, "2");
    });

    it("keeps clients and sequences apart", async () => {
      const keys = ["a/1", "a/2", "b/1"];
      const revisions = new Set<number>();
      for (const key of keys) {
        const headers = { "Idempotency-Key": key };
        revisions.add(await put("/kv/apart", key, { headers }));
      }
      assertEquals(revisions.size, keys.length);
    });

    it("remembers a refusal, too", async () => {
      await put("/kv/refused", "1");
      const headers = {
        "Idempotency-Key": "client-8/1",
        "If-None-Match": "*",
      };
      const call: Call = { method: "PUT", body: "2", headers };
      assertError(
        await trio.call("/kv/refused", call),
        412,
        "preconditionFailed",
      );
      await trio.call("/kv/refused", { method: "DELETE" });
      assertError(
        await trio.call("/kv/refused", { ...call, member: 2 }),
        412,
        "preconditionFailed",
      );
    });

    const malformed: readonly string[] = [
      "client",
      "client/",
      "/1",
      "client/one",
      "client/-1",
      "client/1.5",
      "client/1/2",
      "two words/1",
      `${"c".repeat(129)}/1`,
      "client/9999999999999999",
    ];
    for (const key of malformed) {
      it(`is refused as malformed: ${key.slice(0, 30)}`, async () => {
        for (const method of ["PUT", "DELETE"]) {
          const answer = await trio.call("/kv/bad-id", {
            method,
            body: method === "PUT" ? "x" : undefined,
            headers: { "Idempotency-Key": key },
          });
          assertError(answer, 400, "badRequest");
        }
        assertEquals((await trio.call("/kv/bad-id")).status, 404);
      });
    }
  });

  describe("routes and methods", () => {
    const wrong: readonly [string, string, string][] = [
      ["POST", "/kv/a", "GET, HEAD, PUT, DELETE"],
      ["PATCH", "/kv/a", "GET, HEAD, PUT, DELETE"],
      ["OPTIONS", "/kv/a", "GET, HEAD, PUT, DELETE"],
      ["PUT", "/kv", "GET, HEAD"],
      ["DELETE", "/kv", "GET, HEAD"],
      ["POST", "/status", "GET, HEAD"],
      ["PUT", "/healthz", "GET, HEAD"],
      ["DELETE", "/readyz", "GET, HEAD"],
      ["POST", "/metrics", "GET, HEAD"],
    ];
    for (const [method, path, allow] of wrong) {
      it(`answer 405 with Allow to ${method} ${path}`, async () => {
        const answer = await trio.call(path, { method });
        assertError(answer, 405, "wrongMethod");
        assertEquals(answer.headers.get("allow"), allow);
      });
    }

    const unknown = ["/", "/kvs/a", "/KV/a", "/status/", "/status/x", "//kv/a"];
    for (const path of unknown) {
      it(`answer 404 to ${path}`, async () => {
        for (const method of ["GET", "PUT"]) {
          const body = method === "PUT" ? "x" : undefined;
          const answer = await trio.call(path, { method, body });
          assertError(answer, 404, "unknownRoute");
        }
      });
    }

    it("refuse parameters they do not know", async () => {
      for (const path of ["/status?x=1", "/kv/a?prefix=a", "/readyz?a"]) {
        assertError(await trio.call(path), 400, "badRequest");
      }
      const answer = await trio.call("/kv/a?consistency=stale", {
        method: "PUT",
        body: "x",
      });
      assertError(answer, 400, "badRequest");
    });
  });

  describe("what a member tells about itself", () => {
    it("has exactly the fields of the contract", async () => {
      const { leader } = trio;
      await put("/kv/status", "x");
      const { json } = await trio.call("/status", { member: leader });
      assert(typeof json === "object" && json !== null);
      assertEquals(Object.keys(json).sort(), [
        "applied",
        "commit",
        "firstIndex",
        "group",
        "id",
        "lastIndex",
        "leader",
        "members",
        "role",
        "term",
      ]);
      assert("members" in json && Array.isArray(json.members));
      assertEquals(json.members.length, 3);
      for (const member of json.members) {
        assertEquals(Object.keys(member).sort(), [
          "address",
          "id",
          "lastContactMs",
          "match",
          "role",
          "state",
        ]);
        assertEquals(member.role, "voter");
        const { lastContactMs } = member;
        assert(lastContactMs === null || Number.isInteger(lastContactMs));
        assertEquals(member.address, `member-${member.id}:1`);
      }
      assert("id" in json && "leader" in json && "role" in json);
      assertEquals(json.id, leader);
      assertEquals(json.leader, leader);
      assertEquals(json.role, "leader");
    });

    it("names the same leader and term on every member", async () => {
      const views = [];
      for (const member of [1, 2, 3]) {
        const { json } = await trio.call("/status", { member });
        assert(typeof json === "object" && json !== null);
        assert("leader" in json && "term" in json && "group" in json);
        views.push([json.leader, json.term, json.group]);
      }
      assertEquals(views[1], views[0]);
      assertEquals(views[2], views[0]);
    });

    it("says that it lives and that it is ready", async () => {
      for (const member of [1, 2, 3]) {
        assertEquals((await trio.call("/healthz", { member })).status, 200);
        assertEquals((await trio.call("/readyz", { member })).status, 200);
      }
    });

    it("is not ready any more once it stops, but still serves", async () => {
      const app = new KvApp({ timeoutMs: 10_000 });
      for (const { group } of trio.members.slice(0, 1)) app.attach(group);
      const statusOf = async (path: string) => {
        const response = await app.fetch(new Request(`http://x${path}`));
        await response.arrayBuffer();
        return response.status;
      };
      assertEquals(await statusOf("/readyz"), 200);
      app.drain();
      assertEquals(await statusOf("/readyz"), 503);
      assertEquals(await statusOf("/healthz"), 200);
      assertEquals(await statusOf("/kv?prefix=x"), 200);
    });

    it("counts requests and shows the log in Prometheus text", async () => {
      const counter =
        /^balsa_kv_http_requests_total\{method="PUT",status="200"\} (\d+)$/m;
      const count = async () => {
        const { text } = await trio.call("/metrics", { member: 2 });
        return Number(counter.exec(text)?.[1] ?? "0");
      };
      const before = await count();
      await put("/kv/counted", "x", { member: 2 });
      assertEquals(await count(), before + 1);
      const { text, headers } = await trio.call("/metrics", { member: 2 });
      assertStringIncludes(headers.get("content-type") ?? "", "text/plain");
      for (
        const name of [
          "balsa_raft_term",
          "balsa_raft_commit_index",
          "balsa_raft_applied_index",
          "balsa_kv_http_request_duration_seconds_count",
          "process_cpu_seconds_total",
        ]
      ) assertMatch(text, new RegExp(`^${name}(\\{.*\\})? [0-9.e+-]+$`, "m"));
      assertMatch(text, /^balsa_raft_role\{role="[a-zA-Z]+"\} 1$/m);
      assert(text.endsWith("\n"));
    });
  });
});

describe("the outcome in an error", () => {
  let trio: Trio;
  before(async () => {
    trio = await Trio.start({ timeoutMs: 10_000 });
  });
  after(() => trio.stop());

  /** The `error` of the body without its message. */
  async function errorOf(path: string, call: Call): Promise<unknown> {
    const { json } = await trio.call(path, call);
    assert(typeof json === "object" && json !== null && "error" in json);
    assert(typeof json.error === "object" && json.error !== null);
    return { ...json.error, message: "" };
  }

  it("is notAppended for a write that was proposed to nobody (H104)", async () => {
    const member = trio.follower;
    const refused: readonly [string, string, Call][] = [
      ["/kv/%FF", "badKey", {}],
      ["/kv/a?x=1", "badRequest", {}],
      ["/kv/a", "badRequest", { headers: { "If-Match": "1" } }],
      ["/kv/a?forward=no", "notLeader", {}],
      ["/kv", "wrongMethod", {}],
    ];
    for (const [path, code, call] of refused) {
      for (const method of ["PUT", "DELETE"]) {
        assertEquals(
          await errorOf(path, { ...call, method, member }),
          { code, message: "", outcome: "notAppended" },
        );
      }
    }
  });

  it("is absent where the status says it all, and for reads", async () => {
    const headers = { "If-Match": `"999999"` };
    assertEquals(
      await errorOf("/kv/a", { method: "PUT", body: "x", headers }),
      { code: "preconditionFailed", message: "" },
    );
    assertEquals(await errorOf("/kv/%FF", {}), { code: "badKey", message: "" });
  });

  it("is notAppended while the member starts", async () => {
    const app = new KvApp({ timeoutMs: 1_000 });
    const request = new Request("http://x/kv/a", { method: "PUT", body: "x" });
    const response = await app.fetch(request);
    app.close();
    assertEquals(response.status, 503);
    assertEquals(response.headers.get("retry-after"), "1");
    const { error } = await response.json();
    assertEquals(error.code, "starting");
    assertEquals(error.outcome, "notAppended");
  });
});
