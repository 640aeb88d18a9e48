import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../src/host/clock.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import type { Transport } from "../../src/transport.ts";
import { MemoryStorage } from "../../storage/memory.ts";
import { HttpTransport } from "../../transports/http/mod.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { freeAddress } from "../transports/ports.ts";
import { Journal } from "./support/machines.ts";
import { lines } from "./support/memory_world.ts";
import type { TestGroup } from "./support/world.ts";

const GIVE_UP_MS = 20_000;

interface Member {
  readonly host: RaftHost;
  readonly group: TestGroup;
}

async function start(
  node: number,
  addresses: readonly string[],
  transport: Transport,
): Promise<Member> {
  const host = await RaftHost.start({
    deployment: "snapshots",
    address: addresses[node - 1] ?? "",
    storage: new MemoryStorage(),
    transport,
    tickMs: 10,
  });
  const group = await host.startGroup({
    group: 1,
    node,
    members: addresses.map((address, at) => ({ id: at + 1, address })),
    machine: new Journal(),
    snapshotTrailing: 0,
  });
  return { host, group };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const clock = systemClock();
  const giveUpAt = clock.now() + GIVE_UP_MS;
  while (!holds()) {
    if (clock.now() > giveUpAt) throw new Error(`Still not: ${what}`);
    await new Promise<void>((go) => clock.setTimer(go, 5));
  }
}

const transports: Readonly<Record<string, () => Transport>> = {
  TCP: () => new TcpTransport(),
  HTTP: () => new HttpTransport(),
};

describe("a new member", () => {
  for (const [name, transport] of Object.entries(transports)) {
    it(`gets the state by ${name}, and goes on from there`, async () => {
      const addresses = [];
      for (let id = 1; id <= 3; id++) addresses.push(await freeAddress());
      const first = await start(1, addresses, transport());
      const second = await start(2, addresses, transport());
      const hosts = [first.host, second.host];
      try {
        const written = lines("a", 40, 50_000);
        for (const line of written) await first.group.propose(line);
        await Promise.all([first.group.snapshot(), second.group.snapshot()]);
        const third = await start(3, addresses, transport());
        hosts.push(third.host);
        const state = third.group;
        await until("installed", () => state.status().snapshotIndex > 0);
        await first.group.propose("b");
        const { snapshotIndex } = state.status();
        assert(snapshotIndex >= written.length);
        assertEquals(await state.read(null), [...written, "b"]);
        assertEquals(state.status().firstIndex, snapshotIndex + 1);
      } finally {
        await Promise.all(hosts.map((host) => host.stop()));
      }
    });
  }
});
