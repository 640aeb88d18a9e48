/**
 * The load generator: connections that each have one request in flight, on
 * bare sockets, with requests patched in place and answers barely parsed, so
 * that the servers are what is measured. Runs as a process of its own.
 *
 * @module
 */
import * as fs from "node:fs";
import process from "node:process";
import { connect, fail, type Socket } from "./sockets.ts";
import { percentile } from "./stats.ts";

/** What load to put on which server. */
export interface LoadOptions {
  /** Port of the server on this machine. */
  readonly port: number;
  /** Connections. */
  readonly clients: number;
  /** Load that is not measured, before what is. */
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly valueBytes: number;
  /** Below 1000; sets the keys of this run apart from those of all others. */
  readonly run: number;
  /** Processes whose processor time counts as the servers'. */
  readonly pids: readonly number[];
}

/** What came of it. */
export interface LoadFigures {
  readonly writesPerSecond: number;
  /** Answers other than 200. */
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Processor time of the servers per write; `null` if it is not known. */
  readonly serverCpuUs: number | null;
  /** Processor time of the load generator per write. */
  readonly loadCpuUs: number;
}

interface Measurement {
  on: boolean;
  done: boolean;
  failures: number;
  readonly took: number[];
}

/** Puts load on a server, and measures how it does. */
export async function measureLoad(options: LoadOptions): Promise<LoadFigures> {
  const measurement: Measurement = {
    on: false,
    done: false,
    failures: 0,
    took: [],
  };
  const clients: Client[] = [];
  for (let index = 0; index < options.clients; index++) {
    clients.push(await Client.connect(options, index, measurement));
  }
  const finished = Promise.all(clients.map((client) => client.start()));
  await seconds(options.warmupSeconds);
  measurement.on = true;
  const before = readClocks(options.pids);
  await seconds(options.seconds);
  const after = readClocks(options.pids);
  measurement.on = false;
  measurement.done = true;
  await finished;
  return summarize(measurement, before, after);
}

function summarize(
  { took, failures }: Measurement,
  before: Clocks,
  after: Clocks,
): LoadFigures {
  const sorted = Float64Array.from(took).sort();
  const servers = before.serversMs === null || after.serversMs === null
    ? null
    : after.serversMs - before.serversMs;
  return {
    writesPerSecond: took.length / ((after.wallMs - before.wallMs) / 1_000),
    failures,
    p50Ms: percentile(sorted, 50),
    p99Ms: percentile(sorted, 99),
    maxMs: percentile(sorted, 100),
    serverCpuUs: servers === null ? null : servers * 1_000 / took.length,
    loadCpuUs: (after.ownMs - before.ownMs) * 1_000 / took.length,
  };
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1_000));
}

interface Clocks {
  readonly wallMs: number;
  readonly ownMs: number;
  readonly serversMs: number | null;
}

function readClocks(pids: readonly number[]): Clocks {
  const own = process.cpuUsage();
  return {
    wallMs: performance.now(),
    ownMs: (own.user + own.system) / 1_000,
    serversMs: processorMs(pids),
  };
}

/** A clock tick of `/proc`: the kernel shows 100 a second to everybody. */
const CLOCK_TICK_MS = 10;

/** Processor time of some processes together; only Linux tells. */
function processorMs(pids: readonly number[]): number | null {
  if (process.platform !== "linux") return null;
  let ticks = 0;
  for (const pid of pids) {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the command may hold blanks: count from its closing bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * CLOCK_TICK_MS;
}

const CR = 13;
const DIGIT_0 = 48;
const MAX_ANSWER_BYTES = 16 * 1024;
/** `HTTP/1.1 200`: where the code stands. */
const STATUS_AT = 9;
const COUNTER_DIGITS = 9;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Client {
  readonly #measurement: Measurement;
  readonly #request: Uint8Array;
  /** Last digits of the key and of the value's copy of it. */
  readonly #keyEnd: number;
  readonly #valueKeyEnd: number;
  readonly #answer = new Uint8Array(MAX_ANSWER_BYTES);
  #answerLength = 0;
  #sentAt = 0;
  #socket: Socket | undefined;
  #finish: (() => void) | undefined;

  static async connect(
    options: LoadOptions,
    index: number,
    measurement: Measurement,
  ): Promise<Client> {
    const client = new Client(options, index, measurement);
    client.#socket = await connect(
      options.port,
      (bytes) => client.#receive(bytes),
    );
    return client;
  }

  constructor(options: LoadOptions, index: number, measurement: Measurement) {
    this.#measurement = measurement;
    const run = String(options.run).padStart(3, "0");
    const key = `k${run}${String(index).padStart(4, "0")}` +
      "0".repeat(COUNTER_DIGITS);
    const head = `PUT /kv/${key} HTTP/1.1\r\nhost: 127.0.0.1\r\n` +
      `content-length: ${options.valueBytes}\r\n\r\n`;
    this.#request = encoder.encode(head + key.padEnd(options.valueBytes, "v"));
    this.#keyEnd = head.indexOf(" HTTP") - 1;
    this.#valueKeyEnd = head.length + key.length - 1;
  }

  /** Sends one request after another; resolves when the run is done. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#finish = resolve;
      this.#send();
    });
  }

  #send(): void {
    this.#countUp(this.#keyEnd);
    this.#countUp(this.#valueKeyEnd);
    this.#sentAt = performance.now();
    this.#socket?.write(this.#request);
  }

  #countUp(end: number): void {
    const request = this.#request;
    for (let at = end; at > end - COUNTER_DIGITS; at--) {
      const digit = request[at] ?? DIGIT_0;
      if (digit < DIGIT_0 + 9) {
        request[at] = digit + 1;
        return;
      }
      request[at] = DIGIT_0;
    }
  }

  #receive(bytes: Uint8Array): void {
    this.#answer.set(bytes, this.#answerLength);
    this.#answerLength += bytes.length;
    const whole = wholeAnswer(this.#answer, this.#answerLength);
    if (!whole) return;
    this.#count();
    this.#answerLength = 0;
    if (this.#measurement.done) this.#finish?.();
    else this.#send();
  }

  #count(): void {
    if (!this.#measurement.on) return;
    const code = this.#answer.subarray(STATUS_AT, STATUS_AT + 3);
    const ok = code[0] === DIGIT_0 + 2 && code[1] === DIGIT_0 &&
      code[2] === DIGIT_0;
    if (ok) this.#measurement.took.push(performance.now() - this.#sentAt);
    else this.#measurement.failures++;
  }
}

/** Whether the first bytes are an answer with all of its body. */
function wholeAnswer(bytes: Uint8Array, length: number): boolean {
  for (let at = STATUS_AT + 3; at + 4 <= length; at++) {
    if (bytes[at] !== CR || bytes[at + 2] !== CR) continue;
    return length >= at + 4 + contentLength(bytes.subarray(0, at));
  }
  return false;
}

function contentLength(head: Uint8Array): number {
  const field = /content-length: *(\d+)/i.exec(decoder.decode(head));
  if (field === null) {
    return fail(new Error("Cannot read an answer: it has no content-length"));
  }
  return Number(field[1]);
}
