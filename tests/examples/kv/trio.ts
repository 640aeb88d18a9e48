/**
 * Three members of a KV cluster in one process, each with its HTTP face, for
 * tests of the HTTP contract.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { RaftHost } from "@balsa/raft";
import { KvMachine } from "@balsa/raft/machines/kv";
import { MemoryStorage } from "@balsa/raft/storage/memory";
import { MemoryNetwork } from "@balsa/raft/transports/memory";
import { KvApp, type KvGroup } from "../../../examples/kv/app.ts";

/** One member. */
export interface TrioMember {
  readonly id: number;
  readonly app: KvApp;
  readonly group: KvGroup;
  readonly host: RaftHost;
}

/** How a request differs from a plain GET. */
export interface Call {
  readonly method?: string | undefined;
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Which member is asked; default 1. */
  readonly member?: number | undefined;
}

/** An answer, read whole. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The body as JSON, unless it is none. */
  readonly json: unknown;
}

/** Where the clients of a member reach it, as redirects say. */
export function clientAddress(id: number): string {
  return `127.0.0.1:800${id}`;
}

/** A cluster in memory. */
export class Trio {
  readonly members: readonly TrioMember[];
  readonly network: MemoryNetwork;

  constructor(members: readonly TrioMember[], network: MemoryNetwork) {
    this.members = members;
    this.network = network;
  }

  /** Starts three members and waits until each of them is ready. */
  static async start(options: { readonly timeoutMs: number }): Promise<Trio> {
    const network = new MemoryNetwork();
    const ids = [1, 2, 3];
    const members = ids.map((id) => ({ id, address: `member-${id}:1` }));
    const started: TrioMember[] = [];
    for (const { id, address } of members) {
      const host = await RaftHost.start({
        deployment: "trio",
        address,
        clientAddress: clientAddress(id),
        storage: new MemoryStorage(),
        transport: network.transport(),
        tickMs: 10,
      });
      const group = await host.startGroup({
        group: 1,
        node: id,
        members,
        machine: new KvMachine(),
      });
      const app = new KvApp(options);
      app.attach(group);
      started.push({ id, app, group, host });
    }
    const trio = new Trio(started, network);
    await Promise.all(started.map((member) => trio.#ready(member)));
    return trio;
  }

  /** The id of the member that leads. */
  get leader(): number {
    const leading = this.members.find(({ group }) =>
      group.status().role === "leader"
    );
    if (leading === undefined) throw new Error("Cannot find a leader");
    return leading.id;
  }

  /** The id of a member that does not lead. */
  get follower(): number {
    return this.leader === 1 ? 2 : 1;
  }

  /** Sends a request straight into a member's HTTP face. */
  async call(path: string, options: Call = {}): Promise<Answer> {
    const { method = "GET", body, headers = {}, member = 1 } = options;
    const app = this.members[member - 1]?.app;
    if (app === undefined) throw new Error(`Cannot find member ${member}`);
    const response = await app.fetch(
      new Request(`http://${clientAddress(member)}${path}`, {
        method,
        headers: { ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    );
    const bytes = new Uint8Array(await response.arrayBuffer());
    const text = new TextDecoder().decode(bytes);
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      text,
      json: parseJson(text),
    };
  }

  /** Stops members; the others go on. */
  async stop(ids: readonly number[] = [1, 2, 3]): Promise<void> {
    for (const { id, app, host } of this.members) {
      if (!ids.includes(id)) continue;
      app.close();
      await host.stop();
    }
  }

  /** Waits for the events that make a member ready, without polling. */
  async #ready({ group }: TrioMember): Promise<void> {
    // A linearizable read is served once this member has caught up.
    await group.read({ type: "get", key: "any" }, { timeoutMs: 30_000 });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Asserts the one form of errors, and returns its code. */
export function assertError(
  answer: { status: number; json: unknown; headers: Headers },
  status: number,
  code: string,
): void {
  const { json } = answer;
  assertEquals(answer.status, status, JSON.stringify(json));
  assert(typeof json === "object" && json !== null && "error" in json);
  const { error } = json;
  assert(typeof error === "object" && error !== null && "code" in error);
  assertEquals(error.code, code);
  assert("message" in error && typeof error.message === "string");
  assertMatch(error.message, /^[A-Z]/);
  assertEquals(answer.headers.get("content-type"), "application/json");
}

/** The revision a successful write answered. */
export function revisionOf(json: unknown): number {
  assert(typeof json === "object" && json !== null && "revision" in json);
  assert(typeof json.revision === "number");
  return json.revision;
}
