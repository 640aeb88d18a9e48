/**
 * Finds the first difference between what is expected and what is found.
 *
 * @module
 */

/** Where expected and found differ. */
export interface Difference {
  /** Keys and positions, joined by dots. */
  readonly path: string;
  readonly expected: unknown;
  readonly found: unknown;
}

/** The first difference of two values; `undefined` if they are equal. */
export function firstDifference(
  path: string,
  expected: unknown,
  found: unknown,
): Difference | undefined {
  if (Array.isArray(expected) && Array.isArray(found)) {
    return expected.length === found.length
      ? firstOf(
        expected.map((each, i) => () =>
          firstDifference(`${path}.${i}`, each, found[i])
        ),
      )
      : { path, expected, found };
  }
  if (!isRecord(expected) || !isRecord(found)) {
    return Object.is(expected, found) ? undefined : { path, expected, found };
  }
  const keys = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return firstOf(
    [...keys].map((key) => () =>
      firstDifference(`${path}.${key}`, expected[key], found[key])
    ),
  );
}

/** As {@linkcode firstDifference}, but only what `expected` lists counts. */
export function firstListedDifference(
  path: string,
  expected: object,
  found: object,
): Difference | undefined {
  const listed = Object.entries(expected);
  const values = new Map(Object.entries(found));
  return firstOf(
    listed.map(([key, value]) => () =>
      firstDifference(`${path}.${key}`, value, values.get(key))
    ),
  );
}

/** The first difference that one of the comparisons finds. */
export function firstOf(
  comparisons: readonly (() => Difference | undefined)[],
): Difference | undefined {
  for (const compare of comparisons) {
    const difference = compare();
    if (difference !== undefined) return difference;
  }
  return undefined;
}

/** The difference as a line says it. */
export function describeDifference(difference: Difference): string {
  const { path, expected, found } = difference;
  return `${path}: expected ${textOf(expected)}, found ${textOf(found)}`;
}

function textOf(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
