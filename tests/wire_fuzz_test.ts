/** Hostile frames against the decoder. Hazards H132-H134, H136. */
import { memoryUsage } from "node:process";
import { it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../src/errors.ts";
import { decodeFrame, encodeFrame } from "../src/wire.ts";
import { damagedFrame, drawFrom } from "./wire_fuzz.ts";

const FRAMES = 100_000;
const MAX_GROWTH_BYTES = 256 << 20;

it("100 000 damaged frames give messages or a typed error, in bounded memory", () => {
  const draw = drawFrom(20_240_601);
  const before = memoryUsage().rss;
  const counts = { taken: 0, malformedFrame: 0, frameTooLarge: 0 };
  for (let i = 0; i < FRAMES; i++) {
    const frame = damagedFrame(draw);
    try {
      const envelopes = decodeFrame(frame);
      // What is let in must be what this code itself would say.
      assertEquals(decodeFrame(encodeFrame(envelopes)), envelopes);
      counts.taken++;
    } catch (error) {
      if (isRaftError(error, "malformedFrame")) counts.malformedFrame++;
      else if (isRaftError(error, "frameTooLarge")) counts.frameTooLarge++;
      else throw error;
    }
  }
  const growth = memoryUsage().rss - before;
  assert(growth < MAX_GROWTH_BYTES, `the process grew by ${growth} bytes`);
  // The generator must reach all three outcomes, or it tests nothing.
  assert(counts.taken > 1_000, JSON.stringify(counts));
  assert(counts.malformedFrame > 50_000, JSON.stringify(counts));
  assert(counts.frameTooLarge > 1_000, JSON.stringify(counts));
});
