/**
 * Clients that write without a pause, and readers that check.
 *
 * @module
 */
import * as z from "zod";
import { type ProcessCluster, sleep } from "./cluster.ts";
import { type History, type Item, type Outcome, valueOf } from "./history.ts";

/** Longer than a member waits for a leader before it gives up. */
const REQUEST_MS = 8_000;
/** Between two writes of a client, so that a run can be verified in time. */
const PACE_MS = 10;
/** Between two attempts to find out whether writes are served again. */
const PROBE_MS = 10;
/** Reads at once while verifying. */
const READERS = 32;
const PAGE = 1_000;

const written = z.object({ revision: z.int().min(1) });
const refused = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    outcome: z.enum(["notAppended", "unknown"]).optional(),
  }),
});
const page = z.object({
  items: z.array(z.object({
    key: z.string(),
    value: z.string(),
    revision: z.int().min(1),
  })),
  next: z.string().nullable(),
});

/** The load on a cluster, and the questions about what it left. */
export class Clients {
  readonly #cluster: ProcessCluster;
  readonly #history: History;
  readonly #random: () => number;
  readonly #probes: Promise<void>[] = [];
  #serial = 0;
  #stopped = false;
  #running: Promise<void>[] = [];

  constructor(
    cluster: ProcessCluster,
    history: History,
    random: () => number,
  ) {
    this.#cluster = cluster;
    this.#history = history;
    this.#random = random;
  }

  /** Starts clients that write until `stop`. */
  start(count: number): void {
    for (let client = 1; client <= count; client += 1) {
      this.#running.push(this.#work(client));
    }
  }

  /** Lets the clients and probes finish their last request. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#running, ...this.#probes]);
  }

  /**
   * Milliseconds after `since` at which a write that began from now on is
   * acknowledged.
   *
   * @throws {Error} If none is within `limitMs`.
   */
  async untilServed(limitMs: number, since: number): Promise<number> {
    const start = performance.now();
    let servedMs: number | undefined;
    const probe = async (member: number): Promise<void> => {
      const outcome = await this.#write(`probe/${this.#serial++}`, member);
      if (outcome.type !== "acknowledged") return;
      servedMs ??= performance.now() - since;
    };
    while (servedMs === undefined) {
      if (performance.now() - start > limitMs) {
        throw new Error(`Cannot write again within ${limitMs} ms`);
      }
      for (const id of this.#cluster.live) this.#probes.push(probe(id));
      await sleep(PROBE_MS);
    }
    return servedMs;
  }

  /** Reads every acknowledged write through every member. */
  async readAcknowledged(): Promise<number> {
    const writes = this.#history.acknowledged;
    const reads = writes.flatMap((write) =>
      this.#cluster.ids.map((id) => ({ ...write, id }))
    );
    let next = 0;
    const reader = async (): Promise<void> => {
      for (let read = reads[next++]; read !== undefined; read = reads[next++]) {
        const item = await this.#get(read.key, read.id);
        if (
          item?.value === valueOf(read.key) && item.revision === read.revision
        ) continue;
        this.#history.violation(
          `GET ${read.key} through member ${read.id} gave ${
            item === undefined ? "nothing" : `revision ${item.revision}`
          }, acknowledged was ${read.revision}`,
        );
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    return reads.length;
  }

  /** All that a member holds. */
  async contents(
    id: number,
    consistency: "linearizable" | "stale",
  ): Promise<Map<string, Item>> {
    const held = new Map<string, Item>();
    let after = "";
    for (;;) {
      const response = await fetch(
        `${
          this.#cluster.url(id)
        }/kv?limit=${PAGE}&consistency=${consistency}${after}`,
        { signal: AbortSignal.timeout(REQUEST_MS) },
      );
      const { items, next } = page.parse(await response.json());
      for (const { key, value, revision } of items) {
        held.set(key, { value: atob(value), revision });
      }
      if (next === null) return held;
      after = `&after=${encodeURIComponent(next)}`;
    }
  }

  async #work(client: number): Promise<void> {
    while (!this.#stopped) {
      const key = `client ${client}/${this.#serial++}`;
      const outcome = await this.#write(key, this.#anyMember());
      if (outcome.type === "acknowledged" && this.#random() < 0.25) {
        await this.#readBack(key, outcome.revision);
      }
      await sleep(PACE_MS * this.#random() * 2);
    }
  }

  async #write(key: string, member: number): Promise<Outcome> {
    const outcome = await this.#put(key, member);
    this.#history.record(key, outcome);
    return outcome;
  }

  async #put(key: string, member: number): Promise<Outcome> {
    try {
      const response = await fetch(this.#keyUrl(key, member), {
        method: "PUT",
        body: valueOf(key),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      const body: unknown = await response.json();
      if (response.status === 200) {
        return {
          type: "acknowledged",
          revision: written.parse(body).revision,
        };
      }
      const { code, message, outcome } = refused.parse(body).error;
      if (response.status !== 503 || outcome === undefined) {
        this.#history.violation(
          `PUT ${key} was answered ${response.status} ${code}: ${message}`,
        );
      }
      return { type: outcome ?? "unknown" };
    } catch (error) {
      if (error instanceof z.ZodError) {
        this.#history.violation(`PUT ${key}: odd answer: ${error.message}`);
      }
      return { type: "unknown" };
    }
  }

  /** A write that was acknowledged is seen by every later read. */
  async #readBack(key: string, revision: number): Promise<void> {
    const member = this.#anyMember();
    try {
      const item = await this.#get(key, member);
      if (item?.revision === revision) return;
      this.#history.violation(
        `GET ${key} through member ${member} gave ${item?.revision} after revision ${revision} was acknowledged`,
      );
    } catch {
      // The member is down, or nobody leads: nothing was read.
    }
  }

  async #get(key: string, member: number): Promise<Item | undefined> {
    const response = await fetch(this.#keyUrl(key, member), {
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    const value = await response.text();
    if (response.status === 404) return undefined;
    if (response.status !== 200) {
      throw new Error(`Cannot read ${key}: ${response.status} ${value}`);
    }
    const revision = Number(response.headers.get("etag")?.slice(1, -1));
    return { value, revision };
  }

  #keyUrl(key: string, member: number): string {
    return `${this.#cluster.url(member)}/kv/${encodeURIComponent(key)}`;
  }

  /** Dead ones too: clients do not know who is alive. */
  #anyMember(): number {
    const { ids } = this.#cluster;
    return ids[Math.floor(this.#random() * ids.length)] ?? 1;
  }
}
