import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { isRaftError } from "@balsa/raft";
import {
  forceNewCluster,
  inspect,
  Refusal,
  restore,
  type RestoreOptions,
  verify,
  verifyBackup,
} from "@balsa/raft/tools";
import {
  addressOf,
  contents,
  fill,
  founders,
  type KvGroup,
  type Site,
  withSite,
} from "./support.ts";

/** Writes a backup of a group into a file. */
async function backUp(group: KvGroup, file: string): Promise<void> {
  const { chunks } = await group.backup();
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks()) parts.push(chunk);
  writeFileSync(file, Buffer.concat(parts));
}

/** A backup of ten keys of one member, which goes on. */
async function makeBackup(site: Site): Promise<string> {
  const only = await site.start("old", "orders", {
    node: 1,
    members: founders(1),
  });
  await fill(only.group, "old", 10);
  const session = only.group.session("client");
  const value = new Uint8Array(1);
  const key = "once";
  await session.propose({ type: "put", key, value }, { sequence: 1 });
  await backUp(only.group, site.path("backup"));
  await fill(only.group, "late", 5);
  return site.path("backup");
}

function options(site: Site, more: Partial<RestoreOptions>): RestoreOptions {
  return {
    file: site.path("backup"),
    directory: site.path("new"),
    deployment: "orders-2",
    node: 7,
    members: [{ id: 7, address: addressOf(7) }],
    ...more,
  };
}

describe("restore", () => {
  it("begins a cluster with everything as of the backup, sessions included (H70)", () =>
    withSite(async (site) => {
      await makeBackup(site);
      const outcome = await restore(options(site, {}));
      assertEquals(outcome.conf.voters, [7]);
      assertEquals(outcome.digest, (await verifyBackup(outcome.file)).digest);
      const { groups: [found] } = await inspect(site.path("new"));
      assertEquals(found?.snapshot?.index, outcome.manifest.index);
      assertEquals((await verify(site.path("new"))).problems, []);
      const members = [{ id: 7, address: addressOf(7) }];
      const { group } = await site.start("new", "orders-2", {
        node: 7,
        members,
      });
      const items = await contents(group);
      assertEquals(items.size, 11);
      assertEquals(items.get("old3"), "value of old3");
      const session = group.session("client");
      const value = new Uint8Array(2);
      // A repeat of what was done before the backup: nothing is written.
      await session.propose({ type: "put", key: "once", value }, {
        sequence: 1,
      });
      assertEquals((await contents(group)).get("once"), "\0");
    }));

  it("of several members makes one cluster of them", () =>
    withSite(async (site) => {
      await makeBackup(site);
      const members = [4, 5, 6].map((id) => ({ id, address: addressOf(id) }));
      const groups: KvGroup[] = [];
      for (const { id } of members) {
        const directory = site.path(`${id}`);
        await restore(options(site, { directory, node: id, members }));
      }
      for (const { id } of members) {
        const started = await site.start(`${id}`, "orders-2", {
          node: id,
          members,
        });
        groups.push(started.group);
      }
      const [first] = groups;
      assert(first !== undefined);
      await fill(first, "new", 3);
      for (const group of groups) {
        assertEquals((await contents(group)).size, 14);
      }
    }));

  it("refuses a directory that holds anything", () =>
    withSite(async (site) => {
      await makeBackup(site);
      const directory = site.path("old");
      const error = await assertRejects(() =>
        restore(options(site, { directory }))
      );
      assert(error instanceof Refusal);
      assertMatch(error.message, /wanted an empty directory or none/);
    }));

  it("refuses the old deployment's name, unless told that it is gone (H87)", () =>
    withSite(async (site) => {
      await makeBackup(site);
      const deployment = "orders";
      const error = await assertRejects(() =>
        restore(options(site, { deployment }))
      );
      assert(error instanceof Refusal);
      assertMatch(error.message, /was taken from deployment "orders"/);
      const sameDeployment = true;
      const members = [{ id: 1, address: addressOf(1) }];
      await assertRejects(
        () =>
          restore(
            options(site, { deployment, sameDeployment, node: 1, members }),
          ),
        RangeError,
        "members 1 were in deployment",
      );
      assert(!existsSync(site.path("new")));
      const { conf } = await restore(
        options(site, { deployment, sameDeployment }),
      );
      assertEquals([conf.voters, conf.removed], [[7], [1]]);
    }));

  it("touches nothing if a single byte of the backup is wrong", () =>
    withSite(async (site) => {
      const file = await makeBackup(site);
      const bytes = readFileSync(file);
      for (let at = 0; at < bytes.length; at += 37) {
        const damaged = new Uint8Array(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        writeFileSync(file, damaged);
        const error = await assertRejects(() => restore(options(site, {})));
        assert(
          isRaftError(error, "corrupt") ||
            isRaftError(error, "unsupportedFormat"),
          `byte ${at}: ${error}`,
        );
        assert(!existsSync(site.path("new")));
      }
    }));
});

describe("force-new-cluster", () => {
  it("keeps a snapshot, and what comes behind it", () =>
    withSite(async (site) => {
      const members = founders(3);
      const trio = [];
      for (const { id } of members) {
        trio.push(
          await site.start(`${id}`, "orders", {
            node: id,
            members,
            snapshotTrailing: 0,
          }),
        );
      }
      const [, , third] = trio;
      assert(third !== undefined);
      await fill(third.group, "old", 10);
      await contents(third.group);
      await third.group.snapshot();
      await fill(third.group, "more", 5);
      for (const { group } of trio) {
        assertEquals((await contents(group)).size, 15);
      }
      await site.stop(...trio);
      const before = await inspect(site.path("3"));
      const snapshot = before.groups[0]?.snapshot;
      assert(snapshot !== null && snapshot !== undefined);
      await forceNewCluster({
        directory: site.path("3"),
        groups: [{ group: 1, node: 4 }],
        deployment: "orders-2",
      });
      const { groups: [after] } = await inspect(site.path("3"));
      assertEquals(after?.snapshot, snapshot);
      assertEquals((await verify(site.path("3"))).problems, []);
      const address = addressOf(3);
      const alone = await site.start("3", "orders-2", {
        node: 4,
        address,
        members: [{ id: 4, address }],
        snapshotTrailing: 0,
      });
      assertEquals((await contents(alone.group)).size, 15);
      // Who joins now gets the snapshot, not the log, and the same members.
      await alone.group.snapshot();
      await site.start("5", "orders-2", { node: 5, join: true });
      const { conf } = await alone.group.changeMembership({
        add: [{ id: 5, address: addressOf(5) }],
      });
      assertEquals([conf.voters, conf.removed], [[4, 5], [1, 2, 3]]);
    }));
});
