/**
 * The messages to one member. They stay on their way for ever: to lose one is
 * never to deliver it, to repeat one is to deliver it again.
 *
 * @module
 */
import type { Message, NodeId, Term } from "../../src/core/mod.ts";
import {
  type Hearing,
  isDeafTo,
  maySettle,
  representativeOf,
  settled,
} from "./deafness.ts";
import { messageKey } from "./stable.ts";

/** A set of messages, in one mailbox, that exists once. */
export interface MessageSet {
  /** Names the set within its mailbox; the empty one is 0. */
  readonly id: number;
  /** Numbers of the messages, ascending. */
  readonly numbers: Int32Array;
  /** The same, a bit for each. */
  readonly bits: Uint32Array;
}

/** The number of the set without messages. */
export const EMPTY_SET = 0;
/** Above every id of a member. */
const MAX_MEMBERS = 16;

/** Who sent messages, and what it hears now. */
export interface Sender {
  readonly id: NodeId;
  readonly hearing: Hearing;
}

/** Numbers the messages to one member, and the sets of them. */
export class Mailbox {
  readonly #messages: Message[] = [];
  readonly #messageNumbers: Map<string, number> = new Map();
  readonly #sets: MessageSet[] = [];
  readonly #setNumbers: Map<string, MessageSet> = new Map();
  readonly #unions: PairMap = new PairMap();
  readonly #heard: PairMap = new PairMap();
  /** Numbers pairs of a set and a hearing. */
  readonly #places: PairMap = new PairMap();
  readonly #settled: PairMap = new PairMap();
  readonly #terms: Term;

  /** @param terms The highest term there will be. */
  constructor(terms: Term) {
    this.#terms = terms;
    this.setOf([]);
  }

  /** How many different messages there are. */
  get size(): number {
    return this.#messages.length;
  }

  /** The number of a message. */
  numberOf(message: Message): number {
    const key = messageKey(message);
    const known = this.#messageNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#messages.length;
    this.#messageNumbers.set(key, number);
    this.#messages.push(message);
    return number;
  }

  /** The message of a number that was given out. */
  at(number: number): Message {
    const message = this.#messages[number];
    if (message === undefined) {
      throw new RangeError(`Cannot find message ${number}`);
    }
    return message;
  }

  /** The set of these messages. */
  setOf(numbers: readonly number[]): MessageSet {
    const unique = [...new Set(numbers)].sort((a, b) => a - b);
    const key = unique.join();
    let set = this.#setNumbers.get(key);
    if (set === undefined) {
      set = {
        id: this.#sets.length,
        numbers: Int32Array.from(unique),
        bits: bitsOf(unique),
      };
      this.#sets.push(set);
      this.#setNumbers.set(key, set);
    }
    return set;
  }

  /** The set of an id that was given out. */
  setAt(id: number): MessageSet {
    const set = this.#sets[id];
    if (set === undefined) throw new RangeError(`Cannot find set ${id}`);
    return set;
  }

  /** Whether all messages of one set are in another. */
  isSubset(id: number, other: number): boolean {
    if (id === other || id === EMPTY_SET) return true;
    const [bits, otherBits] = [this.setAt(id).bits, this.setAt(other).bits];
    for (let i = 0; i < bits.length; i++) {
      if (((bits[i] ?? 0) & ~(otherBits[i] ?? 0)) !== 0) return false;
    }
    return true;
  }

  /** The id of the set of the messages of two sets. */
  union(a: number, b: number): number {
    if (b === EMPTY_SET || a === b) return a;
    if (a === EMPTY_SET) return b;
    return this.#unions.get(a, b) ?? this.#unions.put(
      a,
      b,
      this.setOf([...this.setAt(a).numbers, ...this.setAt(b).numbers]).id,
    );
  }

  /**
   * The id of the set without messages that the member is deaf to; of
   * messages that are alike to it one is left.
   */
  heard(hearing: Hearing, id: number): number {
    if (id === EMPTY_SET) return id;
    return this.#heard.get(id, hearing.id) ??
      this.#heard.put(id, hearing.id, this.#hear(hearing, id));
  }

  /**
   * The id of the set in which stands, for each message of one sender, what
   * the state of that sender leaves of it.
   */
  settled(hearing: Hearing, sender: Sender, id: number): number {
    if (id === EMPTY_SET) return id;
    const place = this.#places.get(id, hearing.id) ??
      this.#places.put(id, hearing.id, this.#places.size);
    const who = sender.hearing.id * MAX_MEMBERS + sender.id;
    return this.#settled.get(place, who) ??
      this.#settled.put(place, who, this.#settle(hearing, sender, id));
  }

  #settle(hearing: Hearing, sender: Sender, id: number): number {
    const numbers: number[] = [];
    for (const number of this.setAt(id).numbers) {
      const message = this.at(number);
      const left = message.from === sender.id && maySettle(hearing, message)
        ? settled(hearing, sender.hearing, message, this.#terms)
        : message;
      if (left === message) numbers.push(number);
      else if (left !== undefined) numbers.push(this.numberOf(left));
    }
    return this.setOf(numbers).id;
  }

  #hear(hearing: Hearing, id: number): number {
    const numbers: number[] = [];
    for (const number of this.setAt(id).numbers) {
      const message = this.at(number);
      if (isDeafTo(hearing, message)) continue;
      const other = representativeOf(hearing, message);
      numbers.push(other === message ? number : this.numberOf(other));
    }
    return this.setOf(numbers).id;
  }
}

function bitsOf(numbers: readonly number[]): Uint32Array {
  const bits = new Uint32Array(((numbers.at(-1) ?? -1) >> 5) + 1);
  for (const number of numbers) {
    bits[number >> 5] = (bits[number >> 5] ?? 0) | 1 << (number & 31);
  }
  return bits;
}

/** A map from pairs of small numbers. */
class PairMap {
  readonly #rows: (Map<number, number> | undefined)[] = [];
  /** How many pairs there are. */
  size = 0;

  get(a: number, b: number): number | undefined {
    return this.#rows[a]?.get(b);
  }

  put(a: number, b: number, value: number): number {
    const row = this.#rows[a] ?? new Map<number, number>();
    this.#rows[a] = row;
    row.set(b, value);
    this.size++;
    return value;
  }
}
