/**
 * Three cores in memory, in the shape of etcd's own core benchmark: propose,
 * take each Ready, count it persisted at once, deliver its messages, apply,
 * until nothing is left to do. Beside it the same exchange without a protocol.
 *
 * @module
 */
import { NullCores } from "./null_cores.ts";
import { spread } from "./stats.ts";
import { CORES, ThreeCores } from "./three_cores.ts";

/** What three cores do, and what the bare exchange would. */
export interface CoreFigures {
  readonly batch: number;
  readonly proposalsPerSecond: number;
  readonly nullProposalsPerSecond: number;
}

const BATCHES = [1, 64];
const PAYLOAD_BYTES = 256;
/** Proposals between two looks at the clock. */
const SLICE = 1_024;
const ROUNDS = 5;

/** Measures batches of 1 and of 64 for some seconds each, in turns. */
export function measureCore(seconds: number): CoreFigures[] {
  return BATCHES.map((batch) => {
    const cluster = new ThreeCores();
    const bare = new NullCores(CORES);
    const commands = Array.from(
      { length: batch },
      () => new Uint8Array(PAYLOAD_BYTES).fill(120),
    );
    const real = () => cluster.propose(commands);
    const none = () => bare.propose(commands);
    const slice = seconds / ROUNDS / 2;
    rate(real, batch, slice);
    rate(none, batch, slice);
    const figures: number[] = [];
    const nullFigures: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      figures.push(rate(real, batch, slice));
      nullFigures.push(rate(none, batch, slice));
    }
    return {
      batch,
      proposalsPerSecond: spread(figures).median,
      nullProposalsPerSecond: spread(nullFigures).median,
    };
  });
}

function rate(propose: () => void, batch: number, seconds: number): number {
  const start = performance.now();
  const end = start + seconds * 1_000;
  let count = 0;
  let now = start;
  while (now < end) {
    for (let done = 0; done < SLICE; done += batch) {
      propose();
      count += batch;
    }
    now = performance.now();
  }
  return count / ((now - start) / 1_000);
}
