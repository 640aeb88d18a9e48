/**
 * Draws how clients use sessions in a run.
 *
 * @module
 */
import type { SessionOptions } from "./options_sessions.ts";
import type { SimRandom } from "./prng.ts";

/** Draws the options of a run. Small limits make sessions expire. */
export function drawSessions(random: SimRandom): SessionOptions {
  const maxResultsPerClient = random.pick([1, 2, 8, 8, 1_024]);
  return {
    clientPermille: random.pick([0, 0, 0, 0, 300, 1_000]),
    sendCount: random.pick([2, 5, 20]),
    resendMs: random.pick([500, 2_000, 5_000]),
    renewPermille: random.pick([0, 20, 200]),
    forgetPermille: random.pick([0, 100, 300]),
    forgetMs: random.pick([100, 2_000, 20_000]),
    maxClients: random.pick([1, 2, 3, 20, 10_000]),
    maxResultsPerClient,
    maxResults: Math.max(maxResultsPerClient, random.pick([3, 20, 262_144])),
  };
}
