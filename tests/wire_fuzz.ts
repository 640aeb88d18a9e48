/** Damaged frames by the thousand, the same for the same seed. */
import { encodeControlFrame, encodeFrame, FRAME_KIND } from "../src/wire.ts";
import { SAMPLES } from "./wire_samples.ts";

/** A generator of integers in `[0, bound)`; mulberry32. */
export type Draw = (bound: number) => number;

/** Starts a generator from a seed. */
export function drawFrom(seed: number): Draw {
  let state = seed | 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * bound);
  };
}

const VALID: readonly Uint8Array[] = [
  ...Object.values(SAMPLES).map((message) =>
    encodeFrame([{ group: 1, message }])
  ),
  encodeFrame(Object.values(SAMPLES).map((message) => ({ group: 2, message }))),
];

/** A frame that is random, or a good one damaged in one of several ways. */
export function damagedFrame(draw: Draw): Uint8Array {
  switch (draw(8)) {
    case 0:
      return randomBytes(draw, draw(64));
    case 1:
      return withHeader(randomBytes(draw, draw(200)));
    case 2:
      return encodeControlFrame(FRAME_KIND.messages, randomValue(draw, 0));
    case 3: {
      const frame = pick(draw);
      return frame.slice(0, draw(frame.length + 1));
    }
    case 4: {
      const frame = pick(draw).slice();
      frame.set(randomBytes(draw, 4));
      return frame;
    }
    case 5:
      return withHeader(splice(draw, pick(draw), pick(draw)));
    default:
      return flipBits(draw, pick(draw).slice());
  }
}

function pick(draw: Draw): Uint8Array {
  return VALID[draw(VALID.length)] ?? new Uint8Array(0);
}

function randomBytes(draw: Draw, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => draw(256));
}

function withHeader(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(5 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length + 1);
  frame[4] = FRAME_KIND.messages;
  frame.set(body, 5);
  return frame;
}

function splice(draw: Draw, left: Uint8Array, right: Uint8Array): Uint8Array {
  const head = left.subarray(5, 5 + draw(left.length));
  const tail = right.subarray(draw(right.length));
  return new Uint8Array([...head, ...tail]);
}

function flipBits(draw: Draw, frame: Uint8Array): Uint8Array {
  const flips = 1 + draw(4);
  for (let i = 0; i < flips; i++) {
    const at = draw(frame.length);
    frame[at] = (frame[at] ?? 0) ^ (1 << draw(8));
  }
  return frame;
}

/** Plain data that looks like envelopes at first, then less and less. */
function randomValue(draw: Draw, depth: number): unknown {
  const kind = draw(depth > 6 ? 5 : 9);
  if (kind === 0) return draw(20);
  if (kind === 1) return draw(2 ** 31) * 2 ** draw(23);
  if (kind === 2) return draw(2) === 0;
  if (kind === 3) return randomBytes(draw, draw(30));
  if (kind === 4) return "x".repeat(draw(30));
  return Array.from(
    { length: draw(12) },
    () => randomValue(draw, depth + 1),
  );
}
