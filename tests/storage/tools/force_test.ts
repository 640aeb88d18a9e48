import { describe, it } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  forceNewCluster,
  type ForceOptions,
  inspect,
  planForceNewCluster,
  Refusal,
} from "@balsa/raft/tools";
import { type ConfChange, type Entry, isRaftError } from "@balsa/raft";
import { WalStorage } from "@balsa/raft/storage/wal";
import { EMPTY_CONF } from "../../../src/core/types.ts";
import {
  addressOf,
  contents,
  fill,
  fingerprint,
  founders,
  type Running,
  type Site,
  withSite,
} from "./support.ts";

const OLD = "orders";
const NEW = "orders-2";

/** Three members that hold the same ten keys, stopped. */
async function stoppedTrio(site: Site): Promise<void> {
  const members = founders(3);
  const trio: Running[] = [];
  for (const { id } of members) {
    trio.push(await site.start(`${id}`, OLD, { node: id, members }));
  }
  const [first] = trio;
  assert(first !== undefined);
  await fill(first.group, "old", 10);
  // Every member has applied, hence has, everything.
  for (const { group } of trio) assertEquals((await contents(group)).size, 10);
  await site.stop(...trio);
}

/** Starts what was forced. */
function startAlone(site: Site, address = addressOf(4)): Promise<Running> {
  const members = [{ id: 4, address }];
  return site.start("3", NEW, { node: 4, address, members });
}

/** A log of member 3 of three, with these changes at its end. */
async function writeLog(
  directory: string,
  changes: readonly ConfChange[],
): Promise<void> {
  const storage = new WalStorage({ directory });
  await storage.open({ deployment: OLD });
  const conf = { ...EMPTY_CONF, voters: [1, 2, 3], addresses: founders(3) };
  const snapshot = { index: 0, term: 0, conf };
  const entries: Entry[] = [
    { type: "noop", term: 1, index: 1 },
    ...changes.map((change, i): Entry => ({
      type: "confChange",
      term: 1,
      index: 2 + i,
      change,
    })),
  ];
  const hardState = { term: 1, vote: 1, commit: 1 };
  const create = { node: 3, snapshot };
  await storage.write([{ group: 1, create, hardState, entries }]);
  await storage.close();
}

function options(site: Site, more: Partial<ForceOptions> = {}): ForceOptions {
  return {
    directory: site.path("3"),
    groups: [{ group: 1, node: 4, address: addressOf(4) }],
    deployment: NEW,
    ...more,
  };
}

describe("force-new-cluster", () => {
  it("keeps every entry of the survivor, and lets fresh members join", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      const before = fingerprint(site.path("3"));
      const { kept, incarnation } = await forceNewCluster(options(site));
      assertEquals(fingerprint(kept), before);
      assertEquals((await inspect(kept)).heldBy, null);
      const alone = await startAlone(site);
      assertEquals((await contents(alone.group)).size, 10);
      for (const node of [5, 6]) {
        await site.start(`fresh-${node}`, NEW, { node, join: true });
      }
      const add = [5, 6].map((id) => ({ id, address: addressOf(id) }));
      const { conf } = await alone.group.changeMembership({ add });
      assertEquals(conf.voters, [4, 5, 6]);
      assertEquals(conf.removed, [1, 2, 3]);
      assertEquals(
        conf.incarnations.find(({ id }) => id === 4)?.incarnation,
        incarnation,
      );
      await fill(alone.group, "new", 3);
      assertEquals((await contents(alone.group)).size, 13);
    }));

  it("leaves the old members behind, whatever configuration was in force", () =>
    withSite(async (site) => {
      const step = (type: "addVoter" | "remove" | "addLearner", node: number) =>
        type === "remove"
          ? { type, node }
          : { type, node, address: addressOf(node) };
      const changes: readonly (readonly ConfChange[])[] = [
        // In the middle of a joint configuration.
        [{
          transition: "explicit",
          steps: [step("addVoter", 4), step("remove", 1)],
        }],
        // The survivor is a learner, or removed.
        [{ transition: "auto", steps: [step("addLearner", 3)] }],
        [{ transition: "simple", steps: [step("remove", 3)] }],
        // Several, the last of which does not fit.
        [
          { transition: "simple", steps: [step("addLearner", 4)] },
          { transition: "simple", steps: [step("addVoter", 4)] },
          { transition: "auto", steps: [] },
        ],
      ];
      for (const [at, log] of changes.entries()) {
        const directory = site.path(`log-${at}`);
        await writeLog(directory, log);
        await forceNewCluster({
          directory,
          groups: [{ group: 1, node: 9, address: addressOf(9) }],
          deployment: NEW,
        });
        const members = [{ id: 9, address: addressOf(9) }];
        const alone = await site.start(`log-${at}`, NEW, { node: 9, members });
        await fill(alone.group, "new", 1);
        assertEquals((await contents(alone.group)).size, 1);
        const ids = alone.group.status().members.map(({ id }) => id);
        assertEquals(ids, [9], `log ${at}`);
        const used = at === 0 || at === 3 ? [1, 2, 3, 4] : [1, 2, 3];
        for (const id of used) {
          const add = [{ id, address: addressOf(id) }];
          const error = await assertRejects(() =>
            alone.group.changeMembership({ add })
          );
          assert(isRaftError(error, "removedMember"), `log ${at}: ${error}`);
        }
        await site.stop(alone);
      }
    }));

  it("keeps the old majority out of the new cluster, and its terms (H87)", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      const survivor = addressOf(3);
      await forceNewCluster(options(site, {
        groups: [{ group: 1, node: 4 }],
      }));
      const alone = await startAlone(site, survivor);
      await fill(alone.group, "new", 3);
      const { term } = alone.group.status();
      // They know the survivor by its address, and are a quorum of three.
      const old = [
        await site.start("1", OLD, { node: 1, members: founders(3) }),
        await site.start("2", OLD, { node: 2, members: founders(3) }),
      ];
      for (const { group } of old) {
        assertEquals((await contents(group)).size, 10);
      }
      // However often they elect, to reach higher terms.
      for (const to of [1, 2, 1, 2]) {
        const leader = old.find(({ group }) =>
          group.status().role === "leader"
        );
        if (leader?.group.node === to) continue;
        await leader?.group.transferLeadership(to);
      }
      assert(old.some(({ group }) => group.status().term > term));
      const refusal = alone.events.find(({ type }) => type === "refused");
      assert(refusal?.type === "refused");
      assertEquals(refusal.code, "wrongDeployment");
      assertMatch(refusal.reason, /belongs to "orders"/);
      const told = old.flatMap(({ events }) => events).find((event) =>
        event.type === "peer" && event.address === survivor &&
        event.state.type === "rejected"
      );
      assert(told !== undefined, "no old member was told");
      // Nothing of it reached the new cluster.
      await fill(alone.group, "late", 1);
      assertEquals(alone.group.status().term, term);
      assertEquals((await contents(alone.group)).size, 14);
      assertEquals(alone.group.status().members.map(({ id }) => id), [4]);
    }));

  it("keeps out an old member that is started for the new deployment", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      await forceNewCluster(options(site));
      const error = await assertRejects(() =>
        site.start("1", NEW, { node: 1, members: founders(3) })
      );
      assert(isRaftError(error, "identityMismatch"), String(error));
      assertMatch(error.message, /belongs to deployment "orders", wanted/);
    }));

  it("keeps out an old id on an empty disk of the new deployment (H80)", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      await forceNewCluster(options(site));
      const alone = await startAlone(site);
      assertEquals((await contents(alone.group)).size, 10);
      const add = [{ id: 2, address: addressOf(2) }];
      const error = await assertRejects(() =>
        alone.group.changeMembership({ add })
      );
      assert(isRaftError(error, "removedMember"), String(error));
    }));

  it("keeps out the survivor's own past", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      const { kept } = await forceNewCluster(options(site));
      const name = kept.slice(site.directory.length + 1);
      const error = await assertRejects(() =>
        site.start(name, NEW, { node: 3, members: founders(3) })
      );
      assert(isRaftError(error, "identityMismatch"), String(error));
    }));

  it("says what it would do, and changes nothing", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      const before = fingerprint(site.path("3"));
      const plan = await planForceNewCluster(options(site));
      assertEquals(fingerprint(site.path("3")), before);
      const { groups: [found] } = await inspect(site.path("3"));
      const [group] = plan.groups;
      assert(found !== undefined && group !== undefined);
      assertEquals(group.lastIndex, found.lastIndex);
      assertEquals(group.removed, [1, 2, 3]);
      assertEquals([group.formerNode, group.node], [3, 4]);
      assertEquals([plan.formerDeployment, plan.deployment], [OLD, NEW]);
    }));
});

describe("force-new-cluster refuses", () => {
  async function refusal(
    site: Site,
    more: Partial<ForceOptions>,
  ): Promise<string> {
    const before = fingerprint(site.path("3"));
    const error = await assertRejects(() =>
      forceNewCluster(options(site, more))
    );
    assert(error instanceof Refusal || error instanceof RangeError);
    assertEquals(fingerprint(site.path("3")), before);
    return error.message;
  }

  it("a survivor that another one is ahead of, and says which", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      site.copy("3", "behind");
      const members = founders(3);
      const ahead = [
        await site.start("1", OLD, { node: 1, members }),
        await site.start("2", OLD, { node: 2, members }),
      ];
      const [first] = ahead;
      assert(first !== undefined);
      await fill(first.group, "more", 5);
      await site.stop(...ahead);
      assertMatch(
        await refusal(site, { others: [site.path("1")] }),
        /1" is the better survivor of group 1, its log ends at/,
      );
    }));

  it("when a quorum is at hand", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      site.copy("1", "behind");
      const { groups: [one] } = await inspect(site.path("1"));
      const { groups: [three] } = await inspect(site.path("3"));
      // Whoever ends first may lack an election's entry.
      const others = (one?.lastIndex ?? 0) > (three?.lastIndex ?? 0)
        ? { directory: site.path("1"), others: [site.path("3")] }
        : { others: [site.path("1")] };
      assertMatch(
        await refusal(site, others),
        /members 1, 3 of group 1 are a quorum of 1, 2, 3/,
      );
    }));

  it("the old deployment's name, and ids that were used", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      assertMatch(await refusal(site, { deployment: OLD }), /"orders" is the/);
      const groups = [{ group: 1, node: 2 }];
      assertMatch(await refusal(site, { groups }), /none of 1, 2, 3/);
      assertMatch(await refusal(site, { groups: [] }), /group 1 is in/);
    }));

  it("a directory in use", () =>
    withSite(async (site) => {
      await stoppedTrio(site);
      const members = founders(3);
      await site.start("3", OLD, { node: 3, members });
      const error = await assertRejects(() => forceNewCluster(options(site)));
      assert(error instanceof Refusal);
      assertMatch(error.message, /process \d+ uses/);
    }));
});
