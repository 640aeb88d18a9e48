/**
 * The bodies of the storage cases. Names and order are in `storage_suite.ts`.
 *
 * @module
 */
import type { GroupWrite, OpenedStorage, Storage } from "../storage.ts";
import type { Entry } from "../core/types.ts";
import { isRaftError } from "../errors.ts";
import { isSame } from "./is_same.ts";
import type { StorageBench } from "./storage_bench.ts";
import {
  append,
  check,
  checkRejects,
  checkSame,
  command,
  commands,
  contents,
  createGroup,
  emptyGroup,
  metaAt,
  rejection,
  RICH_CONF,
} from "./storage_samples.ts";

/** The cases of every storage. */
export class StorageCases {
  readonly #bench: StorageBench;

  /** Cases for what is on the bench. */
  constructor(bench: StorageBench) {
    this.#bench = bench;
  }

  async resolvedSurvives(): Promise<void> {
    let [storage, opened] = await this.#bench.open();
    checkSame(opened.groups, [], "an empty storage has groups");
    await storage.write([createGroup(1)]);
    for (let round = 1; round <= 5; round++) {
      const hardState = { term: round, vote: 2, commit: round - 1 };
      const entries = [command(round, round)];
      await storage.write([{ group: 1, hardState, entries }]);
      [storage, opened] = await this.#bench.reopen();
      const [stored] = opened.groups;
      checkSame(stored?.lastIndex, round, "an acknowledged entry is gone");
      checkSame(stored?.hardState, hardState, "the hard state is not it");
    }
  }

  async unresolvedIsWhole(): Promise<void> {
    let [storage, opened] = await this.#bench.open();
    const states = [await contents(storage, opened)];
    const batches = mixedBatches();
    // What each prefix of the batches looks like, found without any crash.
    for (const batch of batches) {
      await storage.write(batch);
      await storage.close();
      [storage, opened] = await this.#bench.open();
      states.push(await contents(storage, opened));
    }
    for (const { group } of opened.groups) await storage.destroyGroup(group);
    for (const batch of batches) ignore(storage.write(batch));
    const left = await this.#contentsAfterCrash();
    const count = states.findIndex((state) => isSame(state, left));
    check(count >= 0, "what is left is no prefix of the batches");
  }

  async entriesReplace(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    await storage.write([append(1, commands(2, 4, 5))]);
    const range = { group: 1, from: 1, through: 5, maxBytes: 1 << 20 };
    const wanted = [...commands(1, 1, 3), ...commands(2, 4, 5)];
    checkSame(await storage.read(range), wanted, "the log is not the new one");
    const [, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.lastIndex, 5, "the old suffix is still there");
    checkSame(
      stored?.termRuns,
      [{ term: 1, firstIndex: 1 }, { term: 2, firstIndex: 4 }],
      "the terms are not those of the new log",
    );
    checkSame(stored?.tail, wanted, "the tail is not the new log");
  }

  async stateAndEntriesTogether(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1)]);
    for (let index = 1; index <= 20; index++) {
      const hardState = { term: index, vote: 1, commit: 0 };
      const entries = [command(index, index)];
      ignore(storage.write([{ group: 1, hardState, entries }]));
    }
    const [, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(
      stored?.hardState.term,
      stored?.lastIndex,
      "the hard state is of another batch than the entries",
    );
  }

  async orderIsKept(): Promise<void> {
    const [storage] = await this.#bench.open();
    const settled: number[] = [];
    const writes = [storage.write([createGroup(1)])];
    for (let index = 1; index <= 50; index++) {
      const write = storage.write([append(1, [command(1, index)])]);
      writes.push(write);
      ignore(write.then(() => settled.push(index)));
    }
    await Promise.all(writes);
    checkSame(
      settled,
      Array.from({ length: 50 }, (_, i) => i + 1),
      "the writes did not resolve in order",
    );
    const [, opened] = await this.#bench.reopen();
    checkSame(opened.groups[0]?.lastIndex, 50, "an entry is gone");
  }

  async lazyRidesAlong(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    const hardState = { term: 1, vote: null, commit: 3 };
    await storage.write([{ group: 1, hardState, entries: [] }], {
      sync: false,
    });
    await storage.write([append(1, [command(1, 4)])]);
    const [, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.lastIndex, 4, "the synced batch is gone");
    checkSame(stored?.hardState, hardState, "the batch before it is gone");
  }

  async droppedStaysDropped(): Promise<void> {
    let [storage, opened] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 40, 100))]);
    const log = commands(1, 1, 40, 100);
    let index = 40;
    for (let term = 2; index > 7; term++) {
      index -= 7;
      log.splice(index - 1, Infinity, command(term, index));
      await storage.write([append(1, [command(term, index)])]);
      [storage, opened] = await this.#bench.reopen();
      checkSame(opened.groups[0]?.lastIndex, index, "a suffix came back");
    }
    checkSame(opened.groups[0]?.tail, log, "the log is not what was written");
  }

  async opensWhatWasWritten(): Promise<void> {
    const [storage] = await this.#bench.open();
    const entries: Entry[] = [
      { type: "noop", term: 1, index: 1 },
      command(1, 2, 0),
      command(1, 3, 1),
      {
        type: "confChange",
        term: 2,
        index: 4,
        change: {
          transition: "explicit",
          steps: [
            { type: "addWitness", node: 9, address: "h:1" },
            { type: "remove", node: 2 },
          ],
        },
      },
      command(2 ** 40, 5, 300_000),
      ...commands(2 ** 40, 6, 400),
    ];
    const hardState = { term: 2 ** 52, vote: 2 ** 51, commit: 5 };
    const conf = { index: 4, conf: RICH_CONF };
    await storage.write([createGroup(3, 2 ** 45)]);
    await storage.write([{ group: 3, hardState, entries, conf }]);
    await storage.write([createGroup(2 ** 50)]);
    const state = await this.#bench.look(storage);
    const wanted = [
      { ...emptyGroup(3, 2 ** 45), lastIndex: 400, hardState, conf, entries },
      emptyGroup(2 ** 50, 1),
    ];
    checkSame(
      state,
      [{
        ...wanted[0],
        termRuns: [
          { term: 1, firstIndex: 1 },
          { term: 2, firstIndex: 4 },
          { term: 2 ** 40, firstIndex: 5 },
        ],
      }, wanted[1]],
      "open does not return what was written",
    );
    const [again, opened] = await this.#bench.open();
    checkSame(
      await contents(again, opened),
      state,
      "a second look finds something else",
    );
  }

  async startsFromSnapshot(): Promise<void> {
    const [storage] = await this.#bench.open();
    const snapshot = { ...metaAt(100, 7), conf: RICH_CONF };
    await storage.write([{
      group: 1,
      create: { node: 4, snapshot },
      entries: [command(8, 101)],
    }]);
    const [, opened] = await this.#bench.reopen();
    const [stored] = opened.groups;
    checkSame(stored?.snapshot, snapshot, "the snapshot is not it");
    checkSame(stored?.firstIndex, 101, "the log starts elsewhere");
    checkSame(stored?.prevTerm, 7, "the term before the log is not it");
    checkSame(stored?.tail, [command(8, 101)], "the log is not it");
  }

  async takesCopies(): Promise<void> {
    const [storage] = await this.#bench.open();
    const entry = command(1, 1);
    const entries: Entry[] = [entry];
    const batch: GroupWrite[] = [createGroup(1), append(1, entries)];
    const writing = storage.write(batch);
    if (entry.type === "command") entry.data.fill(0xee);
    entries.length = 0;
    batch.length = 0;
    await writing;
    const [again] = await this.#bench.reopen();
    checkSame(
      await again.read({ group: 1, from: 1, through: 1, maxBytes: 1 }),
      [command(1, 1)],
      "the storage kept the caller's bytes",
    );
  }

  async handsOutCopies(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    const range = { group: 1, from: 1, through: 3, maxBytes: 1 << 20 };
    spoil(await storage.read(range));
    checkSame(await storage.read(range), commands(1, 1, 3), "read is shared");
    const [again, opened] = await this.#bench.reopen();
    spoil(opened.groups[0]?.tail ?? []);
    checkSame(await again.read(range), commands(1, 1, 3), "tail is shared");
  }

  async failsForGood(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    this.#bench.data.failNextFlush();
    const failed = "storageFailed";
    const late = (index: number) =>
      storage.write([append(1, [command(1, index)])]);
    const overlapping = [late(4), late(5)];
    for (const write of overlapping) {
      await checkRejects(() => write, failed, "a write resolved unflushed");
    }
    await checkRejects(() => late(4), failed, "a later write was taken");
    await checkRejects(
      () => storage.read({ group: 1, from: 1, through: 1, maxBytes: 1 }),
      failed,
      "a later read was answered",
    );
    await checkRejects(
      () => storage.destroyGroup(1),
      failed,
      "a later call was taken",
    );
    await storage.close();
    const [, opened] = await this.#bench.open();
    const last = opened.groups[0]?.lastIndex ?? 0;
    check(last >= 3, "what was durable before the failure is gone");
  }

  async damageIsTold(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1)]);
    for (let index = 1; index <= 5; index++) {
      await storage.write([append(1, [command(1, index)])]);
    }
    await storage.close();
    await this.#bench.data.damage(1, 3);
    const error = await rejection(
      () => this.#bench.open(),
      "damaged data was opened",
    );
    check(isRaftError(error, "corrupt"), `damage was told as ${error}`);
    check((error.file ?? "") !== "", "the error names no file");
    check(error.offset !== undefined, "the error names no offset");
  }

  async #contentsAfterCrash(): Promise<unknown> {
    const [storage, opened]: [Storage, OpenedStorage] = await this.#bench
      .reopen();
    return await contents(storage, opened);
  }
}

/** Batches of several groups, with truncations. */
function mixedBatches(): GroupWrite[][] {
  return [
    [createGroup(1), createGroup(2)],
    [append(1, commands(1, 1, 3)), append(2, commands(1, 1, 1))],
    [append(1, commands(2, 2, 6))],
    [{
      group: 2,
      hardState: { term: 3, vote: null, commit: 1 },
      entries: commands(3, 2, 400),
    }],
    [append(2, commands(4, 3, 3)), append(1, commands(5, 7, 9, 5000))],
  ];
}

function spoil(entries: readonly Entry[]): void {
  for (const entry of entries) {
    if (entry.type === "command") entry.data.fill(0xdd);
  }
}

/** For a write whose fate the case finds out in another way. */
function ignore(promise: Promise<unknown>): void {
  promise.catch(() => {});
}
