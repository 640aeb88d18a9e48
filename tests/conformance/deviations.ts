/**
 * The scenarios that Balsa answers differently on purpose, at level 3 only.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { basename } from "node:path/posix";
import * as z from "zod";
import { KitError } from "./kit_files.ts";
import type { Suite } from "./kit_types.ts";

/** One of them. */
export interface Deviation {
  readonly suite: Suite;
  /** Name of the file, without folders. */
  readonly file: string;
  /** Name of the scenario. */
  readonly scenario: string;
  /** Why: a section of the thesis or a hazard. */
  readonly reason: string;
}

const schema = z.array(z.strictObject({
  suite: z.enum(["interaction", "paper", "protocol"]),
  file: z.string(),
  scenario: z.string(),
  reason: z.string().min(1),
})) satisfies z.ZodType<Deviation[]>;

/** Reads a list of deviations. @throws {KitError} If it cannot be read. */
export async function readDeviations(path: string): Promise<Deviation[]> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new KitError(`Cannot read the deviations: ${reason}`, { cause });
  }
}

/** The deviation that a scenario is listed as, wherever the kit lies. */
export function findDeviation(
  deviations: readonly Deviation[],
  suite: Suite,
  path: string,
  scenario: string,
): Deviation | undefined {
  const file = basename(path);
  return deviations.find((one) =>
    one.suite === suite && one.file === file && one.scenario === scenario
  );
}
