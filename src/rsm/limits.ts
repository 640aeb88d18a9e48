/**
 * How much a runner keeps of its clients.
 *
 * @module
 */
import type { SessionLimits } from "./sessions.ts";

/**
 * Options of a runner. They decide what is applied, so they
 * are the same on all members of a group, for as long as it lives.
 */
export interface MachineRunnerOptions {
  /**
   * Clients whose results are kept; beyond it the one that was least recently
   * used in the log retires. Default 10 000, at least 1.
   */
  readonly maxClients?: number | undefined;
  /**
   * Retired clients whose highest sequence is kept, so that their old
   * commands stay refused. Default ten per client, at least 0.
   */
  readonly maxRetiredClients?: number | undefined;
  /**
   * Results kept per client, of its highest sequences: how many commands it
   * may have under way at once. Default 1 024, at least 1.
   */
  readonly maxResultsPerClient?: number | undefined;
  /**
   * Results kept in all, which bounds memory and snapshots: about 150 bytes
   * each besides their own. Default 262 144, at least `maxResultsPerClient`.
   */
  readonly maxResults?: number | undefined;
}

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} If an option is out of range.
 */
export function parseLimits(options: MachineRunnerOptions): SessionLimits {
  const maxClients = options.maxClients ?? 10_000;
  const maxResultsPerClient = options.maxResultsPerClient ?? 1_024;
  const limits: SessionLimits = {
    maxClients,
    maxRetiredClients: options.maxRetiredClients ?? 10 * maxClients,
    maxResultsPerClient,
    maxResults: options.maxResults ?? Math.max(262_144, maxResultsPerClient),
  };
  assertRange("maxClients", maxClients, 1);
  assertRange("maxRetiredClients", limits.maxRetiredClients, 0);
  assertRange("maxResultsPerClient", maxResultsPerClient, 1);
  assertRange("maxResults", limits.maxResults, maxResultsPerClient);
  return limits;
}

function assertRange(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(
      `Cannot use ${name}: it must be an integer ≥ ${least}, not ${value}`,
    );
  }
}
