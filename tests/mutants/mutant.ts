/**
 * A mutant: the core with one deliberate bug in it (H140). The bug is a
 * patch, applied to a copy of the sources; the sources themselves know
 * nothing of it.
 *
 * @module
 */

/** Text to be replaced in one file of the sources. */
export interface Patch {
  /** Path below the project's root. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  /** Stands there instead. */
  readonly replace: string;
}

/** One deliberate bug. */
export interface Mutant {
  /** Names it on the command line and in the report. */
  readonly id: string;
  /** The hazard it commits, or the section of the thesis it breaks. */
  readonly hazard: string;
  /** What the core does wrong. */
  readonly what: string;
  /** All of them together make the bug. */
  readonly patches: readonly Patch[];
}

/** A patch does not fit the sources any more. */
export class StalePatchError extends Error {
  override name = "StalePatchError";
}

/**
 * The files that a mutant changes, by path, as it wants them.
 *
 * @param read Gives the text of a file of the sources.
 * @throws {StalePatchError} If a text does not occur exactly once.
 */
export function patchedFiles(
  mutant: Mutant,
  read: (file: string) => string,
): Map<string, string> {
  const files = new Map<string, string>();
  for (const { file, find, replace } of mutant.patches) {
    const text = files.get(file) ?? read(file);
    const parts = text.split(find);
    const [before = "", after = ""] = parts;
    if (parts.length !== 2 || find === replace) {
      throw new StalePatchError(
        `Cannot make the mutant "${mutant.id}": in ${file} its text occurs ${
          parts.length - 1
        } times, wanted 1: ${JSON.stringify(find)}`,
      );
    }
    files.set(file, before + replace + after);
  }
  return files;
}

/** The mutants of these names, in order; all of them for no names. */
export function chooseMutants(
  mutants: readonly Mutant[],
  ids: readonly string[],
): Mutant[] {
  if (ids.length === 0) return [...mutants];
  return ids.map((id) => {
    const mutant = mutants.find((candidate) => candidate.id === id);
    if (mutant === undefined) {
      throw new RangeError(`Cannot find the mutant "${id}": there is none`);
    }
    return mutant;
  });
}
