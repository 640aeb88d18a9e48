/**
 * The contract of state machines as cases for any test runner.
 *
 * @module
 */
import { copyBytes, decodeCbor, encodeCbor } from "../codec.ts";
import type {
  Applied,
  SnapshotSource,
  StateMachine,
} from "../state_machine.ts";
import { isSame } from "./is_same.ts";

/** What the cases need to know of a machine. */
export interface MachineSuiteOptions<Command, Result, Query, Answer> {
  /** A new machine in its initial state. */
  create(): StateMachine<Command, Result, Query, Answer>;
  /**
   * At least four commands, to be applied in this order. The more of the
   * machine they use, removals too, the more is tested.
   */
  readonly commands: readonly Command[];
  /** Queries that together show the whole state. */
  readonly queries: readonly Query[];
}

/** One property of the contract. */
export interface MachineCase {
  /** The property in words. */
  readonly name: string;
  /** Resolves if the machine has it, else rejects with what was found. */
  run(): Promise<void>;
}

/** Longest chunk a snapshot may have, in bytes. */
const MAX_CHUNK_BYTES = 1024 * 1024;

/**
 * The cases of the contract in `src/state_machine.ts`, for a machine of yours.
 *
 * @example Run them all
 * ```ts
 * import { machineCases } from "@balsa/raft/testing";
 * import { KvMachine } from "@balsa/raft/machines/kv";
 *
 * const value = new Uint8Array([1]);
 * const cases = machineCases({
 *   create: () => new KvMachine(),
 *   commands: [
 *     { type: "put", key: "a", value },
 *     { type: "put", key: "b", value },
 *     { type: "delete", key: "a" },
 *     { type: "put", key: "c", value },
 *   ],
 *   queries: [{ type: "list" }],
 * });
 * // With a test runner: for (const { name, run } of cases) test(name, run);
 * for (const { run } of cases) await run();
 * ```
 */
export function machineCases<Command, Result, Query, Answer>(
  options: MachineSuiteOptions<Command, Result, Query, Answer>,
): MachineCase[] {
  const suite = new MachineSuite(options);
  return [
    {
      name: "the queries see the commands, else no case could fail",
      run: () => suite.queriesSeeCommands(),
    },
    {
      name: "a command survives the schema and the log",
      run: () => suite.commandsSurviveTheLog(),
    },
    {
      name: "a result survives the session table",
      run: () => suite.resultsSurviveTheSessionTable(),
    },
    {
      name: "equal commands give equal results in whatever batches (H127)",
      run: () => suite.batchesDoNotMatter(),
    },
    {
      name: "a query changes nothing",
      run: () => suite.queriesChangeNothing(),
    },
    {
      name: "a snapshot is as of the last apply, though applies go on (H68)",
      run: () => suite.snapshotStaysAsItWas(),
    },
    {
      name: "restore replaces the state, nothing of the old survives (H67)",
      run: () => suite.restoreReplaces(),
    },
    {
      name: "a restored machine goes on like the original (H127)",
      run: () => suite.restoredGoesOn(),
    },
    {
      name: "restore takes chunks that were cut anywhere",
      run: () => suite.chunkBordersMeanNothing(),
    },
    {
      name: "the chunks of a snapshot are bounded",
      run: () => suite.chunksAreBounded(),
    },
  ];
}

class MachineSuite<C, R, Q, A> {
  readonly #options: MachineSuiteOptions<C, R, Q, A>;
  /** How many of the commands a snapshot is taken after. */
  readonly #half: number;

  constructor(options: MachineSuiteOptions<C, R, Q, A>) {
    this.#options = options;
    this.#half = Math.floor(options.commands.length / 2);
    if (this.#half < 2 || options.queries.length === 0) {
      throw new RangeError(
        `Cannot test a machine: four commands and one query are needed, ` +
          `not ${options.commands.length} and ${options.queries.length}`,
      );
    }
  }

  async queriesSeeCommands(): Promise<void> {
    const initial = await this.#stateAfter(0);
    const half = await this.#stateAfter(this.#half);
    const all = await this.#stateAfter(this.#options.commands.length);
    assertHolds(
      !isSame(initial, half) && !isSame(half, all) && !isSame(initial, all),
      "the answers are the same before, between and after the commands",
    );
  }

  commandsSurviveTheLog(): Promise<void> {
    const { command: schema } = this.#options.create();
    for (const command of this.#options.commands) {
      const checked = schema.parse(command);
      assertSame(schema.parse(checked), checked, "a command, checked twice");
      assertSame(throughCbor(checked), checked, "a command from the log");
    }
    return Promise.resolve();
  }

  async resultsSurviveTheSessionTable(): Promise<void> {
    const machine = this.#options.create();
    for (const result of await this.#applyRange(machine, 0)) {
      assertSame(throughCbor(result), result, "a result from the table");
    }
  }

  async batchesDoNotMatter(): Promise<void> {
    const one = this.#options.create();
    const results = await this.#applyRange(one, 0);
    const state = await this.#state(one);
    for (const size of [1, 3]) {
      const other = this.#options.create();
      const found: R[] = [];
      for (let from = 0; from < this.#options.commands.length; from += size) {
        found.push(...await this.#applyRange(other, from, from + size));
      }
      assertSame(found, results, `the results in batches of ${size}`);
      assertSame(
        await this.#state(other),
        state,
        `the state after batches of ${size}`,
      );
    }
  }

  async queriesChangeNothing(): Promise<void> {
    const machine = await this.#machineAfter(this.#half);
    const checksum = machine.checksum?.();
    const first = await this.#state(machine);
    assertSame(await this.#state(machine), first, "an answer, asked again");
    assertSame(machine.checksum?.(), checksum, "the checksum after queries");
    const untouched = await this.#machineAfter(this.#half);
    assertSame(
      await this.#applyRange(machine, this.#half),
      await this.#applyRange(untouched, this.#half),
      "the results after queries",
    );
  }

  async snapshotStaysAsItWas(): Promise<void> {
    const machine = await this.#machineAfter(this.#half);
    const captured = machine.snapshot();
    let next = this.#half;
    const chunks: Uint8Array[] = [];
    await this.#applyRange(machine, next, next + 1);
    next += 1;
    const later = machine.snapshot();
    for await (const chunk of captured.chunks()) {
      chunks.push(copyBytes(chunk));
      await this.#applyRange(machine, next, next + 1);
      next += 1;
    }
    captured.release?.();
    await this.#applyRange(machine, next);
    await this.#assertRestores(chunks, this.#half);
    await this.#assertRestores(await drain(later), this.#half + 1);
  }

  async restoreReplaces(): Promise<void> {
    const count = this.#options.commands.length;
    for (const [from, to] of [[count, this.#half], [this.#half, 0]] as const) {
      const chunks = await drain((await this.#machineAfter(to)).snapshot());
      const machine = await this.#machineAfter(from);
      await machine.restore(stream(chunks));
      assertSame(
        await this.#state(machine),
        await this.#stateAfter(to),
        `the state after ${to} commands, restored over that after ${from},`,
      );
    }
  }

  async restoredGoesOn(): Promise<void> {
    const original = await this.#machineAfter(this.#half);
    const restored = this.#options.create();
    await restored.restore(stream(await drain(original.snapshot())));
    for (let at = this.#half; at < this.#options.commands.length; at++) {
      assertSame(
        await this.#applyRange(restored, at, at + 1),
        await this.#applyRange(original, at, at + 1),
        `the result of command ${at + 1} after a restore`,
      );
      assertSame(
        await this.#state(restored),
        await this.#state(original),
        `the state after command ${at + 1}, after a restore`,
      );
    }
  }

  async chunkBordersMeanNothing(): Promise<void> {
    const whole = join(
      await drain((await this.#machineAfter(this.#half))
        .snapshot()),
    );
    await this.#assertRestores([whole], this.#half);
    for (const longest of [1, 2, 7, 1_000]) {
      if (whole.length / longest <= 100_000) {
        await this.#assertRestores(cut(whole, longest), this.#half);
      }
    }
  }

  async chunksAreBounded(): Promise<void> {
    const machine = await this.#machineAfter(this.#options.commands.length);
    for (const { length } of await drain(machine.snapshot())) {
      assertHolds(
        length <= MAX_CHUNK_BYTES,
        `a chunk has ${length} bytes, at most ${MAX_CHUNK_BYTES} are allowed`,
      );
    }
  }

  async #assertRestores(
    chunks: readonly Uint8Array[],
    count: number,
  ): Promise<void> {
    const machine = this.#options.create();
    await machine.restore(stream(chunks));
    assertSame(
      await this.#state(machine),
      await this.#stateAfter(count),
      `the state after ${count} commands, restored from ${chunks.length} chunks,`,
    );
  }

  async #machineAfter(count: number): Promise<StateMachine<C, R, Q, A>> {
    const machine = this.#options.create();
    await this.#applyRange(machine, 0, count);
    return machine;
  }

  async #stateAfter(count: number): Promise<unknown> {
    return await this.#state(await this.#machineAfter(count));
  }

  /** Everything that can be seen of a machine. */
  async #state(machine: StateMachine<C, R, Q, A>): Promise<unknown> {
    const answers: A[] = [];
    for (const query of this.#options.queries) {
      answers.push(await machine.query(query));
    }
    return { answers, checksum: machine.checksum?.() };
  }

  /** Applies a range of the commands as one batch, as the library does. */
  async #applyRange(
    machine: StateMachine<C, R, Q, A>,
    from: number,
    to: number = this.#options.commands.length,
  ): Promise<R[]> {
    const batch = this.#options.commands.slice(from, to).map(
      (command, at): Applied<C> => ({
        index: from + at + 1,
        term: 1,
        command: throughCbor(machine.command.parse(command)),
      }),
    );
    if (batch.length === 0) {
      return [];
    }
    const results = await machine.apply(batch);
    assertHolds(
      results.length === batch.length,
      `apply gave ${results.length} results for ${batch.length} commands`,
    );
    return results;
  }
}

/** What comes out of the log, or of the session table, for `value`. */
function throughCbor<T>(value: T): T {
  // Whether it still is a T is what the cases find out.
  return decodeCbor(copyBytes(encodeCbor(value))) as T;
}

async function drain(source: SnapshotSource): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source.chunks()) {
    chunks.push(copyBytes(chunk));
  }
  source.release?.();
  return chunks;
}

/** Chunks of which the reader must copy what it keeps (H121). */
async function* stream(
  chunks: readonly Uint8Array[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) {
    const lent = copyBytes(chunk);
    yield lent;
    lent.fill(0xaa);
  }
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    chunks.reduce((length, chunk) => length + chunk.length, 0),
  );
  let filled = 0;
  for (const chunk of chunks) {
    whole.set(chunk, filled);
    filled += chunk.length;
  }
  return whole;
}

/** Pieces of 0 to `longest` bytes, in a fixed pattern. */
function cut(whole: Uint8Array, longest: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = 0; from < whole.length; at++) {
    const piece = whole.subarray(from, from + (at * 5 + 1) % (longest + 1));
    pieces.push(piece);
    from += piece.length;
  }
  return pieces;
}

function assertSame(found: unknown, wanted: unknown, what: string): void {
  assertHolds(
    isSame(found, wanted),
    `${what} is ${describe(found)}, not ${describe(wanted)}`,
  );
}

function assertHolds(condition: boolean, otherwise: string): void {
  if (!condition) {
    throw new Error(`Cannot accept the machine: ${otherwise}`);
  }
}

function describe(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, held) => typeof held === "bigint" ? `${held}n` : held,
  ) ?? String(value);
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
