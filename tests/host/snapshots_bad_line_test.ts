/**
 * A large snapshot over real sockets and disks, by a line that breaks all the
 * time: it arrives all the same, and hardly a byte is sent twice (H66).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../src/host/clock.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import type { TransportIdentity } from "../../src/transport.ts";
import { WalStorage } from "../../storage/wal/mod.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { freeAddress } from "../transports/ports.ts";
import { Journal } from "./support/machines.ts";
import { lines } from "./support/memory_world.ts";
import type { TestGroup } from "./support/world.ts";

const GIVE_UP_MS = 60_000;
const LINE_BYTES = 1 << 20;
const LINES = 24;
/** Bytes a connection carries before it breaks. */
const BYTES_PER_CONNECTION = 4 << 20;

function portOf(address: string): { host: string; port: number } {
  const [host = "", port = ""] = address.split(":");
  return { host, port: Number(port) };
}

/** Carries connections on to another address, and breaks the busy ones. */
class BadLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Bytes it carried there, whatever for. */
  bytes = 0;
  cuts = 0;

  constructor(target: string) {
    this.#server = createServer((near) => {
      const far = connect(portOf(target));
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#sockets.delete(socket);
          near.destroy();
          far.end();
        });
      }
      far.pipe(near);
      let carried = 0;
      near.on("data", (chunk: Uint8Array) => {
        carried += chunk.length;
        this.bytes += chunk.length;
        if (!far.write(chunk)) {
          near.pause();
          far.once("drain", () => near.resume());
        }
        if (carried < BYTES_PER_CONNECTION || near.destroyed) return;
        this.cuts++;
        near.destroy();
      });
    });
  }

  open(address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(portOf(address), () => resolve());
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }
}

interface Place {
  readonly node: number;
  readonly addresses: readonly string[];
  readonly directory: string;
  readonly listen?: string;
}

async function start(
  { node, addresses, directory, listen }: Place,
): Promise<{ readonly host: RaftHost; readonly group: TestGroup }> {
  const address: TransportIdentity["address"] = addresses[node - 1] ?? "";
  const host = await RaftHost.start({
    deployment: "bad line",
    address,
    storage: new WalStorage({ directory: join(directory, `${node}`) }),
    transport: new TcpTransport({ listen }),
    tickMs: 20,
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

describe("a snapshot of many megabytes over a line that breaks", () => {
  it("arrives once, over many connections and a restart of its receiver", async () => {
    const directory = mkdtempSync(join(tmpdir(), "balsa-"));
    const [first, second, third, behind] = await Promise.all(
      [freeAddress(), freeAddress(), freeAddress(), freeAddress()],
    );
    assert(first && second && third && behind);
    const addresses = [first, second, third];
    const line = new BadLine(behind);
    await line.open(third);
    const members = [];
    for (const node of [1, 2]) {
      members.push(await start({ node, addresses, directory }));
    }
    try {
      const [one, two] = members;
      assert(one !== undefined && two !== undefined);
      const written = lines("a", LINES, LINE_BYTES);
      for (const each of written) await one.group.propose(each);
      await Promise.all([one.group.snapshot(), two.group.snapshot()]);
      const { term } = one.group.status();
      const place = { node: 3, addresses, directory, listen: behind };
      const before = await start(place);
      members.push(before);
      await until("cut twice", () => line.cuts >= 2);
      await before.host.stop();
      const after = await start(place);
      members.push(after);
      const { group } = after;
      await until("installed", () => group.status().snapshotIndex > 0);
      assertEquals(
        (await group.read(null, { consistency: "stale" })).slice(0, LINES),
        written,
      );
      // Another leader has another snapshot, which comes from its start.
      const leaders = group.status().term - term + 1;
      const size = leaders * LINES * LINE_BYTES;
      assert(line.cuts >= 4, `the line broke ${line.cuts} times`);
      assert(line.bytes < 1.25 * size, `${line.bytes} of ${size} bytes`);
    } finally {
      await Promise.all(members.map(({ host }) => host.stop()));
      await line.close();
      rmSync(directory, { recursive: true });
    }
  });
});
