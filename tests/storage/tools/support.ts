/**
 * Members with logs in temporary directories, for tests of the tools.
 *
 * @module
 */
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type GroupOptions,
  type HostEvent,
  type MemberAddress,
  type RaftGroup,
  RaftHost,
} from "@balsa/raft";
import {
  type KvAnswer,
  type KvCommand,
  KvMachine,
  type KvQuery,
  type KvResult,
} from "@balsa/raft/machines/kv";
import { WalStorage } from "@balsa/raft/storage/wal";
import { MemoryNetwork } from "@balsa/raft/transports/memory";

/** A member's group. */
export type KvGroup = RaftGroup<KvCommand, KvResult, KvQuery, KvAnswer>;
type KvOptions = Partial<GroupOptions<KvCommand, KvResult, KvQuery, KvAnswer>>;

/** A member that runs. */
export interface Running {
  readonly host: RaftHost;
  readonly group: KvGroup;
  readonly events: HostEvent[];
}

/** Where a member of these tests is reached. */
export function addressOf(id: number): string {
  return `member-${id}:1`;
}

/** The members 1 to `count`. */
export function founders(count: number): MemberAddress[] {
  return Array.from(
    { length: count },
    (_, i) => ({ id: i + 1, address: addressOf(i + 1) }),
  );
}

/** Directories, a network, and what runs there. */
export class Site {
  readonly directory: string = mkdtempSync(join(tmpdir(), "balsa-tools-"));
  readonly network: MemoryNetwork = new MemoryNetwork();
  readonly #running = new Set<RaftHost>();

  /** A path below. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Copies a directory. */
  copy(from: string, to: string): void {
    cpSync(this.path(from), this.path(to), { recursive: true });
  }

  /** Destroys a directory. */
  destroy(name: string): void {
    rmSync(this.path(name), { recursive: true });
  }

  /** Starts a host on a directory, and its member of group 1. */
  async start(
    name: string,
    deployment: string,
    options: KvOptions & {
      readonly node: number;
      readonly address?: string | undefined;
    },
  ): Promise<Running> {
    const { address = addressOf(options.node), ...group } = options;
    const events: HostEvent[] = [];
    const host = await RaftHost.start({
      deployment,
      address,
      storage: new WalStorage({ directory: this.path(name) }),
      transport: this.network.transport(),
      tickMs: 10,
      onEvent: (event) => events.push(event),
    });
    this.#running.add(host);
    return {
      host,
      group: await host.startGroup({
        group: 1,
        machine: new KvMachine(),
        timeoutMs: 20_000,
        ...group,
      }),
      events,
    };
  }

  /** Stops hosts. */
  async stop(...running: readonly Running[]): Promise<void> {
    for (const { host } of running) {
      this.#running.delete(host);
      await host.stop();
    }
  }

  /** Stops everything and removes the directories. */
  async end(): Promise<void> {
    for (const host of this.#running) await host.stop();
    rmSync(this.directory, { recursive: true });
  }
}

/** Runs a test with a site of its own. */
export async function withSite(
  test: (site: Site) => Promise<void>,
): Promise<void> {
  const site = new Site();
  try {
    await test(site);
  } finally {
    await site.end();
  }
}

/** Writes that many keys. */
export async function fill(
  group: KvGroup,
  prefix: string,
  count: number,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const value = new TextEncoder().encode(`value of ${prefix}${i}`);
    await group.propose({ type: "put", key: `${prefix}${i}`, value });
  }
}

/** All keys with their values, as this member reads them. */
export async function contents(
  group: KvGroup,
  consistency: "linearizable" | "stale" = "linearizable",
): Promise<Map<string, string>> {
  const query = { type: "list", prefix: "", after: "", limit: 1_000 } as const;
  const answer = await group.read(query, { consistency });
  if (answer.type !== "list") throw new Error("That is no list");
  return new Map(
    answer.items.map((
      { key, value },
    ) => [key, new TextDecoder().decode(value)]),
  );
}

/** Every file of a directory, by its path, in hexadecimal. */
export function fingerprint(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  const names = readdirSync(directory, { withFileTypes: true });
  for (const entry of names) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      for (const [name, text] of fingerprint(path)) found.set(name, text);
    } else if (!entry.name.startsWith("lock-")) {
      found.set(path.slice(directory.length), readFileSync(path, "hex"));
    }
  }
  return found;
}
