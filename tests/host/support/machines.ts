/**
 * Machines that show what was applied.
 *
 * @module
 */
import type {
  Applied,
  Schema,
  SnapshotSource,
  StateMachine,
} from "../../../src/state_machine.ts";

const text: Schema<string> = {
  parse(input: unknown): string {
    if (typeof input === "string") return input;
    throw new TypeError(`a command is a string, not ${typeof input}`);
  },
};

/** Keeps every command; its result is how many there are. */
export class Journal implements StateMachine<string, number, null, string[]> {
  readonly command: Schema<string> = text;
  readonly lines: string[] = [];

  apply(entries: readonly Applied<string>[]): number[] | Promise<number[]> {
    return entries.map(({ command }) => {
      if (command === "throw") throw new Error("the machine broke");
      return this.lines.push(command);
    });
  }

  query(query: null): string[] {
    if (query !== null) throw new Error("the query broke");
    return [...this.lines];
  }

  snapshot(): SnapshotSource {
    const lines = [...this.lines];
    return { chunks: () => chunksOf(lines) };
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let stored = "";
    for await (const chunk of chunks) {
      stored += decoder.decode(chunk, { stream: true });
    }
    this.lines.splice(0, Infinity, ...stored.split("\n").slice(0, -1));
  }
}

/** A journal that takes its time: each batch waits for {@linkcode pass}. */
export class SlowJournal extends Journal {
  #waiting: (() => void)[] = [];
  applyCount = 0;

  override async apply(entries: readonly Applied<string>[]): Promise<number[]> {
    this.applyCount++;
    await new Promise<void>((pass) => this.#waiting.push(pass));
    return super.apply(entries);
  }

  pass(): void {
    for (const pass of this.#waiting.splice(0)) pass();
  }
}

/** One chunk per line. */
async function* chunksOf(lines: readonly string[]): AsyncIterable<Uint8Array> {
  const encoder = new TextEncoder();
  for (const line of lines) yield encoder.encode(`${line}\n`);
}
