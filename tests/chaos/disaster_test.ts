/** Disasters with real processes, and the ways out of them. */
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  dump,
  fetchBackup,
  forceNewCluster,
  restore,
  verify,
  verifyBackup,
} from "@balsa/raft/tools";
import { type Acknowledged, type Drill, Load, withDrill } from "./drill.ts";

const TRIO = [1, 2, 3] as const;
/** Writes that are acknowledged before the disaster. */
const WRITES = 60;

/** Commands in a log, as text: keys can be looked for in it. */
async function commandsIn(directory: string): Promise<string> {
  const texts: string[] = [];
  for await (const { type, payload } of dump(directory, { group: 1 })) {
    if (type !== "command") continue;
    texts.push(Buffer.from(payload, "base64").toString("latin1"));
  }
  return texts.join("\n");
}

/** Three members; resolves once a write went through. */
async function startTrio(site: Drill) {
  const servers = await Promise.all(
    TRIO.map((id) =>
      site.serve({ id, data: `${id}`, deployment: "kv", members: TRIO })
    ),
  );
  const { status } = await site.request(1, "/kv/first", {
    method: "PUT",
    body: "value of first",
  });
  assertEquals(status, 200);
  return servers;
}

describe("a disaster", () => {
  it("that leaves one directory of three: every write it had is served again, and old members are refused (U31)", () =>
    withDrill(7, async (site) => {
      const servers = await startTrio(site);
      const load = new Load();
      const writing = TRIO.map((id) => site.write(id, load));
      await load.more(WRITES);
      await Promise.all(servers.map((server) => server.signal("SIGKILL")));
      load.isOver = true;
      await Promise.all(writing);
      const { acknowledged } = load;
      site.copy("1", "saved");
      site.destroy("1");
      site.destroy("2");

      const survived = await commandsIn(site.path("3"));
      const had = acknowledged.filter(({ key }) => survived.includes(key));
      // Two of three have each of them; most are with the third as well.
      assert(had.length > acknowledged.length / 3, `${had.length} survived`);
      const { kept } = await forceNewCluster({
        directory: site.path("3"),
        groups: [{ group: 1, node: 4 }],
        deployment: "kv-2",
      });
      assertEquals((await verify(kept)).verdict.type, "opens");
      const deployment = "kv-2";
      // Where member 3 was: there the old ones will look for it.
      const at = { 4: 3 };
      await site.serve({ id: 4, data: "3", deployment, members: [4], at });
      for (const id of [5, 6]) {
        const data = `${id}`;
        await site.serve({ id, data, deployment, members: [id], join: true });
      }
      const add = [5, 6].map((id) => ({ id, address: site.raft(id) }));
      const body = JSON.stringify({ add });
      // Once it leads.
      await site.request(4, "/kv/forced", { method: "PUT", body: "x" });
      const { text } = await site.request(4, "/members", {
        method: "POST",
        body,
      });
      assertEquals(JSON.parse(text).voters, [4, 5, 6], text);
      for (const id of [4, 5, 6]) {
        const items = await site.list(id);
        for (const { key } of had) {
          assertEquals(items.get(key)?.value, `value of ${key}`);
        }
      }
      await refusesTheOld(site);
    }));

  /** A saved copy of a destroyed directory comes back, in every way. */
  async function refusesTheOld(site: Drill): Promise<void> {
    const before = JSON.parse((await site.request(4, "/status")).text);
    const old = { id: 1, data: "saved", members: TRIO };
    // As it was.
    site.copy("saved", "saved-2");
    const stale = site.launch({ ...old, data: "saved-2", deployment: "kv" });
    await stale.errorLine(
      /is rejected: .*wrongDeployment: .* belongs to "kv", .* to "kv-2"/,
    );
    await stale.signal("SIGKILL");
    // For the new cluster.
    const told = site.launch({ ...old, deployment: "kv-2" });
    const { code, err } = await told.end();
    assertEquals(code, 3);
    assertMatch(err, /belongs to deployment "kv", wanted "kv-2"/);
    // Its id is gone for good, on whatever disk.
    const body = JSON.stringify({ add: [{ id: 1, address: site.raft(1) }] });
    const init = { method: "POST", body };
    const refused = await site.request(before.leader, "/members", init);
    assertEquals(refused.status, 409);
    assertMatch(refused.text, /removedMember/);
    const after = JSON.parse((await site.request(4, "/status")).text);
    assertEquals([after.term, after.leader], [before.term, before.leader]);
  }

  it("that leaves nothing but a backup: taken while clients write, it is restored as of its revision (U32)", () =>
    withDrill(7, async (site) => {
      const servers = await startTrio(site);
      const load = new Load();
      const writing = TRIO.map((id) => site.write(id, load));
      await load.more(WRITES / 2);
      const probe = await site.request(2, "/kv/probe", {
        method: "PUT",
        body: "value of probe",
      });
      const { revision: least } = JSON.parse(probe.text);
      const file = site.path("backup");
      const url = `http://${site.http(3)}/backup`;
      const { manifest, digest } = await fetchBackup({ url, file });
      assertEquals([manifest.deployment, manifest.group], ["kv", 1]);
      await load.more(WRITES / 2);
      load.isOver = true;
      await Promise.all(writing);
      const { acknowledged } = load;
      await Promise.all(servers.map((server) => server.signal("SIGKILL")));
      for (const id of TRIO) site.destroy(`${id}`);
      assertEquals((await verifyBackup(file)).digest, digest);

      const members = [4, 5, 6].map((id) => ({ id, address: site.raft(id) }));
      for (const { id } of members) {
        await restore({
          file,
          directory: site.path(`${id}`),
          deployment: "kv-restored",
          node: id,
          members,
        });
      }
      await Promise.all([4, 5, 6].map((id) =>
        site.serve({
          id,
          data: `${id}`,
          deployment: "kv-restored",
          members: [4, 5, 6],
        })
      ));
      for (const id of [4, 5, 6]) {
        assertEqualsAsOf(await site.list(id), acknowledged, least);
      }
    }));

  /** Exactly the writes up to some revision, at least `least`. */
  function assertEqualsAsOf(
    items: Awaited<ReturnType<Drill["list"]>>,
    acknowledged: readonly Acknowledged[],
    least: number,
  ): void {
    const last = Math.max(...[...items.values()].map((it) => it.revision));
    assert(last >= least, `the backup ends at ${last}, wanted ${least}`);
    assert(
      acknowledged.some(({ revision }) => revision > last),
      "nobody wrote after the backup",
    );
    // Every revision is the one write of one key.
    assertEquals(items.size, last);
    for (const { key, revision } of acknowledged) {
      const found = items.get(key);
      if (revision > last) assertEquals(found, undefined);
      else {
        assertEquals(found, { key, value: `value of ${key}`, revision });
      }
    }
  }
});
