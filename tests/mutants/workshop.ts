/**
 * Copies of the project in which mutants are made, one at a time.
 *
 * @module
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Mutant, patchedFiles } from "./mutant.ts";

/** What the hunters need of the project. */
const NEEDED: readonly string[] = [
  "deno.json",
  "deno.lock",
  "core.json",
  "src",
  "tests/conformance",
  "tests/mutants/hunt.ts",
];

/** A copy of the project that becomes one mutant after the other. */
export class Workshop {
  /** Root of the copy. */
  readonly folder: string;
  /** The files that differ from the sources now. */
  #patched: readonly string[] = [];
  /** Files as they were copied, by path. */
  readonly #originals = new Map<string, string>();

  /** Copies what is needed of the project at `sources`. */
  constructor(sources: string) {
    this.folder = mkdtempSync(join(tmpdir(), "balsa-mutants-"));
    for (const path of NEEDED) {
      const target = join(this.folder, path);
      mkdirSync(dirname(target), { recursive: true });
      cpSync(join(sources, path), target, { recursive: true });
    }
  }

  /**
   * Turns the copy into `mutant`, or into the original for `undefined`.
   *
   * @throws {StalePatchError} If the mutant does not fit the sources.
   */
  become(mutant: Mutant | undefined): void {
    const read = (file: string) => this.#original(file);
    const files = mutant === undefined
      ? new Map<string, string>()
      : patchedFiles(mutant, read);
    for (const file of this.#patched) {
      writeFileSync(join(this.folder, file), read(file));
    }
    for (const [file, text] of files) {
      writeFileSync(join(this.folder, file), text);
    }
    this.#patched = [...files.keys()];
  }

  /** Deletes the copy. */
  close(): void {
    if (existsSync(this.folder)) rmSync(this.folder, { recursive: true });
  }

  /** A file as it was copied: nobody has patched it when it is first read. */
  #original(file: string): string {
    const known = this.#originals.get(file);
    if (known !== undefined) return known;
    const text = readFileSync(join(this.folder, file), "utf8");
    this.#originals.set(file, text);
    return text;
  }
}
