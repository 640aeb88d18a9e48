/**
 * Whole runs as text: one line of JSON per event, to look at, to compare, and
 * to run again after the code has changed.
 *
 * @module
 */
import { drawOptions } from "./draw_options.ts";
import { overridden, type SimOverrides } from "./overrides.ts";
import { simulate, type SimulateOptions } from "./simulate.ts";
import type { SimResult } from "./simulate.ts";
import type { TraceLine } from "./simulation.ts";

/** Version of the format, the first field of the first line. */
export const TRACE_VERSION = 1;

/** A recorded run does not happen again as it was. */
export interface TraceDifference {
  /** Number of the first line that differs, from 1 on. */
  readonly line: number;
  /** That line as recorded; `undefined` if the record ends before. */
  readonly recorded: string | undefined;
  /** That line as it came now; `undefined` if the run ends before. */
  readonly replayed: string | undefined;
}

/** What became of running a record again. */
export interface Replay {
  /** How the run ended this time. */
  readonly result: SimResult;
  /** Where it left the record; `undefined` if it is equal to the end. */
  readonly difference: TraceDifference | undefined;
}

/**
 * Runs a seed and writes it down. The first line says the version, the seed
 * and all options; then each event has a line; the last one says how it ended.
 *
 * @param write Called with each line, without a line break.
 */
export function recordTrace<Command, Result, Query, Answer>(
  options: SimulateOptions<Command, Result, Query, Answer>,
  write: (line: string) => void,
): SimResult {
  const { seed, overrides = {} } = options;
  const drawn = overridden(drawOptions(seed), overrides);
  write(JSON.stringify({ version: TRACE_VERSION, options: drawn }));
  const result = simulate({
    ...options,
    onEvent(line) {
      write(textOf(line));
      options.onEvent?.(line);
    },
  });
  const { hash, failure } = result;
  write(JSON.stringify({
    hash,
    verdict: failure?.kind ?? "ok",
    check: failure?.check ?? null,
  }));
  return result;
}

/**
 * Runs what was recorded once more, with the options of the record, and
 * compares event by event.
 *
 * @param options Machine and hooks of the recorded run.
 * @throws {TypeError} If the first line is none of this version's.
 */
export function replayTrace<Command, Result, Query, Answer>(
  lines: readonly string[],
  options: Omit<
    SimulateOptions<Command, Result, Query, Answer>,
    "seed" | "overrides"
  > = {},
): Replay {
  const { seed, overrides } = readHeader(lines[0] ?? "");
  let count = 0;
  let difference: TraceDifference | undefined;
  const compare = (replayed: string | undefined) => {
    const recorded = lines[count++];
    if (replayed !== recorded) {
      difference ??= { line: count, recorded, replayed };
    }
  };
  const result = recordTrace({ ...options, seed, overrides }, compare);
  if (count < lines.length) compare(undefined);
  return { result, difference };
}

/** The seed and the options in the first line of a record. */
function readHeader(line: string): { seed: number; overrides: SimOverrides } {
  const { version, options } = parseObject(line);
  if (version !== TRACE_VERSION) {
    throw new TypeError(
      `Cannot replay: the version of the trace is ${version}, wanted ${TRACE_VERSION}`,
    );
  }
  const { seed, ...overrides } = isObject(options) ? options : {};
  if (typeof seed !== "number") {
    throw new TypeError("Cannot replay: the trace does not name its seed");
  }
  return { seed, overrides };
}

function parseObject(line: string): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(line);
    if (isObject(value)) return value;
  } catch {
    // Said below, with what was wanted.
  }
  throw new TypeError(
    "Cannot replay: the first line is no JSON object, wanted the header of a trace",
  );
}

function isObject(value: unknown): value is { [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf({ at, event, states }: TraceLine): string {
  return JSON.stringify({ at, event, states }, plainValue);
}

/** Bytes as hexadecimal text; what JSON lacks as the text it shows. */
function plainValue(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) {
    return Array.from(value, (byte) => byte.toString(16).padStart(2, "0"))
      .join("");
  }
  return typeof value === "bigint" ? `${value}` : value;
}
