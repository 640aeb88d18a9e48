/**
 * What the commands need of the process they run in, so that tests can hand
 * in something else.
 *
 * @module
 */
import process from "node:process";

/** The process, as the commands see it. */
export interface ProcessIo {
  /** Writes a line to standard output. */
  out(line: string): void;
  /** Writes a line to standard error. */
  err(line: string): void;
}

// A reader that went away, as in `kv serve | head`, is no reason to stop.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", () => {});
}

/** The real process. */
export const processIo: ProcessIo = {
  out(line) {
    process.stdout.write(`${line}\n`);
  },
  err(line) {
    process.stderr.write(`${line}\n`);
  },
};

/**
 * Resolves with why the process should stop: a signal, or, if asked for, the
 * end of standard input. Further signals change nothing: stopping is bounded
 * in time anyway.
 */
export function stopRequested(options: {
  readonly withStdin: boolean;
}): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => resolve(signal));
    }
    if (!options.withStdin) return;
    process.stdin.on("end", () => resolve("end of standard input"));
    process.stdin.on("error", () => resolve("end of standard input"));
    process.stdin.on("close", () => resolve("end of standard input"));
    process.stdin.resume();
  });
}
