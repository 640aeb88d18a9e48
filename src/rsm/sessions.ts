/**
 * The session table: which commands of which client were applied, and what
 * came of them (thesis §6.3). It is replicated state: every change follows
 * from the log alone, never from a clock, a role or a batch size (H103, H106).
 *
 * A client is in one of three states. *Active*: its newest results are kept.
 * *Retired*: only a floor is kept, its highest sequence; what lies above was
 * certainly never applied, what does not is refused, so a client that comes
 * back neither repeats a command nor is locked out. *Unknown*: never seen, or
 * forgotten once more than `maxRetiredClients` others had retired after it;
 * an old command of such a client would be applied again.
 *
 * @module
 */
import { hashInteger, hashText } from "../checksum.ts";
import type { SessionRef } from "./command_codec.ts";

/** How much a session table keeps. Equal on all members of a group. */
export interface SessionLimits {
  /** Clients with results; the least recently used one retires. */
  readonly maxClients: number;
  /** Clients of which only the floor is kept. */
  readonly maxRetiredClients: number;
  /** Results per client, those of its highest sequences. */
  readonly maxResultsPerClient: number;
  /** Results of all clients; at least `maxResultsPerClient`. */
  readonly maxResults: number;
}

/** The result of one applied command of a client. */
export interface ResultSlot {
  /**
   * The encoded result. `undefined` until the command was applied, which is
   * before anything but its own batch can see the slot; `null` if the result
   * is not kept. Set once.
   */
  bytes: Uint8Array | null | undefined;
}

/** What the table says about a command that was committed. */
export type Admission =
  | { readonly type: "apply"; readonly slot: ResultSlot }
  | { readonly type: "repeat"; readonly slot: ResultSlot }
  | { readonly type: "expired"; readonly floor: number };

/** An active client. */
export interface ClientSession {
  readonly client: string;
  /** Every sequence up to it that is not in `sequences` is refused; ≥ -1. */
  floor: number;
  /** Ascending, above no duplicates; never empty once admitted to. */
  readonly sequences: number[];
  /** `slots[i]` belongs to `sequences[i]`. */
  readonly slots: ResultSlot[];
  /** Captures up to this one may hold this object: change a copy. */
  generation: number;
}

/** The table at one instant; nothing that is applied later changes it. */
export interface SessionCapture {
  readonly limits: SessionLimits;
  /** Least recently used first. */
  readonly clients: readonly ClientSession[];
  /** Id and floor, longest retired first. */
  readonly retired: readonly (readonly [client: string, floor: number])[];
}

/** Floor of a client that has applied nothing. */
export const NO_FLOOR = -1;

/** The replicated session table of one group. */
export class Sessions {
  readonly limits: SessionLimits;
  /** Least recently used first: a use takes a client out and appends it. */
  readonly #clients = new Map<string, ClientSession>();
  /** Id → floor, longest retired first; disjoint from `#clients`. */
  readonly #retired = new Map<string, number>();
  /** Sum of the lengths of all `sequences`. */
  #resultCount = 0;
  /** Number of captures taken. */
  #generation = 0;

  /** An empty table. */
  constructor(limits: SessionLimits) {
    this.limits = limits;
  }

  /** Number of active clients. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** Number of retired clients. */
  get retiredCount(): number {
    return this.#retired.size;
  }

  /** Number of results kept. */
  get resultCount(): number {
    return this.#resultCount;
  }

  /**
   * Decides a committed command and counts it as a use of its client. For
   * `apply` the caller applies it and fills the slot before the next batch.
   */
  admit({ client, sequence }: SessionRef): Admission {
    const known = this.#clients.get(client);
    if (known !== undefined) {
      this.#clients.delete(client);
      this.#clients.set(client, known);
      const at = position(known.sequences, sequence);
      const slot = known.slots[at];
      if (slot !== undefined && known.sequences[at] === sequence) {
        return { type: "repeat", slot };
      }
    }
    const floor = known?.floor ?? this.#retired.get(client) ?? NO_FLOOR;
    if (sequence <= floor) {
      return { type: "expired", floor };
    }
    const slot: ResultSlot = { bytes: undefined };
    this.#insert(this.#owned(client, known), sequence, slot);
    this.#shrink();
    return { type: "apply", slot };
  }

  /** The table as of now. O(clients). */
  capture(): SessionCapture {
    this.#generation += 1;
    return {
      limits: this.limits,
      clients: Array.from(this.#clients.values()),
      retired: Array.from(this.#retired),
    };
  }

  /**
   * Adds an active client as the most recently used one; for restoring.
   *
   * @throws {Error} If it breaks an invariant of the table.
   */
  addClient(
    client: string,
    floor: number,
    results: readonly (readonly [number, Uint8Array | null])[],
  ): void {
    const session = this.#clients.get(client) ?? this.#owned(client, undefined);
    session.floor = floor;
    for (const [sequence, bytes] of results) {
      if (sequence <= (session.sequences.at(-1) ?? NO_FLOOR)) {
        throw new Error(
          `Cannot restore client ${client}: sequence ${sequence} follows ` +
            `${session.sequences.at(-1)}`,
        );
      }
      session.sequences.push(sequence);
      session.slots.push({ bytes });
      this.#resultCount += 1;
    }
    this.#assertBounded(session);
  }

  /**
   * Adds a retired client as the one that retired last; for restoring.
   *
   * @throws {Error} If it breaks an invariant of the table.
   */
  addRetired(client: string, floor: number): void {
    if (this.#clients.has(client) || this.#retired.has(client)) {
      throw new Error(`Cannot restore client ${client}: it is there already`);
    }
    this.#retired.set(client, floor);
    if (this.#retired.size > this.limits.maxRetiredClients) {
      throw new Error(
        `Cannot restore sessions: more than ` +
          `${this.limits.maxRetiredClients} retired clients`,
      );
    }
  }

  /** Digest of the table; see {@linkcode checksumOf}. O(results). */
  checksum(): number {
    return checksumOf({
      limits: this.limits,
      clients: this.#clients.values(),
      retired: this.#retired,
    });
  }

  /** The client's record, new or copied if a capture may hold it. */
  #owned(client: string, known: ClientSession | undefined): ClientSession {
    if (known !== undefined && known.generation === this.#generation) {
      return known;
    }
    const session: ClientSession = {
      client,
      floor: known?.floor ?? this.#retired.get(client) ?? NO_FLOOR,
      sequences: known?.sequences.slice() ?? [],
      slots: known?.slots.slice() ?? [],
      generation: this.#generation,
    };
    this.#retired.delete(client);
    this.#clients.set(client, session);
    return session;
  }

  #insert(session: ClientSession, sequence: number, slot: ResultSlot): void {
    const at = position(session.sequences, sequence);
    if (at === session.sequences.length) {
      session.sequences.push(sequence);
      session.slots.push(slot);
    } else {
      session.sequences.splice(at, 0, sequence);
      session.slots.splice(at, 0, slot);
    }
    this.#resultCount += 1;
    if (session.sequences.length > this.limits.maxResultsPerClient) {
      session.floor = session.sequences.shift() ?? session.floor;
      session.slots.shift();
      this.#resultCount -= 1;
    }
  }

  /** Retires the least recently used clients until the limits hold. */
  #shrink(): void {
    const { maxClients, maxResults, maxRetiredClients } = this.limits;
    while (
      this.#clients.size > maxClients || this.#resultCount > maxResults
    ) {
      const oldest = first(this.#clients.values());
      if (oldest === undefined) {
        return;
      }
      this.#clients.delete(oldest.client);
      this.#resultCount -= oldest.sequences.length;
      this.#retired.set(oldest.client, oldest.sequences.at(-1) ?? oldest.floor);
    }
    while (this.#retired.size > maxRetiredClients) {
      this.#retired.delete(first(this.#retired.keys()) ?? "");
    }
  }

  #assertBounded(session: ClientSession): void {
    const { maxClients, maxResults, maxResultsPerClient } = this.limits;
    if (
      this.#clients.size > maxClients || this.#resultCount > maxResults ||
      session.sequences.length > maxResultsPerClient
    ) {
      throw new Error(
        `Cannot restore client ${session.client}: the table is full`,
      );
    }
    const lowest = session.sequences[0];
    if (lowest === undefined || lowest <= session.floor) {
      throw new Error(
        `Cannot restore client ${session.client}: its lowest sequence ` +
          `${lowest} is not above its floor ${session.floor}`,
      );
    }
  }
}

/**
 * A digest of who is known, in which order, with which sequences and floors:
 * unequal on two members at one index means that they diverged. The results
 * are left out, since a machine with a disk of its own cannot give those of
 * before its restart again. O(results).
 */
export function checksumOf(table: {
  readonly limits: SessionLimits;
  readonly clients: Iterable<ClientSession>;
  readonly retired: Iterable<readonly [client: string, floor: number]>;
}): number {
  const { maxClients, maxRetiredClients, maxResultsPerClient, maxResults } =
    table.limits;
  let hash = [maxClients, maxRetiredClients, maxResultsPerClient, maxResults]
    .reduce((seed, limit) => hashInteger(limit, seed), 0);
  for (const { client, floor, sequences } of table.clients) {
    hash = hashInteger(floor + 1, hashText(client, hash));
    for (const sequence of sequences) {
      hash = hashInteger(sequence, hash);
    }
  }
  for (const [client, floor] of table.retired) {
    hash = hashInteger(floor + 1, hashText(client, hash));
  }
  return hash;
}

/** Where `sequence` is or belongs in an ascending list; O(1) at its end. */
function position(sequences: readonly number[], sequence: number): number {
  let low = 0;
  let high = sequences.length;
  if (high > 0 && sequence > (sequences[high - 1] ?? NO_FLOOR)) {
    return high;
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sequences[middle] ?? NO_FLOOR) < sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) {
    return value;
  }
  return undefined;
}
