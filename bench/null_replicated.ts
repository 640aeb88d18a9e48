/**
 * The second yardstick: the least a replicated server can do. The leader
 * joins what arrived in a turn, sends it to two followers while it writes and
 * flushes it itself, and answers when its own flush and one follower's are
 * done. No terms, no log, no state, no checks.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { Hono } from "hono";
import { Journal } from "./journal.ts";
import { concat, connect, listen, serveHttp, type Socket } from "./sockets.ts";

/** Bytes of an acknowledgement: how much is durable, as a float64. */
const ACK_BYTES = 8;

const encoder = new TextEncoder();

/** Serves as a follower until the process ends; tells the port. */
export function startNullFollower(path: string): Promise<number> {
  const journal = new Journal(path);
  return listen((leader) => {
    const follower = new Follower(journal, leader);
    return (bytes) => follower.receive(bytes);
  });
}

/** Serves HTTP as the leader until the process ends; tells the port. */
export async function startNullLeader(
  path: string,
  followers: readonly number[],
): Promise<number> {
  const leader = new Leader(new Journal(path));
  for (const port of followers) await leader.connect(port);
  const app = new Hono();
  app.put("/kv/:key", async (context) => {
    const value = await context.req.arrayBuffer();
    const key = encoder.encode(context.req.param("key"));
    const revision = await leader.replicate(key, new Uint8Array(value));
    context.header("ETag", `"${revision}"`);
    return context.json({ revision });
  });
  return serveHttp(app.fetch);
}

class Follower {
  readonly #journal: Journal;
  readonly #leader: Socket;
  /** Bytes written; those up to `#acknowledged` are durable, and known so. */
  #written = 0;
  #acknowledged = 0;
  #flushing = false;

  constructor(journal: Journal, leader: Socket) {
    this.#journal = journal;
    this.#leader = leader;
  }

  receive(bytes: Uint8Array): void {
    this.#journal.write(bytes);
    this.#written += bytes.length;
    if (!this.#flushing) this.#flush();
  }

  #flush(): void {
    const written = this.#written;
    this.#flushing = true;
    this.#journal.flush(() => {
      this.#acknowledged = written;
      const ack = new Uint8Array(ACK_BYTES);
      new DataView(ack.buffer).setFloat64(0, written);
      this.#leader.write(ack);
      this.#flushing = false;
      if (this.#written > this.#acknowledged) this.#flush();
    });
  }
}

interface Waiting {
  readonly record: Uint8Array;
  readonly answer: (revision: number) => void;
}

interface Batch {
  /** Bytes sent up to and including this batch. */
  readonly end: number;
  readonly waiting: readonly Waiting[];
}

class Leader {
  readonly #journal: Journal;
  readonly #followers: Socket[] = [];
  #arrived: Waiting[] = [];
  #unanswered: Batch[] = [];
  /** Whether a turn is scheduled or its flush under way. */
  #busy = false;
  #sent = 0;
  #durable = 0;
  /** The most that any follower has acknowledged. */
  #acknowledged = 0;
  #revision = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async connect(port: number): Promise<void> {
    const acks = new AckReader((end) => {
      this.#acknowledged = Math.max(this.#acknowledged, end);
      this.#answer();
    });
    this.#followers.push(await connect(port, (bytes) => acks.receive(bytes)));
  }

  replicate(key: Uint8Array, value: Uint8Array): Promise<number> {
    return new Promise((answer) => {
      this.#arrived.push({ record: concat([key, value]), answer });
      if (this.#busy) return;
      this.#busy = true;
      setImmediate(() => this.#turn());
    });
  }

  #turn(): void {
    const waiting = this.#arrived;
    this.#arrived = [];
    const joined = concat(waiting.map(({ record }) => record));
    const end = this.#sent += joined.length;
    this.#unanswered.push({ end, waiting });
    for (const follower of this.#followers) follower.write(joined);
    this.#journal.write(joined);
    this.#journal.flush(() => {
      this.#durable = end;
      this.#answer();
      this.#busy = this.#arrived.length > 0;
      if (this.#busy) this.#turn();
    });
  }

  #answer(): void {
    const done = Math.min(this.#durable, this.#acknowledged);
    while (this.#unanswered[0] !== undefined) {
      if (this.#unanswered[0].end > done) return;
      const batch = this.#unanswered.shift();
      for (const { answer } of batch?.waiting ?? []) answer(++this.#revision);
    }
  }
}

/** Puts acknowledgements together that arrive in pieces. */
class AckReader {
  readonly #bytes = new Uint8Array(ACK_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #acknowledged: (end: number) => void;
  #length = 0;

  constructor(acknowledged: (end: number) => void) {
    this.#acknowledged = acknowledged;
  }

  receive(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#bytes[this.#length++] = byte;
      if (this.#length < ACK_BYTES) continue;
      this.#length = 0;
      this.#acknowledged(this.#view.getFloat64(0));
    }
  }
}
