/**
 * Are two results the same?
 *
 * @module
 */

/** Compares plain data, byte arrays, maps and sets by what they hold. */
export function isEqual(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (!isObject(left) || !isObject(right)) return false;
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) {
    return false;
  }
  if (left instanceof Map && right instanceof Map) {
    return isEqual([...left], [...right]);
  }
  if (left instanceof Set && right instanceof Set) {
    return isEqual([...left], [...right]);
  }
  const names = Object.keys(left);
  return names.length === Object.keys(right).length &&
    names.every((name) =>
      Object.hasOwn(right, name) &&
      isEqual(Reflect.get(left, name), Reflect.get(right, name))
    );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
