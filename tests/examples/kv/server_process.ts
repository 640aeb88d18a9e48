/**
 * The KV server's program as a process, for tests.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import process from "node:process";
import {
  eachLine,
  isPortFree,
  sendSignal,
  withTimeout,
} from "../../chaos/cluster.ts";
import { ownProgram } from "../../chaos/program.ts";

/** How a process ended and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

const PATIENCE_MS = 30_000;

/** A run of the program. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  readonly #lines: string[] = [];
  readonly #errors: string[] = [];
  /** Called for each line; tells whether somebody waits for more. */
  #waiting: (() => void)[] = [];

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const program = ownProgram();
    const child = spawn(program.executable, [...program.args, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    this.#child = child;
    child.stdin.on("error", () => {});
    eachLine(child.stdout, (line) => this.#add(this.#lines, line));
    eachLine(child.stderr, (line) => this.#add(this.#errors, line));
    this.#ended = new Promise((resolve) => {
      child.on("close", (code, signal) => {
        const out = this.#lines.join("\n");
        resolve({ code, signal, out, err: this.#errors.join("\n") });
        this.#wake();
      });
    });
  }

  /** Waits for a line of standard output that matches. */
  async line(pattern: RegExp): Promise<RegExpExecArray> {
    return await this.#match(this.#lines, pattern);
  }

  /** Waits for a line of standard error that matches. */
  async errorLine(pattern: RegExp): Promise<RegExpExecArray> {
    return await this.#match(this.#errors, pattern);
  }

  /** Waits until it ends. */
  async end(): Promise<Ended> {
    return await withTimeout(this.#ended, PATIENCE_MS, "see the process end");
  }

  /** Sends a signal, then waits until it ends. */
  async signal(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<Ended> {
    sendSignal(this.#child, signal);
    return await this.end();
  }

  /** Closes its standard input. */
  closeStdin(): void {
    this.#child.stdin?.end();
  }

  async #match(
    lines: readonly string[],
    pattern: RegExp,
  ): Promise<RegExpExecArray> {
    return await withTimeout(
      this.#firstMatch(lines, pattern),
      PATIENCE_MS,
      `see ${pattern}`,
    );
  }

  async #firstMatch(
    lines: readonly string[],
    pattern: RegExp,
  ): Promise<RegExpExecArray> {
    let ended = false;
    this.#ended.then(() => ended = true);
    for (let seen = 0;;) {
      for (; seen < lines.length; seen += 1) {
        const match = pattern.exec(lines[seen] ?? "");
        if (match !== null) return match;
      }
      if (ended) {
        throw new Error(
          `Cannot see ${pattern}: the process ended\n${
            [...this.#lines, ...this.#errors].join("\n")
          }`,
        );
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #add(lines: string[], line: string): void {
    lines.push(line);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** The first of `count` neighbouring ports that are free. */
export async function freeRange(count: number): Promise<number> {
  for (;;) {
    const base = 10_000 + Math.floor(Math.random() * 19_000);
    const free: boolean[] = [];
    for (let port = base; port < base + count; port += 1) {
      free.push(await isPortFree(port));
    }
    if (free.every(Boolean)) return base;
  }
}

/** Holds a port until the returned function is called. */
export function occupy(port: number): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });
}
