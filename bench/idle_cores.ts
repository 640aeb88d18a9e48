/**
 * What ten thousand groups cost that have nothing to do: awake, exchanging
 * heartbeats, and asleep. Beside it the same messages without a protocol.
 *
 * @module
 */
import { spread } from "./stats.ts";
import { CORES, ThreeCores } from "./three_cores.ts";

/** What one tick of all groups costs. */
export interface IdleFigures {
  readonly state: "idle" | "quiesced";
  readonly groups: number;
  /** Messages delivered in a tick. */
  readonly messagesPerTick: number;
  readonly msPerTick: number;
  /** The same messages, made and looked at. */
  readonly nullMsPerTick: number;
}

const GROUPS = 10_000;
const QUIESCE_TICKS = 10;
const TICK_MS = 50;
const ROUNDS = 5;

/** Measures both for some seconds each. */
export function measureIdle(seconds: number): IdleFigures[] {
  return (["idle", "quiesced"] as const).map((state) => {
    const quiesceTicks = state === "idle" ? 0 : QUIESCE_TICKS;
    const groups = Array.from(
      { length: GROUPS },
      () => new ThreeCores({ quiesceTicks, leaseMs: 8 * TICK_MS }),
    );
    let now = TICK_MS;
    let messages = 0;
    const real = () => {
      messages = 0;
      now += TICK_MS;
      for (const group of groups) messages += group.tick(now);
    };
    // More than one round of heartbeats, and time to go to sleep.
    for (let i = 0; i <= QUIESCE_TICKS + 1; i++) real();
    if (groups.some((group) => group.isAsleep !== (state === "quiesced"))) {
      throw new Error(`Cannot measure: not every group is ${state}`);
    }
    const none = () => exchange(messages, now);
    const figures = measure(real, seconds);
    return {
      state,
      groups: GROUPS,
      messagesPerTick: messages,
      msPerTick: figures,
      nullMsPerTick: measure(none, seconds),
    };
  });
}

/** Milliseconds of a call, the median of some rounds. */
function measure(tick: () => void, seconds: number): number {
  const figures: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const end = start + seconds * 1_000 / ROUNDS;
    let count = 0;
    let now = start;
    while (now < end) {
      tick();
      count++;
      now = performance.now();
    }
    figures.push((now - start) / count);
  }
  return spread(figures).median;
}

interface NullHeartbeat {
  readonly type: "heartbeat" | "answer";
  readonly to: number;
  readonly sentAt: number;
}

/** Nodes as far as a heartbeat goes: when each was heard of. */
const heard: number[] = new Array(GROUPS * CORES).fill(0);

/** Makes so many messages, half of them answers, and looks at each. */
function exchange(messages: number, sentAt: number): void {
  const followers = CORES - 1;
  for (let done = 0; done < messages; done += 2 * followers) {
    const queue: NullHeartbeat[] = [];
    for (let to = 1; to <= followers; to++) {
      queue.push({ type: "heartbeat", to: done + to, sentAt });
    }
    const answers: NullHeartbeat[] = [];
    for (const { to, sentAt } of queue) {
      heard[to % heard.length] = sentAt;
      answers.push({ type: "answer", to: done, sentAt });
    }
    for (const { to, sentAt } of answers) heard[to % heard.length] = sentAt;
  }
}
