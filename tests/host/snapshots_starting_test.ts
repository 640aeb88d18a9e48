import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import type { ConfState, Entry, NodeId } from "../../src/core/types.ts";
import { EMPTY_CONF } from "../../src/core/types.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import { MachineRunner } from "../../src/rsm/machine_runner.ts";
import type { Storage } from "../../src/storage.ts";
import { MemoryStorage } from "../../storage/memory.ts";
import { Journal } from "./support/machines.ts";
import { tell } from "./support/outcomes.ts";
import { type TestGroup, withWorld, type World } from "./support/world.ts";

const HOME = "home:1";

function confOf(address: string, removed: readonly NodeId[] = []): ConfState {
  return {
    ...EMPTY_CONF,
    voters: [1],
    addresses: [{ id: 1, address }],
    removed,
  };
}

/** Stores a snapshot at 10 over a log of as many entries. */
async function prepare(
  storage: Storage,
  conf: ConfState,
  storedConf?: { readonly index: number; readonly conf: ConfState },
): Promise<void> {
  const runner = new MachineRunner(new Journal());
  const entries: Entry[] = Array.from({ length: 10 }, (_, at) => ({
    type: "command",
    term: 1,
    index: at + 1,
    data: runner.encode(`line ${at}`),
  }));
  await runner.apply(entries);
  await storage.open({ deployment: "tests" });
  const snapshot = { index: 0, term: 0, conf: confOf(HOME) };
  await storage.write([
    { group: 1, create: { node: 1, snapshot }, entries, conf: storedConf },
  ]);
  const writer = await storage.snapshotWriter(1, { index: 10, term: 1, conf });
  for await (const chunk of runner.snapshot().chunks()) {
    await writer.write(chunk);
  }
  await writer.commit();
  await storage.close();
}

/** Starts a member over what is stored. */
async function start(world: World, storage: Storage): Promise<TestGroup> {
  const host = await RaftHost.start({
    deployment: "tests",
    address: HOME,
    storage,
    transport: world.network.transport(),
    clock: world.clock,
  });
  try {
    const group = await host.startGroup({
      group: 1,
      node: 1,
      members: [{ id: 1, address: HOME }],
      machine: new Journal(),
    });
    world.places.push({
      address: HOME,
      disk: world.place(1).disk,
      events: [],
      host,
    });
    return group;
  } catch (error) {
    await host.stop();
    throw error;
  }
}

const LINES = Array.from({ length: 10 }, (_, at) => `line ${at}`);

describe("a member whose storage holds a snapshot", () => {
  it("starts from it, with its configuration and not an older one (H69)", () =>
    withWorld(1, async (world) => {
      const storage = new MemoryStorage();
      const old = { index: 3, conf: confOf("elsewhere:1") };
      const conf = confOf(HOME, [7]);
      await prepare(storage, conf, old);
      const member = await start(world, storage.attach());
      const { appliedIndex, snapshotIndex } = member.status();
      assertEquals([appliedIndex, snapshotIndex], [10, 10]);
      assertEquals(member.status().conf, conf);
      await world.leader([member]);
      assertEquals(await world.value(member.read(null)), LINES);
    }));

  it("refuses to start where the snapshot puts it elsewhere (H131)", () =>
    withWorld(1, async (world) => {
      const storage = new MemoryStorage();
      await prepare(storage, confOf("elsewhere:1"));
      const error = await world.error(start(world, storage.attach()));
      assertEquals(tell(error)[0], "identityMismatch");
    }));

  it("refuses to start without its data, or with another's (H54)", () =>
    withWorld(1, async (world) => {
      for (const index of [undefined, 9]) {
        const storage = new MemoryStorage();
        await prepare(storage, confOf(HOME));
        const broken = storage.attach();
        const read = broken.snapshotReader.bind(broken);
        broken.snapshotReader = async (group) => {
          const reader = await read(group);
          if (reader === undefined || index === undefined) return undefined;
          const meta = { ...reader.meta, index };
          return { ...reader, meta };
        };
        const error = await world.error(start(world, broken));
        assertEquals(tell(error)[0], "corrupt");
      }
    }));
});
