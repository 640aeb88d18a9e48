/**
 * Whether two values hold the same.
 *
 * @module
 */

/**
 * Compares plain data, dates, maps, sets and byte arrays by what they hold;
 * maps and sets in order, since order is part of a state.
 */
export function isSame(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) {
    return true;
  }
  if (!isObject(left) || !isObject(right)) {
    return false;
  }
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) {
    return false;
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return left.length === right.length &&
      left.every((byte, at) => byte === right[at]);
  }
  if (left instanceof Date && right instanceof Date) {
    return left.getTime() === right.getTime();
  }
  if (left instanceof Map && right instanceof Map) {
    return isSame(Array.from(left), Array.from(right));
  }
  if (left instanceof Set && right instanceof Set) {
    return isSame(Array.from(left), Array.from(right));
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) {
    return left.length === right.length &&
      left.every((byte, at) => byte === right[at]);
  }
  const names = Object.keys(left);
  return names.length === Object.keys(right).length &&
    names.every((name) =>
      Object.hasOwn(right, name) &&
      isSame(Reflect.get(left, name), Reflect.get(right, name))
    );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
