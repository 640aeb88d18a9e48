/**
 * Servers as processes on directories that can be lost, for drills.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerProcess } from "../examples/kv/server_process.ts";
import { freePorts, sleep } from "./cluster.ts";

/** How a member is started. */
export interface ServeOptions {
  readonly id: number;
  /** Its directory below the drill's. */
  readonly data: string;
  readonly deployment: string;
  /** Ids of all members, this one included; alone if it joins. */
  readonly members: readonly number[];
  /** Whose Raft addresses the ids have, if not their own. */
  readonly at?: Readonly<Record<number, number>> | undefined;
  readonly join?: boolean | undefined;
}

/** A write that was acknowledged. */
export interface Acknowledged {
  readonly key: string;
  readonly revision: number;
}

/** What clients write together. */
export class Load {
  readonly acknowledged: Acknowledged[] = [];
  isOver = false;

  /** Waits until that many more writes were acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count;
    for (let look = 0; this.acknowledged.length < wanted; look++) {
      if (look > 3_000) throw new Error(`Cannot see ${wanted} writes`);
      await sleep(10);
    }
  }
}

/** An item as the server lists it. */
export interface ListedItem {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

const REQUEST_MS = 30_000;

/** Directories, ports, and the processes that use them. */
export class Drill {
  readonly directory: string = mkdtempSync(join(tmpdir(), "balsa-drill-"));
  readonly #ports: readonly number[];
  readonly #processes: ServerProcess[] = [];

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  /** Reserves addresses for the ids up to `count`. */
  static async of(count: number): Promise<Drill> {
    return new Drill(await freePorts(2 * (count + 1)));
  }

  /** A path below. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Where an id serves clients. */
  http(id: number): string {
    return `127.0.0.1:${this.#ports[2 * id]}`;
  }

  /** Where an id serves members. */
  raft(id: number): string {
    return `127.0.0.1:${this.#ports[2 * id + 1]}`;
  }

  /** Copies a directory. */
  copy(from: string, to: string): void {
    cpSync(this.path(from), this.path(to), { recursive: true });
  }

  /** Destroys a directory. */
  destroy(name: string): void {
    rmSync(this.path(name), { recursive: true });
  }

  /** Starts a member; does not wait for it. */
  launch(options: ServeOptions): ServerProcess {
    const { at = {}, data, deployment, id, members, join } = options;
    const addresses = members.map((member) =>
      `${member}=${this.raft(at[member] ?? member)}`
    );
    const server = new ServerProcess([
      "serve",
      ...["--id", `${id}`, "--http", this.http(id)],
      ...["--data", this.path(data), "--deployment", deployment],
      ...["--members", addresses.join(",")],
      ...(join === true ? ["--join"] : []),
      "--exit-with-stdin",
    ]);
    this.#processes.push(server);
    return server;
  }

  /** Starts a member; resolves once it serves. */
  async serve(options: ServeOptions): Promise<ServerProcess> {
    const server = this.launch(options);
    await server.line(/^ready /);
    return server;
  }

  /** Sends a request to an id; the body is read whole. */
  async request(
    id: number,
    path: string,
    init: RequestInit = {},
  ): Promise<{ readonly status: number; readonly text: string }> {
    const signal = AbortSignal.timeout(REQUEST_MS);
    const url = `http://${this.http(id)}${path}`;
    const response = await fetch(url, { ...init, signal });
    return { status: response.status, text: await response.text() };
  }

  /** Writes keys of their own until told to stop, whatever happens. */
  async write(id: number, load: Load): Promise<void> {
    for (let count = 0; !load.isOver; count++) {
      const key = `writer-${id}-${count}.`;
      const body = `value of ${key}`;
      try {
        const init = { method: "PUT", body };
        const { status, text } = await this.request(id, `/kv/${key}`, init);
        if (status !== 200) continue;
        const { revision } = JSON.parse(text);
        load.acknowledged.push({ key, revision });
      } catch {
        // Killed: what became of it nobody knows.
      }
    }
  }

  /** Everything an id reads, linearizably. */
  async list(id: number): Promise<Map<string, ListedItem>> {
    const found = new Map<string, ListedItem>();
    for (let after = "";;) {
      const path = `/kv?limit=1000&after=${encodeURIComponent(after)}`;
      const { status, text } = await this.request(id, path);
      if (status !== 200) throw new Error(`Cannot list: ${text}`);
      const { items, next } = JSON.parse(text);
      for (const { key, value, revision } of items) {
        const plain = Buffer.from(value, "base64").toString();
        found.set(key, { key, value: plain, revision });
      }
      if (next === null) return found;
      after = next;
    }
  }

  /** Kills what runs and removes everything. */
  async end(): Promise<void> {
    for (const server of this.#processes) await server.signal("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Runs a drill and cleans up behind it. */
export async function withDrill(
  count: number,
  drill: (site: Drill) => Promise<void>,
): Promise<void> {
  const site = await Drill.of(count);
  try {
    await drill(site);
  } finally {
    await site.end();
  }
}
