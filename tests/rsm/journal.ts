/**
 * A state machine for tests: it writes down what it is given, and does on
 * command what machines should not do.
 *
 * @module
 */
import { copyBytes, decodeCbor, encodeCbor } from "../../src/codec.ts";
import { join } from "./support.ts";
import type {
  Applied,
  Schema,
  SnapshotSource,
  StateMachine,
} from "../../src/state_machine.ts";

/** A command. Text with `!` asks for special results, see the code. */
export interface Line {
  readonly text: string;
}

/** How a journal behaves. */
export interface JournalOptions {
  /** Results more than commands. */
  readonly surplus?: number;
  /** Answer and apply by promises; `apply` waits for `release`. */
  readonly async?: boolean;
  /** Tell `appliedIndex`, like a machine with a disk of its own. */
  readonly durable?: boolean;
  /** What every query throws. */
  readonly queryError?: Error;
}

/** Lines in the order of the log; not idempotent, so a repeat shows. */
export class Journal
  implements StateMachine<Line, unknown, "lines", readonly string[]> {
  readonly command: Schema<Line> = { parse: parseLine };
  /** Texts of each call of `apply`. */
  readonly calls: string[][] = [];
  /** Captures that were not released. */
  captures = 0;
  lines: string[] = [];
  #appliedIndex = 0;
  #release: () => void = () => {};
  readonly #options: JournalOptions;

  constructor(options: JournalOptions = {}) {
    this.#options = options;
  }

  get appliedIndex(): number | undefined {
    return this.#options.durable === true ? this.#appliedIndex : undefined;
  }

  apply(entries: readonly Applied<Line>[]): unknown[] | Promise<unknown[]> {
    this.calls.push(entries.map(({ command }) => command.text));
    if (this.#options.async !== true) {
      return this.#apply(entries);
    }
    return new Promise<void>((resolve) => {
      this.#release = resolve;
    }).then(() => this.#apply(entries));
  }

  /** Lets a pending `apply` go on, and all later ones wait for nothing. */
  release(): void {
    this.#release();
    const options: { async?: boolean } = this.#options;
    options.async = false;
  }

  query(query: "lines"): readonly string[] | Promise<readonly string[]> {
    const { queryError } = this.#options;
    if (queryError !== undefined) {
      throw queryError;
    }
    if (query !== "lines") {
      const error = new Error("No such query");
      if (this.#options.async === true) {
        return Promise.reject(error);
      }
      throw error;
    }
    return this.lines.slice();
  }

  snapshot(): SnapshotSource {
    const state = encodeCbor([this.#appliedIndex, this.lines]);
    const bytes = copyBytes(state);
    this.captures += 1;
    return {
      async *chunks() {
        yield bytes.subarray(0, 3);
        yield bytes.subarray(3);
      },
      release: () => {
        this.captures -= 1;
      },
    };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) {
      parts.push(copyBytes(chunk));
    }
    const [index, lines] = decodeCbor(join(parts)) as [number, string[]];
    this.#appliedIndex = index;
    this.lines = lines;
  }

  /** Length of the snapshot of a journal that applied one line per entry. */
  sizeOf(lines: readonly string[]): number {
    return encodeCbor([lines.length, lines]).length;
  }

  #apply(entries: readonly Applied<Line>[]): unknown[] {
    const results = entries.map((entry) => this.#applyOne(entry));
    const { surplus = 0 } = this.#options;
    return surplus < 0
      ? results.slice(0, surplus)
      : results.concat(Array.from({ length: surplus }, () => null));
  }

  #applyOne({ index, command: { text } }: Applied<Line>): unknown {
    if (text === "!throw") {
      throw new Error("Told to throw");
    }
    const line = `${index}:${text}`;
    this.lines.push(line);
    this.#appliedIndex = index;
    if (text === "!bytes") {
      return { bytes: new Uint8Array([1, 2, 3]) };
    }
    if (text.startsWith("!repeat ")) {
      return "x".repeat(Number(text.slice(8)));
    }
    const special: Readonly<Record<string, unknown>> = {
      "!undefined": undefined,
      "!null": null,
    };
    return Object.hasOwn(special, text)
      ? special[text]
      : { line, count: this.lines.length };
  }
}

function parseLine(input: unknown): Line {
  if (
    typeof input !== "object" || input === null || !("text" in input) ||
    typeof input.text !== "string"
  ) {
    throw new Error("not a line of text");
  }
  return { text: input.text };
}
