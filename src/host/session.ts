/**
 * Commands that are applied exactly once, however often they are sent.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { isRaftError, RaftError, type RaftErrorCode } from "../errors.ts";
import type { SessionRef } from "../rsm/machine_runner.ts";
import {
  type Committed,
  deadlineOf,
  type ProposeOptions,
  type WaitOptions,
} from "./options.ts";

/** Milliseconds without an answer before a command is sent again. */
const RESEND_MS = 2_000;

/** What ends an attempt, but says nothing against the next one. */
const PASSING: ReadonlySet<RaftErrorCode> = new Set<RaftErrorCode>([
  "leadershipLost",
  "noLeader",
  "timeout",
]);

/** Options of a proposal of a session. */
export interface SessionProposeOptions extends WaitOptions {
  /**
   * Names the command among the client's, a safe integer of at least 0. The
   * same one again asks for the first result. A client that outlives its
   * process keeps count itself. @default {one more than the last}
   */
  readonly sequence?: number | undefined;
  /**
   * Whether a member that does not lead passes the command on. If not it
   * rejects with `notLeader` and says who leads: propose the same sequence
   * there. @default {true}
   */
  readonly forward?: boolean | undefined;
}

/** What a session needs of its member. */
export interface SessionHost<C, R> {
  readonly clock: Clock;
  readonly timeoutMs: number;
  propose(
    command: C,
    options: ProposeOptions,
    session: SessionRef,
  ): Promise<Committed<R>>;
}

/**
 * A client of a group. Its commands carry its name and a sequence number, and
 * every member remembers what came of the latest ones (thesis §6.3): so a
 * command is sent again until its outcome is known, and applied once.
 *
 * Two sessions of one name share one count: use a name in one place.
 */
export interface Session<C, R> {
  /** The client's name, the same in every life of the client. */
  readonly client: string;
  /**
   * Proposes a command; resolves once it is applied, exactly once. Commands
   * that wait at the same time may be applied in any order.
   *
   * @throws {RaftError} `timeout`, `noLeader` or `leadershipLost` if the
   * outcome was not learnt in time: propose the same sequence again.
   * `sessionExpired` if too many later commands of this client were applied.
   * `notLeader` if another member leads and `forward` is off.
   * `invalidCommand`, `tooLarge`, `overloaded`, `stopped` as for a plain
   * proposal.
   */
  propose(command: C, options?: SessionProposeOptions): Promise<Committed<R>>;
}

/** A session at a member in this process. */
export class MemberSession<C, R> implements Session<C, R> {
  readonly client: string;
  readonly #host: SessionHost<C, R>;
  /** Highest sequence used. */
  #lastSequence = -1;

  constructor(client: string, host: SessionHost<C, R>) {
    this.client = client;
    this.#host = host;
  }

  async propose(
    command: C,
    options: SessionProposeOptions = {},
  ): Promise<Committed<R>> {
    const { clock, timeoutMs } = this.#host;
    const deadline = deadlineOf(clock.now(), options.timeoutMs, timeoutMs);
    const sequence = options.sequence ?? this.#lastSequence + 1;
    if (sequence > this.#lastSequence) this.#lastSequence = sequence;
    const session: SessionRef = { client: this.client, sequence };
    // An attempt given up may still be applied: what the last one was told
    // is about the last one only (H104).
    let mayBeApplied = false;
    while (true) {
      const { forward, signal } = options;
      const leftMs = Math.max(1, deadline - clock.now());
      const attempt = {
        forward,
        signal,
        timeoutMs: Math.min(leftMs, RESEND_MS),
      };
      try {
        return await this.#host.propose(command, attempt, session);
      } catch (error) {
        if (!isRaftError(error)) throw error;
        const isOver = !PASSING.has(error.code) || clock.now() >= deadline;
        if (isOver) throw mayBeApplied ? unsettled(error) : error;
        mayBeApplied ||= error.outcome === "unknown";
      }
    }
  }
}

/** The error of a last attempt, when an earlier one may still be applied. */
function unsettled(error: RaftError): RaftError {
  if (error.outcome !== "notAppended") return error;
  const { code, leader, message } = error;
  return new RaftError(
    code,
    `Cannot tell what became of the proposal: it was sent before, and then: ${message}`,
    { outcome: "unknown", leader, cause: error },
  );
}
