/**
 * Options given in place of what a seed draws.
 *
 * @module
 */
import type { SimOptions } from "./options.ts";

/** Replaces single options, also within their groups; lists as a whole. */
export type SimOverrides = {
  readonly [K in keyof Omit<SimOptions, "seed">]?: SimOptions[K] extends
    readonly unknown[] ? SimOptions[K]
    : SimOptions[K] extends object ? Partial<SimOptions[K]>
    : SimOptions[K];
};

/** What a run of `drawn` with these overrides is made of. */
export function overridden(
  drawn: SimOptions,
  overrides: SimOverrides,
): SimOptions {
  const options: Record<string, unknown> = { ...drawn };
  for (const [name, value] of Object.entries(overrides)) {
    if (value === undefined) continue;
    const before = options[name];
    options[name] = isGroup(before) && isGroup(value)
      ? { ...before, ...value }
      : value;
  }
  return { ...drawn, ...options, seed: drawn.seed };
}

function isGroup(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
