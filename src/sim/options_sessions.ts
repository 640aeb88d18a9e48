/**
 * What a seed decides about clients whose commands are numbered. Times are
 * virtual milliseconds, shares are in thousandths.
 *
 * @module
 */

/** How clients use sessions (thesis §6.3), and how much is kept of them. */
export interface SessionOptions {
  /**
   * Share of the clients that number their commands. 0: nobody does, and
   * members keep no sessions at all.
   */
  readonly clientPermille: number;
  /** How often a command is sent at most, until its outcome is known. */
  readonly sendCount: number;
  /** Longest wait for an answer before a command is sent again. */
  readonly resendMs: number;
  /** Share of the commands that begin a new session, under a new name. */
  readonly renewPermille: number;
  /** Share of the answers that a client forgets and asks for again. */
  readonly forgetPermille: number;
  /** Longest time after which it does. */
  readonly forgetMs: number;
  /** Clients whose results are kept. */
  readonly maxClients: number;
  /** Results kept per client. */
  readonly maxResultsPerClient: number;
  /** Results kept in all; at least `maxResultsPerClient`. */
  readonly maxResults: number;
}

/**
 * Clients of which the highest sequence is kept: more than a run has. Who is
 * forgotten even so may repeat a command, and nobody promises otherwise.
 */
export const MAX_RETIRED_CLIENTS: number = 1_000_000;
