/**
 * Request bodies: each of bounded length, all of them together of bounded
 * size, and none waited for without end.
 *
 * @module
 */
import { MAX_VALUE_BYTES } from "@balsa/raft/machines/kv";
import type { IncomingRequest, RequestEnv } from "./listen.ts";
import { Problem, RETRY_AFTER_SECONDS } from "./replies.ts";
import { headerOf } from "./request.ts";

/** Settings of {@linkcode BodyReader}. */
export interface BodyLimits {
  /**
   * Bytes that bodies under way may hold together; one that would go beyond
   * is refused. An eighth is kept for those of at most 64 KiB.
   * @default {67_108_864}
   */
  readonly bodyBudgetBytes?: number | undefined;
  /** Milliseconds within which a body must have come. @default {30_000} */
  readonly bodyTimeoutMs?: number | undefined;
}

/** A body that is not there yet. */
interface Reading {
  /** When it is given up, by `performance.now()`. */
  readonly deadline: number;
  /** Fails the request; nothing more is read for it. */
  readonly abort: (problem: Problem) => void;
  /** What it may grow to. */
  readonly mostBytes: number;
  /** What it holds of the budget, at most `mostBytes`. */
  heldBytes: number;
  /** What came, and room for more. */
  buffer: Uint8Array;
  /** How much came: at most `buffer.length`. */
  length: number;
}

const DEFAULT_BUDGET_BYTES = 64 << 20;
const DEFAULT_TIMEOUT_MS = 30_000;
/**
 * Up to this length a body is read by one call, the fastest way on Deno. No
 * such call can be cancelled, but what it holds then is about what its
 * connection costs anyway; beyond, reading in pieces is as fast.
 */
const WHOLE_BYTES = 4096;
/** What a chunk may keep alive besides itself. */
const SLACK_BYTES = 1024;
/** What is left of the budget for small bodies when large ones fill it. */
const SMALL_SHARE = 1 / 8;
/** Up to this length a body is small. */
const SMALL_BYTES = 64 << 10;
const NO_BYTES = new Uint8Array(0);

/** Reads the bodies of a server. */
export class BodyReader {
  readonly #budgetBytes: number;
  readonly #timeoutMs: number;
  /** Sum of `heldBytes` over `#waiting`; at most `#budgetBytes`. */
  #heldBytes = 0;
  /** Ascending by deadline: all have the same time, so by when they began. */
  readonly #waiting = new Set<Reading>();
  /**
   * One for all, set for the first that waits or earlier. It stays set when
   * that one is done: a timer for each small body would cost more than it.
   */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Makes a reader; its limits are for all bodies that it reads. */
  constructor(limits: BodyLimits = {}) {
    this.#budgetBytes = limits.bodyBudgetBytes ?? DEFAULT_BUDGET_BYTES;
    this.#timeoutMs = limits.bodyTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** Bytes that bodies under way hold now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * The body, of at most {@linkcode MAX_VALUE_BYTES}; more is not read.
   *
   * @throws {Problem} 413 beyond the limit, 503 beyond what all may hold, 408
   * if it does not come in time, 400 if it breaks off.
   */
  read(request: Request, env?: RequestEnv): Promise<Uint8Array> {
    const header = headerOf(request, env, "content-length");
    const length = header === undefined ? MAX_VALUE_BYTES : Number(header);
    // So asked that what is no number is refused, too.
    if (!(length <= MAX_VALUE_BYTES)) throw tooLarge();
    const incoming = env?.incoming;
    if (incoming !== undefined) return this.#readIncoming(incoming, length);
    return length <= WHOLE_BYTES
      ? this.#readWhole(request, length)
      : this.#readStream(request, length);
  }

  /** Lets go of the timer; for when nothing is served any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #readWhole(request: Request, length: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const reading = this.#begin(length, reject);
      if (!this.#hold(reading, length)) return;
      request.arrayBuffer().then(
        (buffer) => {
          this.#end(reading);
          resolve(new Uint8Array(buffer));
        },
        (error) => {
          this.#end(reading);
          reject(brokenBody(error));
        },
      );
    });
  }

  async #readStream(request: Request, length: number): Promise<Uint8Array> {
    if (request.body === null) return NO_BYTES;
    const reader = request.body.getReader();
    let problem: Problem | undefined;
    const reading = this.#begin(length, (why) => {
      problem = why;
      // Ends the read that waits. Not awaited: the answer must not wait for
      // what the client still sends.
      reader.cancel().catch(() => {});
    });
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (problem !== undefined) throw problem;
        if (done) return bodyOf(reading);
        this.#add(reading, value);
      }
    } catch (error) {
      throw error instanceof Problem ? error : brokenBody(error);
    } finally {
      this.#end(reading);
    }
  }

  #readIncoming(
    incoming: IncomingRequest,
    length: number,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const reading = this.#begin(length, (problem) => {
        incoming.removeAllListeners("data");
        incoming.pause();
        reject(problem);
      });
      const broken = (cause: unknown) => {
        this.#end(reading);
        reject(brokenBody(cause));
      };
      incoming.on("data", (chunk: Uint8Array) => this.#add(reading, chunk));
      incoming.on("end", () => {
        resolve(bodyOf(reading));
        this.#end(reading);
      });
      incoming.on("error", broken);
      incoming.on("close", () => {
        if (!incoming.complete) broken("the connection closed");
      });
    });
  }

  #begin(mostBytes: number, abort: (problem: Problem) => void): Reading {
    const reading: Reading = {
      deadline: performance.now() + this.#timeoutMs,
      abort,
      mostBytes,
      heldBytes: 0,
      buffer: NO_BYTES,
      length: 0,
    };
    this.#waiting.add(reading);
    this.#timer ??= setTimeout(this.#sweep, this.#timeoutMs);
    return reading;
  }

  /**
   * Takes a chunk in. The first one is kept as it is, the others are copied
   * into one buffer that doubles: however small the chunks are, a body holds
   * no more than is counted.
   */
  #add(reading: Reading, chunk: Uint8Array): void {
    const { buffer, length, mostBytes } = reading;
    const wanted = length + chunk.length;
    if (wanted > mostBytes) {
      this.#giveUp(reading, tooLarge());
    } else if (length === 0 && isTight(chunk)) {
      if (!this.#hold(reading, wanted)) return;
      reading.buffer = chunk;
      reading.length = wanted;
    } else {
      if (wanted > buffer.length) {
        const room = Math.min(mostBytes, Math.max(wanted, 2 * buffer.length));
        if (!this.#hold(reading, room)) return;
        reading.buffer = new Uint8Array(room);
        reading.buffer.set(buffer.subarray(0, length));
      }
      reading.buffer.set(chunk, length);
      reading.length = wanted;
    }
  }

  /** Whether a body may hold `bytes`; if not, it is given up. */
  #hold(reading: Reading, bytes: number): boolean {
    const heldBytes = this.#heldBytes - reading.heldBytes + bytes;
    const mostBytes = bytes <= SMALL_BYTES
      ? this.#budgetBytes
      : this.#budgetBytes * (1 - SMALL_SHARE);
    if (heldBytes > mostBytes) {
      this.#giveUp(reading, overloaded(mostBytes));
      return false;
    }
    this.#heldBytes = heldBytes;
    reading.heldBytes = bytes;
    return true;
  }

  #giveUp(reading: Reading, problem: Problem): void {
    this.#end(reading);
    reading.abort(problem);
  }

  /** Idempotent: a body may break off after it was given up. */
  #end(reading: Reading): void {
    if (!this.#waiting.delete(reading)) return;
    this.#heldBytes -= reading.heldBytes;
    // On Node and Bun listeners keep the reading as long as the connection.
    reading.buffer = NO_BYTES;
    reading.length = 0;
  }

  readonly #sweep = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const reading of this.#waiting) {
      if (reading.deadline > now) {
        this.#timer = setTimeout(this.#sweep, reading.deadline - now);
        return;
      }
      this.#giveUp(reading, bodyTimeout(this.#timeoutMs));
    }
  };
}

/** Whether a chunk is most of the buffer that it keeps alive. */
function isTight({ buffer, length }: Uint8Array): boolean {
  return buffer.byteLength <= 2 * length + SLACK_BYTES;
}

/** What came, without the room for more. */
function bodyOf({ buffer, length }: Reading): Uint8Array {
  return length === buffer.length ? buffer : buffer.slice(0, length);
}

/** The rest of these bodies is not read, so the connection cannot go on. */
const CLOSE: Readonly<Record<string, string>> = { connection: "close" };

function brokenBody(cause: unknown): Problem {
  return new Problem(
    400,
    "badRequest",
    `Cannot read the body: ${String(cause)}`,
  );
}

function tooLarge(): Problem {
  return new Problem(
    413,
    "tooLarge",
    `Cannot take the value: it has more than ${MAX_VALUE_BYTES} bytes`,
    CLOSE,
  );
}

function bodyTimeout(timeoutMs: number): Problem {
  return new Problem(
    408,
    "bodyTimeout",
    `Cannot read the body: it did not come whole within ${timeoutMs} ms`,
    CLOSE,
  );
}

function overloaded(budgetBytes: number): Problem {
  return new Problem(
    503,
    "overloaded",
    `Cannot read the body: those under way would hold more than ${budgetBytes} bytes`,
    { ...CLOSE, "retry-after": RETRY_AFTER_SECONDS },
  );
}
