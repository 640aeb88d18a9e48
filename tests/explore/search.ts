/**
 * The search: every state of all members together that can be reached within
 * the bounds, the least advanced first.
 *
 * @module
 */
import type { Action } from "./actions.ts";
import type { Scenario } from "./bounds.ts";
import { isAffordable, mayStall, usedInAll } from "./budget.ts";
import { Cover } from "./cover.ts";
import { checkAll, type Facts } from "./checks.ts";
import {
  BROKEN,
  FIRST_DELIVERY,
  type LocalState,
  LocalStates,
  newShared,
  type Post,
  ROOT,
  stepOf,
} from "./local_states.ts";
import { EMPTY_SET, type Mailbox } from "./mailbox.ts";
import type { Hooks } from "./member.ts";
import { RankQueue } from "./queue.ts";
import { RowSet } from "./state_set.ts";
import { realActions, type Step } from "./steps.ts";
import { Symmetry } from "./symmetry.ts";
import { Violation } from "./violation.ts";

/** How long to go on at most. */
export interface SearchLimits {
  readonly maxStates: number;
  /** Whether to stop; asked now and then. */
  readonly isOver?: (() => boolean) | undefined;
  /** Called at the end with what became of each member. */
  readonly onEnd?: ((locals: readonly LocalStates[]) => void) | undefined;
}

/** What a search found. */
export interface SearchResult {
  /** States that were explored, up to renaming; no other covers them. */
  readonly states: number;
  /** Different combinations of member states, messages left aside. */
  readonly cores: number;
  /** Steps between states; those that change nothing are not counted. */
  readonly transitions: number;
  /** Steps to the farthest state, on the way it was first found. */
  readonly depth: number;
  /** Different states of single members. */
  readonly localStates: number;
  /** Different messages. */
  readonly messages: number;
  /** Whether every reachable state was visited. */
  readonly complete: boolean;
  readonly violation: FoundViolation | undefined;
}

/** A property that does not hold, and how to get there. */
export interface FoundViolation {
  readonly message: string;
  /** From the start to the violation. */
  readonly actions: readonly Action[];
}

/** States between two looks at the limits. */
const LOOK_EVERY = 256;
/** Whatever uses up of the bounds comes after all that does not. */
const RANK_OF_USE = 100_000;

/** Explores a scenario. */
export function explore(
  scenario: Scenario,
  limits: SearchLimits,
  hooks: Hooks = {},
): SearchResult {
  const search = new Search(scenario, hooks);
  const result = search.run(limits);
  limits.onEnd?.(search.locals);
  return result;
}

/**
 * A state is a row: for each member the number of its local state, then for
 * each member the set of messages that are on their way to it, then how much
 * of the bounds is used up.
 */
class Search {
  readonly #scenario: Scenario;
  readonly #width: number;
  readonly locals: readonly LocalStates[];
  readonly #mailboxes: readonly Mailbox[];
  readonly #symmetry: Symmetry;
  readonly #states: Cover;
  /** Combinations of facts that were checked. */
  readonly #checked: RowSet;
  readonly #queue: RankQueue = new RankQueue();
  #transitions = 0;
  /** Scratch: the state under work, a successor, its canonical form, facts. */
  readonly #state: Uint32Array;
  readonly #next: Uint32Array;
  readonly #canonical: Uint32Array;
  readonly #ids: Uint32Array;

  constructor(scenario: Scenario, hooks: Hooks) {
    const shared = newShared(scenario, hooks);
    const width = scenario.ids.length;
    this.#scenario = scenario;
    this.#width = width;
    this.locals = scenario.ids.map((_, i) => new LocalStates(i, shared));
    this.#mailboxes = shared.mailboxes;
    this.#symmetry = new Symmetry(scenario, this.locals, this.#mailboxes);
    this.#states = new Cover(this.#mailboxes);
    this.#checked = new RowSet(width);
    this.#state = new Uint32Array(2 * width + 1);
    this.#next = new Uint32Array(2 * width + 1);
    this.#canonical = new Uint32Array(2 * width + 1);
    this.#ids = new Uint32Array(width);
  }

  run(limits: SearchLimits): SearchResult {
    this.#states.add(this.#state, 0);
    this.#queue.push(0, 0);
    let looks = 0;
    for (;;) {
      const index = this.#queue.pop();
      if (index === undefined) return this.#result({ complete: true });
      if (this.#states.isCovered(index)) continue;
      const isOver = this.#states.size >= limits.maxStates ||
        looks++ % LOOK_EVERY === 0 && limits.isOver?.() === true;
      if (isOver) return this.#result({ complete: false });
      const violation = this.#expand(index);
      if (violation !== undefined) {
        return this.#result({ complete: false, violation });
      }
    }
  }

  #result(
    outcome: { complete: boolean; violation?: FoundViolation },
  ): SearchResult {
    return {
      states: this.#states.size - this.#states.covered,
      cores: this.#states.coreCount,
      transitions: this.#transitions,
      depth: this.#states.depth,
      localStates: this.locals.reduce((sum, { size }) => sum + size, 0),
      messages: this.#mailboxes.reduce((sum, { size }) => sum + size, 0),
      complete: outcome.complete,
      violation: outcome.violation,
    };
  }

  /** Takes every step from a state that is there. */
  #expand(index: number): FoundViolation | undefined {
    this.#states.read(index, this.#state);
    let fault: string | undefined;
    this.#forEachStep((place, step) => {
      fault = this.#follow(index, place, step);
      return fault !== undefined;
    });
    return fault === undefined
      ? undefined
      : { message: fault, actions: this.#trace(index) };
  }

  /** Goes through what may happen in the state under work, until told to end. */
  #forEachStep(visit: (place: number, step: number) => boolean): void {
    const { bounds } = this.#scenario;
    const used = this.#state[2 * this.#width] ?? 0;
    const maySomeStall = mayStall(used, bounds);
    for (let place = 0; place < this.#width; place++) {
      const { enabled, isStalled } = this.#localAt(place);
      const stalls = maySomeStall && !isStalled ? 1 : 0;
      for (const input of enabled) {
        if (!isAffordable(input, used, bounds)) continue;
        if (visit(place, stepOf(input, 0))) return;
        if (stalls === 1 && visit(place, stepOf(input, 1))) return;
      }
      const { numbers } = this.#mailboxOf(place)
        .setAt(this.#state[this.#width + place] ?? EMPTY_SET);
      for (let i = 0; i < numbers.length; i++) {
        const input = FIRST_DELIVERY + (numbers[i] ?? 0);
        if (visit(place, stepOf(input, 0))) return;
        if (stalls === 1 && visit(place, stepOf(input, 1))) return;
      }
    }
  }

  #localAt(place: number): LocalState {
    return this.#localsOf(place).at(this.#state[place] ?? ROOT);
  }

  #localsOf(place: number): LocalStates {
    const locals = this.locals[place];
    if (locals === undefined) {
      throw new RangeError(`Cannot find member ${place} of the scenario`);
    }
    return locals;
  }

  #mailboxOf(place: number): Mailbox {
    const mailbox = this.#mailboxes[place];
    if (mailbox === undefined) {
      throw new RangeError(`Cannot find member ${place} of the scenario`);
    }
    return mailbox;
  }

  /** Takes one step from the state under work. @returns What broke. */
  #follow(index: number, place: number, step: number): string | undefined {
    const locals = this.#localsOf(place);
    const number = this.#state[place] ?? ROOT;
    const after = locals.after(number, step);
    if (after === BROKEN) return locals.faultOf(number, step);
    if (!this.#move(place, step, after)) return undefined;
    this.#transitions++;
    this.#symmetry.canonical(this.#next, this.#canonical);
    if (this.#states.isKnown(this.#canonical)) return undefined;
    this.#saturate();
    this.#symmetry.canonical(this.#next, this.#canonical);
    if (!this.#states.add(this.#canonical, index)) return undefined;
    this.#enqueue();
    const facts = this.#factsIn(this.#next);
    for (let i = 0; i < facts.length; i++) this.#ids[i] = facts[i]?.id ?? 0;
    const known = this.#checked.size;
    return this.#checked.numberOf(this.#ids) === known
      ? faultIn(facts)
      : undefined;
  }

  /** Makes the successor of the state under work. @returns Whether it differs. */
  #move(place: number, step: number, after: number): boolean {
    const number = this.#state[place] ?? ROOT;
    const locals = this.#localsOf(place);
    const next = this.#next;
    const last = next.length - 1;
    next.set(this.#state);
    next[place] = after;
    next[last] = (next[last] ?? 0) + locals.costOf(number, step);
    const hasSent = this.#post(place, locals.postOf(number, step));
    return hasSent || after !== number;
  }

  /**
   * Posts what a member of the successor sends, and settles what its new state
   * settles. @returns Whether more or less is on the way than before.
   */
  #post(place: number, post: Post): boolean {
    const [next, width] = [this.#next, this.#width];
    let differs = false;
    for (let to = 0; to < width; to++) {
      const before = next[width + to] ?? EMPTY_SET;
      const mailbox = this.#mailboxOf(to);
      const { hearing } = this.#nextAt(to);
      const sent = mailbox.union(before, post[to] ?? EMPTY_SET);
      let inbox = sent === before && to !== place
        ? before
        : mailbox.heard(hearing, sent);
      for (let from = 0; from < width; from++) {
        // Between members that are as they were, nothing new is settled.
        const isNew = from === place || to === place;
        if (from === to || !isNew) continue;
        inbox = mailbox.settled(hearing, this.#nextAt(from), inbox);
      }
      next[width + to] = inbox;
      if (inbox !== before) differs = true;
    }
    return differs;
  }

  /**
   * Lets happen in the successor whatever changes no member, but has more
   * messages sent: the state that results covers the one before.
   */
  #saturate(taken?: Step[]): void {
    let place = 0;
    let unchanged = 0;
    while (unchanged < this.#width) {
      const step = this.#findResend(place);
      if (step === undefined) {
        unchanged++;
        place = (place + 1) % this.#width;
      } else {
        unchanged = 0;
        taken?.push({ place, step });
      }
    }
  }

  /** Takes a step of a member that changes nothing but what is on the way. */
  #findResend(place: number): number | undefined {
    const locals = this.#localsOf(place);
    const local = this.#next[place] ?? ROOT;
    const { numbers } = this.#mailboxOf(place)
      .setAt(this.#next[this.#width + place] ?? EMPTY_SET);
    for (let i = 0; i < numbers.length; i++) {
      const step = stepOf(FIRST_DELIVERY + (numbers[i] ?? 0), 0);
      if (locals.after(local, step) !== local) continue;
      const post = locals.postOf(local, step);
      if (post !== locals.posts[0] && this.#post(place, post)) return step;
    }
    return undefined;
  }

  #enqueue(): void {
    let rank = RANK_OF_USE * usedInAll(this.#next.at(-1) ?? 0);
    for (let i = 0; i < this.#width; i++) rank += this.#nextAt(i).rank;
    this.#queue.push(this.#states.size - 1, rank);
  }

  #nextAt(place: number): LocalState {
    return this.#localsOf(place).at(this.#next[place] ?? ROOT);
  }

  #factsIn(state: Uint32Array): Facts[] {
    return this.locals.map((locals, i) => locals.at(state[i] ?? ROOT).facts);
  }

  /**
   * The actions that lead to a state and break something there. The states on
   * the way are known up to renaming: the step to each is found among those
   * that the one before, under its own names, may take.
   */
  #trace(index: number): Action[] {
    const path: number[] = [];
    for (let i = index; i !== 0; i = this.#states.parentOf(i)) path.push(i);
    this.#state.fill(0);
    const wanted = new Uint32Array(this.#state.length);
    const steps: Step[] = [];
    for (const row of path.reverse()) {
      this.#states.read(row, wanted);
      steps.push(...this.#take((after) => {
        if (after === BROKEN) return undefined;
        const more: Step[] = [];
        this.#saturate(more);
        this.#symmetry.canonical(this.#next, this.#canonical);
        const isIt = this.#canonical.every((number, i) => number === wanted[i]);
        return isIt ? more : undefined;
      }));
    }
    const last = this.#take((after) =>
      after === BROKEN || faultIn(this.#factsIn(this.#next)) !== undefined
        ? []
        : undefined
    );
    return realActions(this.locals, [...steps, ...last]);
  }

  /**
   * Takes the first step that is wanted, in the state under work.
   *
   * @param follow Says whether a step is wanted, and what follows it.
   */
  #take(follow: (after: number) => Step[] | undefined): Step[] {
    let taken: Step[] | undefined;
    this.#forEachStep((place, step) => {
      const after = this.#localsOf(place)
        .after(this.#state[place] ?? ROOT, step);
      if (after !== BROKEN) this.#move(place, step, after);
      const more = follow(after);
      if (more === undefined) return false;
      taken = [{ place, step }, ...more];
      if (after !== BROKEN) this.#state.set(this.#next);
      return true;
    });
    if (taken === undefined) throw new Error("Cannot find the way back");
    return taken;
  }
}

function faultIn(facts: readonly Facts[]): string | undefined {
  try {
    checkAll(facts);
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error.message;
    throw error;
  }
}
