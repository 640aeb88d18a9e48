/**
 * A session table as simple as can be, to compare the real one with: lists
 * that are searched and sorted anew for every command.
 *
 * @module
 */
import type { LogIndex } from "../core/types.ts";
import type { SessionRef } from "./numbered_commands.ts";
import type { SessionOptions } from "./options_sessions.ts";

/** What a command that was committed must come to, on every member. */
export type Verdict =
  | { readonly type: "apply"; readonly isBack: boolean }
  | { readonly type: "repeat"; readonly first: LogIndex }
  | { readonly type: "expired" };

interface ModelClient {
  readonly name: string;
  /** Nothing up to here is applied any more. */
  floor: number;
  /** By sequence; empty for a client that retired. */
  kept: { readonly sequence: number; readonly index: LogIndex }[];
}

/** The limits that decide what expires. */
export type ModelLimits = Pick<
  SessionOptions,
  "maxClients" | "maxResultsPerClient" | "maxResults"
>;

/** Who is known, as a function of the log alone (H103). */
export class SessionModel {
  readonly #limits: ModelLimits;
  /** Least recently used first; who retired stays where it was. */
  #clients: ModelClient[] = [];
  /** How many clients have retired so far. */
  retiredCount = 0;

  /** A table that knows nobody. */
  constructor(limits: ModelLimits) {
    this.#limits = limits;
  }

  /** The next numbered command of the log, at `index`. */
  next({ client: name, sequence }: SessionRef, index: LogIndex): Verdict {
    const known = this.#clients.find((client) => client.name === name);
    const client = known ?? { name, floor: -1, kept: [] };
    if (client.kept.length > 0) this.#use(client);
    const first = client.kept.find((one) => one.sequence === sequence);
    if (first !== undefined) return { type: "repeat", first: first.index };
    if (sequence <= client.floor) return { type: "expired" };
    const isBack = known !== undefined && client.kept.length === 0;
    client.kept.push({ sequence, index });
    client.kept.sort((left, right) => left.sequence - right.sequence);
    this.#use(client);
    this.#forget(client);
    return { type: "apply", isBack };
  }

  #use(client: ModelClient): void {
    this.#clients = this.#clients.filter((other) => other !== client);
    this.#clients.push(client);
  }

  #forget(client: ModelClient): void {
    const { maxClients, maxResultsPerClient, maxResults } = this.#limits;
    if (client.kept.length > maxResultsPerClient) {
      client.floor = client.kept.shift()?.sequence ?? client.floor;
    }
    for (;;) {
      const active = this.#clients.filter(({ kept }) => kept.length > 0);
      const results = active.reduce((sum, { kept }) => sum + kept.length, 0);
      if (active.length <= maxClients && results <= maxResults) return;
      const [oldest] = active;
      if (oldest === undefined) return;
      oldest.floor = oldest.kept.at(-1)?.sequence ?? oldest.floor;
      oldest.kept = [];
      this.retiredCount++;
    }
  }
}
