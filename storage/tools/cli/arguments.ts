/**
 * Takes the command line apart.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { MemberAddress } from "../../../src/core/types.ts";
import { UsageError } from "./io.ts";

/** What flags a command takes; the same form as `parseArgs` wants. */
export type FlagSpecs = Readonly<
  Record<string, { type: "string" | "boolean"; multiple?: boolean }>
>;

/** A command line, checked for its form. */
export class Arguments {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #command: string;
  /** What is no flag. */
  readonly positionals: readonly string[];

  /**
   * @throws {UsageError} If a flag is unknown or lacks its value, the number of
   * other arguments is not that of `takes`, or one is empty: as a path it would
   * be the working directory.
   */
  constructor(
    command: string,
    args: readonly string[],
    spec: { readonly flags: FlagSpecs; readonly takes: readonly string[] },
  ) {
    const { flags, takes } = spec;
    this.#command = command;
    try {
      const parsed = parseArgs({
        args: [...args],
        options: { ...flags, json: { type: "boolean" } },
        allowPositionals: true,
        strict: true,
      });
      this.#values = parsed.values;
      this.positionals = parsed.positionals;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(`Cannot ${command}: ${reason}`);
    }
    if (this.positionals.length !== takes.length) {
      throw new UsageError(
        `Cannot ${command}: ${this.positionals.length} arguments are given, wanted ${
          takes.join(" ")
        }`,
      );
    }
    if (this.positionals.includes("")) {
      throw new UsageError(
        `Cannot ${command}: an argument is empty, wanted ${takes.join(" ")}`,
      );
    }
    for (const [name, value] of Object.entries(this.#values)) {
      if (![value].flat().includes("")) continue;
      throw new UsageError(`Cannot ${command}: --${name} is empty`);
    }
  }

  /** Whether a flag without a value is there. */
  has(name: string): boolean {
    return this.#values[name] === true;
  }

  /** The value of a flag. */
  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  /** @throws {UsageError} If it is missing. */
  required(name: string): string {
    return this.text(name) ?? this.#missing(name);
  }

  /** Every value of a flag that may be repeated. */
  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** @throws {UsageError} If it is no whole number from 1 on. */
  integer(name: string): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : integerOf(name, text);
  }

  /** @throws {UsageError} If one is no whole number from 1 on. */
  integers(name: string): readonly number[] {
    return this.texts(name).map((text) => integerOf(name, text));
  }

  /** @throws {UsageError} If it is missing or no whole number from 1 on. */
  requiredInteger(name: string): number {
    return this.integer(name) ?? this.#missing(name);
  }

  #missing(name: string): never {
    throw new UsageError(`Cannot ${this.#command}: --${name} is missing`);
  }
}

/**
 * Members as `ID=HOST:PORT,…`.
 *
 * @throws {UsageError} If the text is something else.
 */
export function membersOf(name: string, text: string): MemberAddress[] {
  return text.split(",").map((item) => {
    const match = /^([1-9]\d{0,14})=(.+)$/.exec(item);
    const address = match?.[2] ?? "";
    if (match === null || !isAddress(address)) {
      throw new UsageError(
        `Cannot use --${name}: it is "${text}", wanted ID=HOST:PORT,ID=HOST:PORT and so on`,
      );
    }
    return { id: Number(match[1]), address };
  });
}

/**
 * An address as `HOST:PORT`.
 *
 * @throws {UsageError} If the text is something else.
 */
export function addressOf(name: string, text: string): string {
  if (isAddress(text)) return text;
  throw new UsageError(
    `Cannot use --${name}: it is "${text}", wanted HOST:PORT`,
  );
}

function isAddress(text: string): boolean {
  const match = /^[^\s,=]+:(\d{1,5})$/.exec(text);
  const port = Number(match?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
}

function integerOf(name: string, text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new UsageError(
    `Cannot use --${name}: it is "${text}", wanted a whole number of at least 1`,
  );
}
