/**
 * Numbered commands take effect once: whatever is lost, repeated, restored or
 * replayed, on every member (thesis §6.3).
 *
 * @module
 */
import type { Entry, LogIndex, NodeId } from "../core/types.ts";
import type { RaftError } from "../errors.ts";
import type { CommandCodec } from "../rsm/command_codec.ts";
import { isEqual } from "./is_equal.ts";
import type { MarkCounter } from "./marks.ts";
import {
  nameOf,
  newCommandCodec,
  type SessionRef,
} from "./numbered_commands.ts";
import type { SimOptions } from "./options.ts";
import type { SessionOptions } from "./options_sessions.ts";
import type { MemberView } from "./oracle.ts";
import type { EntryEffect } from "./replica.ts";
import { SessionModel, type Verdict } from "./session_model.ts";
import { fail } from "./violation.ts";

/** A numbered command that took effect. */
interface Effect {
  readonly index: LogIndex;
  readonly result: unknown;
}

/** What must become of an entry. */
interface Expected {
  readonly ref: SessionRef;
  readonly verdict: Verdict;
}

/** A member that applies entries. */
export interface ReplicaView {
  readonly member: MemberView;
  /** Its state up to here came in a snapshot. */
  readonly restoredThrough: LogIndex;
}

/** The checks of a run with these options; none if it has no sessions. */
export function sessionChecksOf(
  { sessions, host }: SimOptions,
  marks: MarkCounter,
): SessionChecks | undefined {
  return sessions.clientPermille > 0
    ? new SessionChecks(sessions, host.durableMachine, marks)
    : undefined;
}

/** Watches the sessions of one group. */
export class SessionChecks {
  readonly #marks: MarkCounter;
  readonly #mayLoseResults: boolean;
  readonly #codec: CommandCodec<Uint8Array> = newCommandCodec();
  readonly #model: SessionModel;
  /** By index, as far as anybody has applied; numbered commands only. */
  readonly #expected: (Expected | undefined)[] = [];
  #appliedIndex: LogIndex = 0;
  /** By name: the entry at which a command took effect, wherever it did. */
  readonly #effects = new Map<string, Effect>();
  /** Digest of the session table at an index, by whoever came first. */
  readonly #tables = new Map<LogIndex, number>();
  #firstNumbered: LogIndex = Infinity;

  /**
   * Expects what `options` make of the log. `isDurable`: machines outlive
   * their processes, and cannot give again the results of before (H57).
   */
  constructor(options: SessionOptions, isDurable: boolean, marks: MarkCounter) {
    this.#marks = marks;
    this.#mayLoseResults = isDurable;
    this.#model = new SessionModel(options);
  }

  /** A member has applied an entry. */
  applied(view: ReplicaView, entry: Entry, effect: EntryEffect): void {
    const { index } = entry;
    const { id } = view.member;
    const expected = this.#expectedAt(entry);
    if (effect.type === "held") this.#marks.hit("sessionReplayed");
    if (expected === undefined) {
      const isPlain = effect.type !== "repeated" && effect.type !== "refused";
      if (isPlain) return;
      fail(
        "exactlyOnce",
        `Member ${id} has ${effect.type} a command without a number, at index ${index}`,
      );
    }
    const { ref, verdict } = expected;
    const name = `command ${nameOf(ref)} at index ${index}`;
    if (effect.type === "applied") {
      this.#takesEffect(id, ref, { index, result: effect.result });
    } else if (effect.type === "repeated") {
      this.#checkAnswer(view, ref, effect.result, name);
    } else if (effect.type === "refused") {
      this.#checkRefusal(id, effect.error, name);
    }
    if (this.#allows(verdict, effect)) return;
    fail(
      "sessionAgreement",
      `Member ${id} has ${effect.type} ${name}, wanted: ${verdict.type}`,
    );
  }

  /** A member's session table has this digest as of `index`. */
  tableAt(member: MemberView, index: LogIndex, checksum: number): void {
    const first = this.#tables.get(index);
    if (first === undefined) this.#tables.set(index, checksum);
    else if (first !== checksum) {
      fail(
        "sessionAgreement",
        `Member ${member.id} has session table ${checksum} at index ${index}, another member had ${first}`,
      );
    }
  }

  /** A member's state came from a snapshot as of `index`. */
  restored(index: LogIndex): void {
    if (this.#firstNumbered <= index) this.#marks.hit("sessionRestored");
  }

  /**
   * A client was told that its command is applied, with this result. Returns
   * where it took effect.
   */
  acknowledged(node: NodeId, ref: SessionRef, result: unknown): LogIndex {
    const effect = this.#effects.get(nameOf(ref));
    if (effect === undefined || !isEqual(effect.result, result)) {
      fail(
        "exactlyOnce",
        `Member ${node} acknowledged command ${nameOf(ref)}, which ${
          effect === undefined
            ? "took effect nowhere"
            : `had another result at index ${effect.index}`
        }`,
      );
    }
    return effect.index;
  }

  /** What the log alone says about an entry; `undefined` without a number. */
  #expectedAt(entry: Entry): Expected | undefined {
    const { index } = entry;
    if (index <= this.#appliedIndex) return this.#expected[index];
    if (index !== this.#appliedIndex + 1) {
      fail(
        "stateMachineSafety",
        `Index ${index} is applied, and nobody has applied ${
          this.#appliedIndex + 1
        }`,
      );
    }
    this.#appliedIndex = index;
    if (entry.type !== "command") return undefined;
    const ref = this.#codec.decode(entry.data).session;
    if (ref === undefined) return undefined;
    const before = this.#model.retiredCount;
    const verdict = this.#model.next(ref, index);
    if (this.#model.retiredCount > before) this.#marks.hit("sessionRetired");
    if (verdict.type === "repeat") this.#marks.hit("sessionCopyCommitted");
    if (verdict.type === "apply" && verdict.isBack) {
      this.#marks.hit("sessionReturned");
    }
    this.#firstNumbered = Math.min(this.#firstNumbered, index);
    this.#expected[index] = { ref, verdict };
    return this.#expected[index];
  }

  #takesEffect(node: NodeId, ref: SessionRef, effect: Effect): void {
    const first = this.#effects.get(nameOf(ref));
    if (first === undefined) this.#effects.set(nameOf(ref), effect);
    else if (first.index !== effect.index) {
      fail(
        "exactlyOnce",
        `Member ${node} applies command ${
          nameOf(ref)
        } at index ${effect.index}, it took effect at ${first.index}`,
      );
    }
  }

  #checkAnswer(
    { member, restoredThrough }: ReplicaView,
    ref: SessionRef,
    result: unknown,
    name: string,
  ): void {
    const first = this.#effects.get(nameOf(ref));
    if (first === undefined || !isEqual(first.result, result)) {
      fail(
        "exactlyOnce",
        `Member ${member.id} answers ${name} by another result than it had at index ${first?.index}`,
      );
    }
    if (first.index <= restoredThrough) {
      this.#marks.hit("sessionAnswerFromSnapshot");
    }
  }

  /** A late command learns that nobody can tell what became of it (H104). */
  #checkRefusal(
    node: NodeId,
    { code, outcome }: RaftError,
    name: string,
  ): void {
    if (code === "sessionExpired" && outcome === "unknown") return;
    fail(
      "exactlyOnce",
      `Member ${node} refuses ${name} by ${code}, outcome ${outcome}`,
    );
  }

  #allows(verdict: Verdict, effect: EntryEffect): boolean {
    switch (verdict.type) {
      case "apply":
        return effect.type === "applied" ||
          effect.type === "held" && this.#mayLoseResults;
      case "repeat":
        if (effect.type === "repeated") return true;
        if (effect.type !== "refused" || !this.#mayLoseResults) return false;
        this.#marks.hit("sessionResultNotKept");
        return true;
      case "expired":
        return effect.type === "refused";
    }
  }
}
