/**
 * Steps of a search as actions that real cores can carry out.
 *
 * @module
 */
import type { Action } from "./actions.ts";
import {
  FIRST_DELIVERY,
  type LocalStates,
  ROOT,
  stepOf,
} from "./local_states.ts";

/** What one member does. */
export interface Step {
  readonly place: number;
  /** The number of the step in the member's graph. */
  readonly step: number;
}

/**
 * The actions of a run. Where the search delivered a message that stands for
 * others, one of those that were sent is delivered.
 */
export function realActions(
  all: readonly LocalStates[],
  steps: readonly Step[],
): Action[] {
  const states = all.map(() => ROOT);
  const sent = all.map(() => new Set<number>());
  return steps.map(({ place, step }): Action => {
    const locals = all[place];
    const state = states[place] ?? ROOT;
    if (locals === undefined) throw new Error(`Cannot find member ${place}`);
    const real = realStep(locals, state, step, sent[place] ?? new Set());
    states[place] = locals.after(state, real);
    for (const [to, ids] of locals.postOf(state, real).entries()) {
      for (const number of locals.messagesTo(to, ids)) sent[to]?.add(number);
    }
    return {
      node: locals.id,
      input: locals.inputOf(real >> 1),
      disk: real % 2 === 1 ? "stalls" : "works",
    };
  });
}

function realStep(
  locals: LocalStates,
  state: number,
  step: number,
  sent: ReadonlySet<number>,
): number {
  const message = (step >> 1) - FIRST_DELIVERY;
  if (message < 0 || sent.has(message)) return step;
  const after = locals.after(state, step);
  const post = locals.postOf(state, step);
  const alike = [...sent]
    .map((number) => stepOf(FIRST_DELIVERY + number, step % 2 === 1 ? 1 : 0))
    .filter((other) => locals.after(state, other) === after);
  const real = alike.find((other) => locals.postOf(state, other) === post) ??
    alike[0];
  if (real === undefined) {
    throw new Error(`Cannot find what was sent for message ${message}`);
  }
  return real;
}
