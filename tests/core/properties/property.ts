/**
 * How properties are run: the same cases in every run, so that a failure is
 * one for everybody; fast-check prints the seed and the least failing case.
 *
 * @module
 */
import fc from "fast-check";

// Short lists reach nothing: take all lengths that a property allows.
fc.configureGlobal({ baseSize: "xlarge" });

/** Seed of the ordinary run. */
export const SEED = 20_221_117;

/** Runs a property; throws with seed, path and counterexample if it fails. */
export function property<Values>(
  tested: fc.IProperty<Values>,
  runs = 2_000,
): void {
  fc.assert(tested, { seed: SEED, numRuns: runs });
}
