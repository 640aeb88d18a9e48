import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../src/host/clock.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import { WalStorage } from "../../storage/wal/mod.ts";
import { MemoryNetwork } from "../../transports/memory.ts";
import { Journal } from "./support/machines.ts";
import { lines } from "./support/memory_world.ts";
import type { TestGroup } from "./support/world.ts";

const IDS = [1, 2, 3];
/** Cuts its log often. */
const BUSY = 1;
/** Never does, and would hold every segment back. */
const QUIET = 2;
const SEGMENT_BYTES = 16 << 10;
const LINE_BYTES = 500;
const GIVE_UP_MS = 20_000;

interface Member {
  readonly host: RaftHost;
  readonly groups: ReadonlyMap<number, TestGroup>;
}

/** Three hosts with two groups each, in real files. */
class Trio {
  readonly #network = new MemoryNetwork({ wire: true });
  readonly #directory = mkdtempSync(join(tmpdir(), "balsa-snapshots-"));
  readonly #members = new Map<number, Member>();

  async start(id: number): Promise<void> {
    const host = await RaftHost.start({
      deployment: "files",
      address: `host-${id}:1`,
      storage: new WalStorage({
        directory: this.#path(id),
        segmentBytes: SEGMENT_BYTES,
      }),
      transport: this.#network.transport(),
      tickMs: 10,
    });
    const groups = new Map<number, TestGroup>();
    for (const group of [BUSY, QUIET]) {
      const member = await host.startGroup({
        group,
        node: id,
        members: IDS.map((node) => ({ id: node, address: `host-${node}:1` })),
        machine: new Journal(),
        snapshotTrailing: 3,
        ...group === BUSY ? { snapshotEntries: 20 } : {},
      });
      groups.set(group, member);
    }
    this.#members.set(id, { host, groups });
  }

  async stop(id: number): Promise<void> {
    const { host } = this.#of(id);
    this.#members.delete(id);
    await host.stop();
  }

  member(id: number, group: number): TestGroup {
    const member = this.#of(id).groups.get(group);
    assert(member !== undefined);
    return member;
  }

  /** Proposes lines, a few at a time. */
  async write(id: number, group: number, all: string[]): Promise<void> {
    const member = this.member(id, group);
    for (let at = 0; at < all.length; at += 10) {
      const some = all.slice(at, at + 10);
      await Promise.all(some.map((line) => member.propose(line)));
    }
  }

  /** What each running member holds of a group. */
  async contents(group: number): Promise<string[][]> {
    const ids = [...this.#members.keys()].sort();
    return await Promise.all(
      ids.map((id) => this.member(id, group).read(null)),
    );
  }

  /** Numbers of the segments of a member, and their bytes. */
  segments(id: number): { readonly numbers: number[]; readonly bytes: number } {
    const names = readdirSync(this.#path(id)).filter((name) =>
      name.endsWith(".wal")
    );
    let bytes = 0;
    for (const name of names) {
      bytes += statSync(join(this.#path(id), name)).size;
    }
    return {
      numbers: names.map((name) => parseInt(name)).sort(byValue),
      bytes,
    };
  }

  snapshotFiles(id: number, group: number): string[] {
    return readdirSync(join(this.#path(id), "snapshots", String(group)));
  }

  async remove(): Promise<void> {
    for (const id of [...this.#members.keys()]) await this.stop(id);
    rmSync(this.#directory, { recursive: true });
  }

  #of(id: number): Member {
    const member = this.#members.get(id);
    assert(member !== undefined);
    return member;
  }

  #path(id: number): string {
    return join(this.#directory, String(id));
  }
}

function byValue(a: number, b: number): number {
  return a - b;
}

/** Waits until something holds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const clock = systemClock();
  const end = clock.now() + GIVE_UP_MS;
  while (!holds()) {
    assert(clock.now() < end, `Still not: ${what}`);
    await new Promise<void>((resolve) => clock.setTimer(resolve, 10));
  }
}

describe("hosts that keep their groups in files", () => {
  it("take snapshots, give back what was cut off, catch up by snapshot and start from it", async () => {
    const trio = new Trio();
    try {
      for (const id of IDS) await trio.start(id);
      const quiet = lines("quiet", 10, LINE_BYTES);
      const busy = lines("busy", 300, LINE_BYTES);
      await trio.write(1, QUIET, quiet);
      await trio.write(1, BUSY, busy.slice(0, 20));
      await trio.stop(3);
      await trio.write(1, BUSY, busy.slice(20));
      // Ten entries that are kept and twenty that come and go: four times
      // that, a segment in use, one prepared, and two that count as nothing.
      const most = 4 * 33 * (LINE_BYTES + 100) + 6 * SEGMENT_BYTES;
      for (const id of [1, 2]) {
        await until("segments are gone", () => {
          const { bytes, numbers } = trio.segments(id);
          return (numbers[0] ?? 0) > 1 && bytes < most;
        });
      }
      // Whoever leads has not got what the late one lacks.
      for (const id of [1, 2]) {
        const early = trio.member(id, BUSY);
        await until("the log is cut", () => early.status().firstIndex > 200);
      }
      await trio.start(3);
      const late = trio.member(3, BUSY);
      await until("caught up", () => late.status().appliedIndex >= 300);
      await until("restored", () => late.status().snapshotIndex > 200);
      for (const id of IDS) {
        await trio.stop(id);
        await trio.start(id);
      }
      await trio.write(2, BUSY, ["last"]);
      assertEquals(await trio.contents(QUIET), IDS.map(() => quiet));
      assertEquals(await trio.contents(BUSY), IDS.map(() => [...busy, "last"]));
      for (const id of IDS) {
        const files = trio.snapshotFiles(id, BUSY);
        assert(files.length >= 1 && files.length <= 2, `${files}`);
        assert(trio.member(id, BUSY).status().snapshotIndex > 200);
        assertEquals(trio.member(id, QUIET).status().snapshotIndex, 0);
      }
    } finally {
      await trio.remove();
    }
  });
});
