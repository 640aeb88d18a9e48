/**
 * Clients with sessions: they number their commands, and send one again under
 * its number until they know what came of it (thesis §6.3).
 *
 * @module
 */
import type { GroupId } from "../core/types.ts";
import type { PendingOperation, Settlement } from "./clients.ts";
import { nameOf, type SessionRef } from "./numbered_commands.ts";
import type { SimRandom } from "./prng.ts";
import type { World } from "./world.ts";

/** A command that is sent again, unless its outcome is known by then. */
export interface Resend {
  readonly type: "resend";
  readonly group: GroupId;
  readonly ref: SessionRef;
  /** Only the latest plan for a command counts. */
  readonly plan: number;
}

/** A numbered command, from its first sending on. */
interface Errand {
  /** What the client waits for. */
  readonly original: PendingOperation;
  /** The copy that was sent last. */
  last: PendingOperation;
  sent: number;
  /** Counts what was planned; plans of before are void. */
  plan: number;
  /** Whether something is known of the last copy. */
  isLastOver: boolean;
  /** Whether a copy may be in some log, or on its way to one (H104). */
  mayBeThere: boolean;
}

interface SessionState {
  readonly isNumbered: boolean;
  generation: number;
  sequence: number;
}

/** The sessions of a group's clients. */
export class SessionClients {
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #sessions: SessionState[] = [];
  readonly #errands = new Map<string, Errand>();
  #isStopped = false;

  /** Decides who of `count` clients uses sessions. */
  constructor(world: World, random: SimRandom, count: number) {
    this.#world = world;
    this.#random = random;
    const { clientPermille } = world.options.sessions;
    for (let client = 0; client < count; client++) {
      const isNumbered = random.chance(clientPermille);
      this.#sessions.push({ isNumbered, generation: 1, sequence: 0 });
    }
  }

  /** Nothing is sent again any more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** The number of a client's next command, if it numbers them. */
  nextRef(client: number): SessionRef | undefined {
    const session = this.#sessions[client];
    if (session?.isNumbered !== true) return undefined;
    const { renewPermille } = this.#world.options.sessions;
    if (this.#random.chance(renewPermille)) renew(session);
    const { generation } = session;
    return {
      client: `client ${client}.${generation}`,
      sequence: session.sequence++,
    };
  }

  /** A numbered command is on its way for the first time. */
  began(original: PendingOperation): void {
    const { ref } = original;
    if (ref === undefined) return;
    const errand = {
      original,
      last: original,
      sent: 1,
      plan: 0,
      isLastOver: false,
      mayBeThere: false,
    };
    this.#errands.set(nameOf(ref), errand);
    this.#planResend(errand, this.#world.options.sessions.resendMs);
  }

  /** The copy of an operation that was sent last. */
  lastOf(operation: PendingOperation): PendingOperation {
    return this.#errandOf(operation)?.last ?? operation;
  }

  /** What a client waits for by this operation, or copy of one. */
  originalOf(operation: PendingOperation): PendingOperation {
    return this.#errandOf(operation)?.original ?? operation;
  }

  /**
   * A command ended at its member. Returns how it ends for its client;
   * `undefined` if it does not yet.
   */
  ended(
    pending: PendingOperation,
    settlement: Settlement,
  ): Settlement | undefined {
    const errand = this.#errandOf(pending);
    if (errand === undefined) return settlement;
    switch (settlement.outcome) {
      case "ok":
        return this.#answered(errand, pending, settlement);
      case "expired":
        this.#expired(errand);
        return { outcome: "unknown" };
      default: {
        const isUnknown = settlement.outcome === "unknown";
        if (isUnknown || pending.mayRepeat) errand.mayBeThere = true;
        return pending === errand.last ? this.#failed(errand) : undefined;
      }
    }
  }

  /**
   * The time to send a command again has come. Returns the copy, for a member
   * yet to be chosen; `undefined` if the client wants no more of it.
   */
  resend({ ref, plan }: Resend): PendingOperation | undefined {
    const errand = this.#errands.get(nameOf(ref));
    if (errand === undefined || errand.plan !== plan) return undefined;
    const { isLastOver, last, original } = errand;
    if (this.#isStopped || !this.#mayResend(errand)) {
      // Who probes goes on waiting for what is under way.
      if (this.#isStopped && !isLastOver) return undefined;
      const outcome = isLastOver ? "notAppended" : "unknown";
      this.#world.settle(last, { outcome });
      return undefined;
    }
    // Whatever was sent before may still arrive somewhere.
    if (!isLastOver) errand.mayBeThere = true;
    this.#world.marks.hit("sessionResent");
    return { ...original, mayRepeat: false, outcome: undefined };
  }

  /** The copy is about to be sent. */
  resent(copy: PendingOperation): void {
    const errand = this.#errandOf(copy);
    if (errand === undefined) return;
    errand.last = copy;
    errand.sent++;
    errand.isLastOver = false;
    if (errand.original.outcome === undefined) {
      this.#planResend(errand, this.#world.options.sessions.resendMs);
    }
  }

  #errandOf({ ref }: PendingOperation): Errand | undefined {
    return ref && this.#errands.get(nameOf(ref));
  }

  #answered(
    errand: Errand,
    pending: PendingOperation,
    settlement: Settlement & { outcome: "ok" },
  ): Settlement {
    const { marks, oracle, sessions, options } = this.#world;
    const { ref, node } = pending;
    if (ref !== undefined && sessions !== undefined) {
      const index = sessions.acknowledged(node, ref, settlement.value);
      const term = oracle.committed.termAt(index) ?? 0;
      errand.original.entry = { index, term };
    }
    errand.plan++;
    errand.isLastOver ||= pending === errand.last;
    if (settlement.isRepeat === true) {
      marks.hit("sessionAnsweredAgain");
      if (node !== errand.original.node) marks.hit("sessionAnsweredElsewhere");
    }
    const { forgetPermille, forgetMs } = options.sessions;
    if (this.#mayResend(errand) && this.#random.chance(forgetPermille)) {
      this.#planResend(errand, this.#random.below(forgetMs + 1));
    }
    return settlement;
  }

  #expired(errand: Errand): void {
    this.#world.marks.hit("sessionExpired");
    errand.isLastOver = true;
    errand.plan++;
    const { original } = errand;
    const session = this.#sessions[original.client];
    if (session !== undefined && original.outcome === undefined) renew(session);
  }

  #failed(errand: Errand): Settlement | undefined {
    errand.isLastOver = true;
    const { original, mayBeThere } = errand;
    const { resendMs } = this.#world.options.sessions;
    if (original.outcome !== undefined) return undefined;
    if (!this.#isStopped && this.#mayResend(errand)) {
      this.#planResend(errand, this.#random.below(resendMs + 1));
      return undefined;
    }
    return { outcome: mayBeThere ? "unknown" : "notAppended" };
  }

  #mayResend({ sent }: Errand): boolean {
    return sent < this.#world.options.sessions.sendCount;
  }

  #planResend(errand: Errand, delayMs: number): void {
    const { ref } = errand.original;
    if (ref === undefined) return;
    const { group } = this.#world;
    const plan = ++errand.plan;
    this.#world.schedule(delayMs, { type: "resend", group, ref, plan });
  }
}

function renew(session: SessionState): void {
  session.generation++;
  session.sequence = 0;
}
