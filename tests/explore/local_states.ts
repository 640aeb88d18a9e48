/**
 * Everything that can become of one member: a graph that grows as the search
 * asks for it. What it costs to run a real core is paid once per pair of
 * state and input, however many global states the pair is part of.
 *
 * @module
 */
import type { NodeId } from "../../src/core/mod.ts";
import { type Input, PLAIN_INPUTS } from "./actions.ts";
import type { Scenario } from "./bounds.ts";
import { memberKey } from "./canonical.ts";
import { checkMember, type Facts, factsOf } from "./checks.ts";
import { INPUT_COST, STALL_COST } from "./budget.ts";
import { type Hearing, hearingOf } from "./deafness.ts";
import { EMPTY_SET, Mailbox } from "./mailbox.ts";
import { type Hooks, Member } from "./member.ts";

/** Successor of a state whose member broke; see `faultOf`. */
export const BROKEN = -2;
const UNKNOWN = -1;

/** The number of the state every member starts in. */
export const ROOT = 0;

/** Number of the input "deliver message 0"; message k has the k-th next. */
export const FIRST_DELIVERY: number = PLAIN_INPUTS.length;

/** One state of one member, as far as the search needs it. */
export interface LocalState {
  /** The state it was first reached from; `ROOT` for itself. */
  readonly parent: number;
  /** The number of the step that led here. */
  readonly step: number;
  /** Numbers of the plain inputs that may change something. */
  readonly enabled: readonly number[];
  /** How far it has got, roughly; only the order of the search rests on it. */
  readonly rank: number;
  /** Whether its disk is behind already. */
  readonly isStalled: boolean;
  readonly id: NodeId;
  readonly hearing: Hearing;
  readonly facts: Facts;
  /** Successor by number of the step. */
  successors: Int32Array;
  /** What is sent on the way there: index into `LocalStates.posts`. */
  posts: Int32Array;
  /** What of the bounds is used up on the way there; see budget.ts. */
  costs: Int32Array;
}

/** Messages sent in one step: the id of a set for each member. */
export type Post = readonly number[];

/** What a step used up that led a member to where it is now. */
function costOf(step: number, before: LocalState, member: Member): number {
  const input = PLAIN_INPUTS[step >> 1]?.type;
  const stalls = !before.isStalled && member.writes.length > 0;
  return (input === undefined ? 0 : INPUT_COST[input]) +
    (stalls ? STALL_COST : 0);
}

/** A step is an input and whether the disk falls behind with it. */
export function stepOf(input: number, stalls: 0 | 1): number {
  return 2 * input + stalls;
}

/** What the members of one search share. */
export interface Shared {
  readonly scenario: Scenario;
  readonly hooks: Hooks;
  /** One per member, in order of the scenario. */
  readonly mailboxes: readonly Mailbox[];
  /** Make what is in them unique. */
  readonly facts: Map<string, Facts>;
  readonly hearings: Map<string, Hearing>;
}

/** Shared parts of a new search. */
export function newShared(scenario: Scenario, hooks: Hooks): Shared {
  return {
    scenario,
    hooks,
    mailboxes: scenario.ids.map(() => new Mailbox(scenario.bounds.terms)),
    facts: new Map(),
    hearings: new Map(),
  };
}

/** The states of one member. */
export class LocalStates {
  readonly id: NodeId;
  readonly #shared: Shared;
  readonly #mailbox: Mailbox;
  /** What may be sent; the first sends nothing. */
  readonly posts: Post[];
  readonly #postNumbers: Map<string, number> = new Map();
  readonly #states: LocalState[] = [];
  readonly #numbers: Map<string, number> = new Map();
  /** What broke, by state and input. */
  readonly #faults: Map<string, string> = new Map();

  constructor(place: number, shared: Shared) {
    const id = shared.scenario.ids[place];
    const mailbox = shared.mailboxes[place];
    if (id === undefined || mailbox === undefined) {
      throw new RangeError(`Cannot find member ${place} of the scenario`);
    }
    this.id = id;
    this.#shared = shared;
    this.#mailbox = mailbox;
    this.posts = [shared.scenario.ids.map(() => EMPTY_SET)];
    this.#numberOf(this.#newMember(), ROOT, 0);
  }

  /** How many states are known. */
  get size(): number {
    return this.#states.length;
  }

  /** How many different messages there are to this member. */
  get messageCount(): number {
    return this.#mailbox.size;
  }

  /** A known state. */
  at(number: number): LocalState {
    const state = this.#states[number];
    if (state === undefined) {
      throw new RangeError(`Cannot find state ${number} of member ${this.id}`);
    }
    return state;
  }

  /** The state that a step leads to, or `BROKEN`. */
  after(number: number, step: number): number {
    const state = this.at(number);
    const known = state.successors[step] ?? UNKNOWN;
    return known !== UNKNOWN ? known : this.#compute(number, step);
  }

  /** What a step sends whose successor is known. */
  postOf(number: number, step: number): Post {
    return this.posts[this.at(number).posts[step] ?? 0] ?? [];
  }

  /** The messages of a set in the mailbox of a member. */
  messagesTo(place: number, set: number): Int32Array {
    return this.#shared.mailboxes[place]?.setAt(set).numbers ??
      new Int32Array(0);
  }

  /** What a step uses up whose successor is known. */
  costOf(number: number, step: number): number {
    return this.at(number).costs[step] ?? 0;
  }

  /** The number of an input. */
  numberOfInput(input: Input): number {
    return input.type === "deliver"
      ? FIRST_DELIVERY + this.#mailbox.numberOf(input.message)
      : PLAIN_INPUTS.findIndex(({ type }) => type === input.type);
  }

  /** The input of a number. */
  inputOf(number: number): Input {
    return PLAIN_INPUTS[number] ??
      { type: "deliver", message: this.#mailbox.at(number - FIRST_DELIVERY) };
  }

  /** Why a successor is `BROKEN`. */
  faultOf(number: number, step: number): string {
    return this.#faults.get(`${number} ${step}`) ?? "nothing is broken";
  }

  /** A live member in a state: the real core, led there once more. */
  rebuild(number: number): Member {
    const steps: number[] = [];
    for (let i = number; i !== ROOT; i = this.at(i).parent) {
      steps.push(this.at(i).step);
    }
    const member = this.#newMember();
    for (const step of steps.reverse()) this.#perform(member, step);
    member.takeSent();
    return member;
  }

  #newMember(): Member {
    return new Member(this.id, this.#shared.scenario, this.#shared.hooks);
  }

  #perform(member: Member, step: number): void {
    const disk = step % 2 === 1 ? "stalls" : "works";
    member.perform(this.inputOf(step >> 1), disk);
  }

  #compute(number: number, step: number): number {
    const member = this.rebuild(number);
    let next = BROKEN;
    let post = 0;
    try {
      this.#perform(member, step);
      checkMember(factsOf(member));
      next = this.#numberOf(member, number, step);
      post = this.#postNumberOf(member);
    } catch (error) {
      const text = error instanceof Error ? error.message : `${error}`;
      this.#faults.set(`${number} ${step}`, text);
    }
    const state = this.at(number);
    if (step >= state.successors.length) {
      const length = stepOf(FIRST_DELIVERY + this.#mailbox.size + 8, 0);
      state.successors = grow(state.successors, length);
      state.posts = grow(state.posts, length);
      state.costs = grow(state.costs, length);
    }
    state.successors[step] = next;
    state.posts[step] = post;
    state.costs[step] = costOf(step, this.at(number), member);
    return next;
  }

  #postNumberOf(member: Member): number {
    const { scenario, mailboxes } = this.#shared;
    const sent = member.takeSent();
    if (sent.length === 0) return 0;
    const post = mailboxes.map((mailbox, place) => {
      const to = scenario.ids[place];
      const numbers = sent.filter((message) => message.to === to)
        .map((message) => mailbox.numberOf(message));
      return mailbox.setOf(numbers).id;
    });
    const key = post.join();
    let number = this.#postNumbers.get(key);
    if (number === undefined) {
      number = this.posts.length;
      this.posts.push(post);
      this.#postNumbers.set(key, number);
    }
    return number;
  }

  #numberOf(member: Member, parent: number, step: number): number {
    const key = memberKey(member);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#states.length;
    this.#numbers.set(key, number);
    this.#states.push({
      parent,
      step,
      enabled: this.#enabledOf(member),
      rank: rankOf(member),
      isStalled: member.writes.length > 0,
      id: this.id,
      hearing: intern(this.#shared.hearings, hearingOf(member)),
      facts: intern(this.#shared.facts, factsOf(member)),
      successors: new Int32Array(0),
      posts: new Int32Array(0),
      costs: new Int32Array(0),
    });
    return number;
  }

  #enabledOf(member: Member): number[] {
    const { terms } = this.#shared.scenario.bounds;
    const { node, writes } = member;
    const leads = node.role === "leader";
    const may = {
      campaign: !leads && node.term < terms,
      heartbeat: leads,
      propose: leads,
      change: leads,
      persist: writes.length > 0,
      crash: true,
    };
    return PLAIN_INPUTS.flatMap(({ type }, i) => may[type] ? [i] : []);
  }
}

/** What has a number. */
interface Numbered {
  readonly id: number;
}

/** Gives equal values the same id; they are plain data. */
function intern<T extends object>(
  known: Map<string, T & Numbered>,
  value: T,
): T & Numbered {
  const key = JSON.stringify(value);
  let found = known.get(key);
  if (found === undefined) {
    found = { ...value, id: known.size };
    known.set(key, found);
  }
  return found;
}

/** Terms count most, then the log, then what is known of it. */
function rankOf({ node, raft, writes, decided }: Member): number {
  const { role, term, leader, lastIndex, stableIndex, commitIndex } = node;
  let rank = 1_000 * term + 20 * lastIndex + 4 * commitIndex +
    4 * decided.length + 2 * stableIndex - writes.length;
  if (role === "candidate") rank += 10 + raft.tracker.votes.size;
  if (leader !== null) rank += 30;
  if (role === "leader") {
    for (const { matchIndex, nextIndex } of raft.tracker.progress.values()) {
      rank += 2 * matchIndex + nextIndex;
    }
  }
  return rank;
}

function grow(array: Int32Array, length: number): Int32Array {
  const grown = new Int32Array(length).fill(UNKNOWN);
  grown.set(array);
  return grown;
}
