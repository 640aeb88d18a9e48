import { assertEquals } from "@std/assert";
import { after, before, describe, it } from "node:test";
import { assertError, type Call, revisionOf, Trio } from "./trio.ts";

describe("the HTTP contract of a key", () => {
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

  describe("PUT, GET and DELETE /kv/{key}", () => {
    it("store, show and remove bytes through any member", async () => {
      const bytes = new Uint8Array(256).map((_, i) => i);
      const written = await trio.call("/kv/bytes", {
        method: "PUT",
        body: bytes,
        member: 1,
      });
      const revision = revisionOf(written.json);
      assertEquals(written.text, `{"revision":${revision}}`);
      assertEquals(written.headers.get("etag"), `"${revision}"`);
      assertEquals(written.headers.get("content-type"), "application/json");
      for (const member of [1, 2, 3]) {
        const read = await trio.call("/kv/bytes", { member });
        assertEquals(read.status, 200);
        assertEquals(read.bytes, bytes);
        assertEquals(read.headers.get("etag"), `"${revision}"`);
      }
      const removed = await trio.call("/kv/bytes", {
        method: "DELETE",
        member: 2,
      });
      assertEquals(removed.status, 200);
      assertEquals(removed.json, { revision: revision + 1, deleted: true });
      const gone = await trio.call("/kv/bytes", { member: 3 });
      assertError(gone, 404, "noSuchKey");
    });

    it("count revisions over the whole store, deletes included", async () => {
      const first = await put("/kv/count-a", "1");
      assertEquals(await put("/kv/count-b", "1"), first + 1);
      const nothing = await trio.call("/kv/count-none", { method: "DELETE" });
      assertEquals(nothing.json, { revision: first + 2, deleted: false });
      assertEquals(await put("/kv/count-a", "2"), first + 3);
      const b = await trio.call("/kv/count-b");
      assertEquals(b.headers.get("etag"), `"${first + 1}"`);
    });

    it("keep an empty value apart from none", async () => {
      await put("/kv/empty", "");
      const read = await trio.call("/kv/empty");
      assertEquals(read.status, 200);
      assertEquals(read.bytes.length, 0);
    });

    it("take a value of exactly 1 MiB", async () => {
      const body = new Uint8Array(1 << 20).fill(7);
      const written = await trio.call("/kv/large", { method: "PUT", body });
      assertEquals(written.status, 200, written.text);
      const read = await trio.call("/kv/large", { member: 3 });
      assertEquals(read.bytes, body);
      await trio.call("/kv/large", { method: "DELETE" });
    });

    it("answer HEAD as GET without the body", async () => {
      const revision = await put("/kv/head", "body");
      const answer = await trio.call("/kv/head", { method: "HEAD" });
      assertEquals(answer.status, 200);
      assertEquals(answer.headers.get("etag"), `"${revision}"`);
      assertEquals(answer.bytes.length, 0);
      const none = await trio.call("/kv/no-head", { method: "HEAD" });
      assertEquals(none.status, 404);
    });

    it("answer HEAD with the length that GET has", async () => {
      await put("/kv/head", "body");
      const paths = ["/kv/head", "/kv?prefix=head", "/kv/no-head", "/nowhere"];
      for (const path of paths) {
        const got = await trio.call(path);
        const head = await trio.call(path, { method: "HEAD" });
        assertEquals(
          head.headers.get("content-length"),
          `${got.bytes.length}`,
          path,
        );
        assertEquals(head.bytes.length, 0);
      }
    });

    it("answer 304 to a GET that has the revision already", async () => {
      const revision = await put("/kv/cached", "x");
      const cases: readonly [string, number][] = [
        [`"${revision}"`, 304],
        [`W/"${revision}"`, 304],
        [`"1000000", "${revision}"`, 304],
        ["*", 304],
        [`"${revision + 1}"`, 200],
      ];
      for (const [tag, status] of cases) {
        const answer = await trio.call("/kv/cached", {
          headers: { "If-None-Match": tag },
        });
        assertEquals(answer.status, status, tag);
        assertEquals(answer.headers.get("etag"), `"${revision}"`);
      }
    });
  });

  describe("conditional writes", () => {
    it("write under If-Match only at that revision", async () => {
      const revision = await put("/kv/match", "1");
      const headers = { "If-Match": `"${revision}"` };
      const next = await put("/kv/match", "2", { headers, member: 2 });
      assertEquals(next, revision + 1);
      const late = await trio.call("/kv/match", {
        method: "PUT",
        body: "3",
        headers,
        member: 3,
      });
      assertError(late, 412, "preconditionFailed");
      assertEquals((await trio.call("/kv/match")).text, "2");
    });

    it("write under If-None-Match: * only where nothing is", async () => {
      const headers = { "If-None-Match": "*" };
      const revision = await put("/kv/create", "1", { headers });
      const again = await trio.call("/kv/create", {
        method: "PUT",
        body: "2",
        headers,
      });
      assertError(again, 412, "preconditionFailed");
      assertEquals(again.headers.get("etag"), `"${revision}"`);
      await trio.call("/kv/create", { method: "DELETE" });
      await put("/kv/create", "3", { headers });
    });

    it("write under If-Match: * only where something is", async () => {
      const headers = { "If-Match": "*" };
      const none = await trio.call("/kv/present", {
        method: "PUT",
        body: "1",
        headers,
      });
      assertError(none, 412, "preconditionFailed");
      await put("/kv/present", "1");
      await put("/kv/present", "2", { headers });
      assertEquals((await trio.call("/kv/present")).text, "2");
    });

    it("delete under the same conditions", async () => {
      const revision = await put("/kv/delete-match", "1");
      const stale = await trio.call("/kv/delete-match", {
        method: "DELETE",
        headers: { "If-Match": `"${revision + 1}"` },
      });
      assertError(stale, 412, "preconditionFailed");
      const right = await trio.call("/kv/delete-match", {
        method: "DELETE",
        headers: { "If-Match": `"${revision}"` },
      });
      assertEquals(right.status, 200);
    });

    it("take no revision when the condition does not hold", async () => {
      const revision = await put("/kv/untouched", "1");
      await trio.call("/kv/untouched", {
        method: "PUT",
        body: "2",
        headers: { "If-None-Match": "*" },
      });
      assertEquals(await put("/kv/untouched", "3"), revision + 1);
    });

    it("never hold for revision 0, which no key has", async () => {
      const answer = await trio.call("/kv/zero", {
        method: "PUT",
        body: "1",
        headers: { "If-Match": `"0"` },
      });
      assertError(answer, 412, "preconditionFailed");
    });

    const malformed: readonly Readonly<Record<string, string>>[] = [
      { "If-Match": "1" },
      { "If-Match": `"one"` },
      { "If-Match": `"01"` },
      { "If-Match": `"-1"` },
      { "If-Match": `W/"1"` },
      { "If-Match": `"1", "2"` },
      { "If-Match": `"1` },
      { "If-Match": `"9999999999999999"` },
      { "If-None-Match": `"1"` },
      { "If-None-Match": "**" },
      { "If-Match": "*", "If-None-Match": "*" },
    ];
    for (const headers of malformed) {
      it(`are refused as malformed: ${JSON.stringify(headers)}`, async () => {
        const answer = await trio.call("/kv/malformed", {
          method: "PUT",
          body: "x",
          headers,
        });
        assertError(answer, 400, "badRequest");
        assertEquals((await trio.call("/kv/malformed")).status, 404);
      });
    }
  });

  describe("keys", () => {
    const names: readonly [string, string][] = [
      ["/kv/plain", "plain"],
      ["/kv/with%20space", "with space"],
      ["/kv/a+b", "a+b"],
      ["/kv/a/b/c", "a/b/c"],
      ["/kv/a%2Fb%2fd", "a/b/d"],
      ["/kv/%E6%BC%A2%F0%9F%8C%B3", "漢🌳"],
      ["/kv/%2525", "%25"],
      ["/kv/%00", "\0"],
      ["/kv/__proto__", "__proto__"],
      ["/kv/constructor", "constructor"],
      ["/kv/a%3Fb%23c", "a?b#c"],
      ["/kv/trailing/", "trailing/"],
      [`/kv/${"k".repeat(1024)}`, "k".repeat(1024)],
      [`/kv/${"%C3%A9".repeat(512)}`, "é".repeat(512)],
    ];
    for (const [path, key] of names) {
      const shown = path.length > 40 ? `${path.slice(0, 40)}…` : path;
      it(`are decoded once: ${shown}`, async () => {
        const revision = await put(path, path);
        assertEquals((await trio.call(path)).text, path);
        const prefix = encodeURIComponent(key);
        const list = await trio.call(`/kv?prefix=${prefix}`, { member: 2 });
        assertEquals(list.json, {
          items: [{ key, value: btoa(path), revision }],
          next: null,
        });
        await trio.call(path, { method: "DELETE" });
      });
    }

    const bad: readonly string[] = [
      "/kv/",
      "/kv/%",
      "/kv/%4",
      "/kv/%zz",
      "/kv/a%",
      "/kv/%FF",
      "/kv/%C0%80",
      "/kv/%ED%A0%80",
      "/kv/%E6%BC",
      `/kv/${"k".repeat(1025)}`,
      `/kv/${"%C3%A9".repeat(513)}`,
    ];
    for (const path of bad) {
      const shown = path.length > 40 ? `${path.slice(0, 40)}…` : path;
      it(`are refused: ${shown}`, async () => {
        for (const method of ["GET", "PUT", "DELETE"]) {
          const body = method === "PUT" ? "x" : undefined;
          assertError(await trio.call(path, { method, body }), 400, "badKey");
        }
      });
    }
  });

  describe("bodies", () => {
    it("beyond 1 MiB are refused by length, unread", async () => {
      const answer = await trio.call("/kv/too-large", {
        method: "PUT",
        body: new Uint8Array((1 << 20) + 1),
      });
      assertError(answer, 413, "tooLarge");
      assertEquals((await trio.call("/kv/too-large")).status, 404);
    });
  });
});
