/**
 * Text that equal data have in common.
 *
 * @module
 */
import { Departure } from "../../src/core/departure.ts";
import { Suspicion } from "../../src/core/failover.ts";
import { Lease } from "../../src/core/lease.ts";
import type { Message } from "../../src/core/mod.ts";

/** Classes without private fields. */
const OPEN: ReadonlySet<unknown> = new Set([Departure, Lease, Suspicion]);

/** Names a message; equal messages have equal names. */
export function messageKey(message: Message): string {
  return stable(message);
}

/**
 * Text like JSON with sorted keys, of plain data and of classes whose state
 * is in plain sight.
 *
 * @throws {TypeError} At any other object: a key would miss its state.
 */
export function stable(value: unknown): string {
  if (typeof value !== "object" || value === null) return `${value}`;
  if (Array.isArray(value)) return `[${value.map(stable).join()}]`;
  if (value instanceof Uint8Array) return `<${value.join(".")}>`;
  if (value instanceof Map || value instanceof Set) {
    return `{${[...value].map(stable).sort().join()}}`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && !OPEN.has(value.constructor)) {
    throw new TypeError(
      `Cannot make a key of a ${value.constructor.name}: its state is hidden`,
    );
  }
  const fields = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1)
    .filter(([, field]) => field !== undefined)
    .map(([name, field]) => `${name}:${stable(field)}`);
  return `{${fields.join()}}`;
}
