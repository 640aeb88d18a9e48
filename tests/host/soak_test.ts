import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import { systemClock } from "../../src/host/clock.ts";
import { RaftHost } from "../../src/host/raft_host.ts";
import { MemoryStorage } from "../../storage/memory.ts";
import { MemoryNetwork } from "../../transports/memory.ts";
import { Journal } from "./support/machines.ts";
import type { TestGroup } from "./support/world.ts";

const IDS = [1, 2, 3];
const GROUPS = [1, 2, 3, 4];

interface Running {
  readonly host: RaftHost;
  readonly groups: readonly TestGroup[];
  readonly machines: readonly Journal[];
}

/** Three hosts on the runtime's own clock. */
class Deployment {
  readonly #network = new MemoryNetwork({ wire: true });
  readonly #storages = new Map<number, MemoryStorage>();
  readonly running = new Map<number, Running>();
  /** Whether the faults are over. */
  calm = false;

  async start(id: number): Promise<void> {
    const storage = this.#storages.get(id)?.attach() ?? new MemoryStorage();
    this.#storages.set(id, storage);
    const host = await RaftHost.start({
      deployment: "soak",
      address: `host-${id}:1`,
      storage,
      transport: this.#network.transport(),
      tickMs: 10,
    });
    const machines = GROUPS.map(() => new Journal());
    const groups = await Promise.all(
      machines.map((machine, position) =>
        host.startGroup({
          group: position + 1,
          node: id,
          members: IDS.map((node) => ({ id: node, address: `host-${node}:1` })),
          machine,
          snapshotEntries: 12,
          snapshotTrailing: 0,
        })
      ),
    );
    this.running.set(id, { host, groups, machines });
  }

  async stop(id: number): Promise<void> {
    const { host, groups } = this.of(id);
    await host.stop();
    assertEquals(
      groups.map(({ pendingCount }) => pendingCount),
      GROUPS.map(() => 0),
    );
  }

  of(id: number): Running {
    const running = this.running.get(id);
    assert(running !== undefined);
    return running;
  }

  group(id: number, group: number): TestGroup {
    const found = this.of(id).groups[group - 1];
    assert(found !== undefined);
    return found;
  }

  /** Cuts two hosts apart for a while. */
  cut(a: number, b: number): void {
    this.#network.partition([`host-${a}:1`], [`host-${b}:1`]);
  }

  heal(): void {
    this.#network.heal();
  }
}

/** Writes one by one until the faults are over, each until it is applied. */
async function client(
  deployment: Deployment,
  id: number,
  group: number,
): Promise<string[]> {
  const written: string[] = [];
  for (let number = 0; !deployment.calm; number++) {
    const line = `${id}/${group}/${number}`;
    for (let attempt = 0;; attempt++) {
      // The host may be another one after a restart: same client, same number.
      const session = deployment.group(id, group).session(`client-${id}`);
      try {
        await session.propose(line, { sequence: number, timeoutMs: 2_000 });
        break;
      } catch (error) {
        assert(isRaftError(error) && attempt < 1_000);
        await pause(5);
      }
    }
    written.push(line);
  }
  return written;
}

function pause(ms: number): Promise<void> {
  const clock = systemClock();
  return new Promise((resolve) => clock.setTimer(resolve, ms));
}

describe("three hosts with four groups on the runtime's clock", () => {
  it("apply every session's commands once and in the same order, through restarts, cuts and snapshots (H70, H102)", async () => {
    const deployment = new Deployment();
    await Promise.all(IDS.map((id) => deployment.start(id)));
    const clients = IDS.flatMap((id) =>
      GROUPS.map((group) => client(deployment, id, group))
    );
    const trouble = async () => {
      for (const id of IDS) {
        await pause(30);
        await deployment.stop(id);
        await deployment.start(id);
        deployment.cut(id, id % 3 + 1);
        await pause(150);
        deployment.heal();
      }
      deployment.calm = true;
    };
    const [written] = await Promise.all([Promise.all(clients), trouble()]);
    for (const lines of written) assert(lines.length > 0);
    for (const group of GROUPS) {
      const answers: string[][] = [];
      for (const id of IDS) {
        const member = deployment.group(id, group);
        answers.push(await member.read(null));
        assert(member.status().snapshotIndex > 0);
      }
      const wanted = written.flat().filter((line) =>
        line.split("/")[1] === `${group}`
      );
      assertEquals([...answers[0] ?? []].sort(), wanted.sort());
      assertEquals(answers[1], answers[0]);
      assertEquals(answers[2], answers[0]);
    }
    for (const id of IDS) await deployment.stop(id);
  });
});
