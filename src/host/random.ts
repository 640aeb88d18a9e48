/**
 * Randomness for timeouts and request numbers: no secret hangs on it.
 *
 * @module
 */

/**
 * A generator (sfc32) seeded by the runtime's entropy: members that start in
 * the same instant must not draw the same timeouts (H16).
 */
export function entropicRandom(): () => number {
  const seed = crypto.getRandomValues(new Uint32Array(3));
  return seededRandom(seed[0] ?? 0, seed[1] ?? 0, seed[2] ?? 0);
}

/** A generator of numbers in [0, 1) that equal seeds repeat. */
export function seededRandom(
  seedA: number,
  seedB: number = 0,
  seedC: number = 0,
): () => number {
  let [a, b, c, counter] = [seedA | 0, seedB | 0, seedC | 0, 1];
  const next = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum | 0;
    return (sum >>> 0) / 4_294_967_296;
  };
  // Spreads the seed over the state: seeds that differ in one bit diverge.
  for (let round = 0; round < 12; round++) next();
  return next;
}

/**
 * Where a member starts to count its requests. Far apart in every life, so
 * that an answer meant for an earlier life matches nothing (H96).
 */
export function requestNumberBase(random: () => number): number {
  return Math.floor(random() * 2 ** 20) * 2 ** 31;
}
