/** A member at the edge: workerd, started by miniflare, keeps its data. */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Miniflare } from "miniflare";

const workerPath =
  new URL("./durable_object_worker.ts", import.meta.url).pathname;

let folder = "";
let worker = "";

before(async () => {
  folder = await Deno.makeTempDir({ prefix: "balsa-edge-" });
  const bundle = `${folder}/worker.mjs`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "-q", "--platform=browser", "-o", bundle, workerPath],
    stdin: "null",
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  worker = await Deno.readTextFile(bundle);
});

after(() => Deno.remove(folder, { recursive: true }));

/** A process of workerd over the data in the folder. */
async function withWorker<T>(
  action: (get: (path: string) => Promise<unknown>) => Promise<T>,
): Promise<T> {
  const miniflare = new Miniflare({
    modules: true,
    script: worker,
    compatibilityDate: "2026-01-01",
    durableObjects: { MEMBER: { className: "Member", useSQLite: true } },
    durableObjectsPersist: `${folder}/objects`,
  });
  try {
    return await action(async (path) => {
      const response = await miniflare.dispatchFetch(`http://edge${path}`);
      const text = await response.text();
      assert(response.ok, text);
      return JSON.parse(text);
    });
  } finally {
    await miniflare.dispose();
  }
}

describe("KvStorage in a Durable Object", () => {
  it("keeps the contract of storages", async () => {
    const results = await withWorker((get) => get("/suite"));
    assert(Array.isArray(results) && results.length > 25, "no suite ran");
    assertEquals(results.filter(([, result]) => result !== "ok"), []);
  });

  it("holds a member that survives restarts of the worker", async () => {
    for (const round of [1, 2]) {
      await withWorker(async (get) => {
        const before = await get("/serve?key=colour");
        const wanted = round === 1 ? undefined : `shade ${round - 1}`;
        assertEquals(Reflect.get(Object(before), "value"), wanted);
        await get(`/serve?key=colour&value=shade+${round}`);
      });
    }
  });
});
