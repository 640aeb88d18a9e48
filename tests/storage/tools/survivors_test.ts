/**
 * Which directories can be forced, and which of several is the one.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import type { ConfState, Entry } from "@balsa/raft";
import { WalStorage } from "@balsa/raft/storage/wal";
import {
  forceNewCluster,
  type ForceOptions,
  inspect,
  Refusal,
} from "@balsa/raft/tools";
import { EMPTY_CONF } from "../../../src/core/types.ts";
import {
  addressOf,
  contents,
  fill,
  fingerprint,
  founders,
  type Site,
  withSite,
} from "./support.ts";

const OLD = "orders";
const NEW = "orders-2";
const FIVE: ConfState = {
  ...EMPTY_CONF,
  voters: [1, 2, 3, 4, 5],
  addresses: founders(5),
};

/** What a member of group 1 holds. */
interface Log {
  readonly node: number;
  readonly entries: readonly Entry[];
  readonly conf?: ConfState | undefined;
  /** Groups that the member has joined, and of which it knows nothing yet. */
  readonly joining?: readonly number[] | undefined;
}

function noops(count: number, term = 1): Entry[] {
  return Array.from(
    { length: count },
    (_, i) => ({ type: "noop", term, index: i + 1 }),
  );
}

async function write(site: Site, name: string, log: Log): Promise<void> {
  const { conf = FIVE, entries, joining = [], node } = log;
  const storage = new WalStorage({ directory: site.path(name) });
  await storage.open({ deployment: OLD });
  const hardState = { term: 9, vote: null, commit: 1 };
  const create = { node, snapshot: { index: 0, term: 0, conf } };
  await storage.write([{ group: 1, create, hardState, entries }]);
  for (const group of joining) {
    const snapshot = { index: 0, term: 0, conf: EMPTY_CONF };
    await storage.write([{ group, create: { node, snapshot }, entries: [] }]);
  }
  await storage.close();
}

function optionsFor(
  site: Site,
  name: string,
  more: Partial<ForceOptions> = {},
): ForceOptions {
  const groups = [{ group: 1, node: 900 }];
  return { directory: site.path(name), groups, deployment: NEW, ...more };
}

/** Why it is refused; nothing is changed then. */
async function refusal(site: Site, options: ForceOptions): Promise<string> {
  const before = fingerprint(site.directory);
  const error = await assertRejects(() => forceNewCluster(options));
  assert(error instanceof Refusal || error instanceof RangeError);
  assertEquals(fingerprint(site.directory), before);
  return error.message;
}

/** Starts what was forced: it must elect itself and take writes. */
async function lives(site: Site, name: string): Promise<readonly number[]> {
  const address = addressOf(3);
  const members = [{ id: 900, address }];
  const alone = await site.start(name, NEW, { node: 900, address, members });
  await fill(alone.group, "new", 2);
  assertEquals((await contents(alone.group)).size, 2);
  const ids = alone.group.status().members.map(({ id }) => id);
  await site.stop(alone);
  return ids;
}

describe("force-new-cluster", () => {
  it("refuses a witness, which has nothing to survive", () =>
    withSite(async (site) => {
      const conf = { ...FIVE, witnesses: [3] };
      await write(site, "3", { node: 3, entries: noops(3), conf });
      const omitted: Entry = { type: "omitted", term: 1, index: 4 };
      const entries = [...noops(3), omitted];
      await write(site, "was one", { node: 3, entries });
      for (const name of ["3", "was one"]) {
        assertMatch(
          await refusal(site, optionsFor(site, name)),
          /member 3 of group 1 is a witness and keeps no data/,
        );
      }
    }));

  it("takes the best member with data, though a witness has the longer log", () =>
    withSite(async (site) => {
      const conf = { ...FIVE, witnesses: [2] };
      await write(site, "2", { node: 2, entries: noops(9), conf });
      await write(site, "3", { node: 3, entries: noops(4), conf });
      const others = [site.path("2")];
      await forceNewCluster(optionsFor(site, "3", { others }));
      assertEquals(await lives(site, "3"), [900]);
    }));

  it("prefers the later term to the longer log (thesis §3.6.1)", () =>
    withSite(async (site) => {
      await write(site, "2", { node: 2, entries: noops(2, 5) });
      await write(site, "3", { node: 3, entries: noops(8, 4) });
      assertMatch(
        await refusal(
          site,
          optionsFor(site, "3", { others: [site.path("2")] }),
        ),
        /2" is the better survivor of group 1, its log ends at 2 of term 5/,
      );
      await forceNewCluster(
        optionsFor(site, "2", { others: [site.path("3")] }),
      );
    }));

  it("refuses to compare with a log that still moves", () =>
    withSite(async (site) => {
      await write(site, "2", { node: 2, entries: noops(2) });
      await write(site, "3", { node: 3, entries: noops(3) });
      const running = new WalStorage({ directory: site.path("2") });
      await running.open({ deployment: OLD });
      const options = optionsFor(site, "3", { others: [site.path("2")] });
      const message = await refusal(site, options);
      await running.close();
      assertMatch(message, /process \d+ uses ".*2", wanted it stopped/);
    }));

  it("refuses a group that is named twice", () =>
    withSite(async (site) => {
      await write(site, "3", { node: 3, entries: noops(3) });
      const groups = [{ group: 1, node: 900 }, { group: 1, node: 901 }];
      const message = await refusal(site, optionsFor(site, "3", { groups }));
      assertMatch(message, /group 1 is named twice/);
    }));

  it("leaves out groups that the survivor knows nothing of", () =>
    withSite(async (site) => {
      const log = { node: 3, entries: noops(3), joining: [2, 7] };
      await write(site, "3", log);
      const plan = await forceNewCluster(optionsFor(site, "3"));
      assertEquals(plan.leftOut, [2, 7]);
      const { groups } = await inspect(site.path("3"));
      assertEquals(groups.map(({ group }) => group), [1]);
      assertEquals(await lives(site, "3"), [900]);
    }));

  it("takes a group that has removed more members than one change can", () =>
    withSite(async (site) => {
      const removed = Array.from({ length: 500 }, (_, i) => 10 + i);
      const conf = { ...FIVE, removed };
      await write(site, "3", { node: 3, entries: noops(3), conf });
      const { groups: [forced] } = await forceNewCluster(
        optionsFor(site, "3"),
      );
      assertEquals(forced?.removed, [1, 2, 3, 4, 5, ...removed]);
      assertEquals(await lives(site, "3"), [900]);
      const { groups: [found] } = await inspect(site.path("3"));
      assertEquals(found?.conf.removed, [1, 2, 3, 4, 5, ...removed]);
    }));
});
