/**
 * The bodies of the storage cases about who may read and write what. Names
 * and order are in `storage_suite.ts`.
 *
 * @module
 */
import type { GroupWrite } from "../storage.ts";
import type { StorageBench } from "./storage_bench.ts";
import {
  append,
  check,
  checkRejects,
  checkSame,
  command,
  commands,
  createGroup,
  emptyGroup,
  rejection,
} from "./storage_samples.ts";

/** More cases of every storage. */
export class StorageAccessCases {
  readonly #bench: StorageBench;

  /** Cases for what is on the bench. */
  constructor(bench: StorageBench) {
    this.#bench = bench;
  }

  async locks(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 3))]);
    const before = await this.#bench.data.fingerprint();
    await checkRejects(
      () => this.#bench.open(),
      "locked",
      "the same data was opened twice",
    );
    const after = await this.#bench.data.fingerprint();
    checkSame(after, before, "the refused opening changed something");
    await storage.write([append(1, [command(1, 4)])]);
    await storage.close();
    const [, opened] = await this.#bench.open();
    checkSame(opened.groups[0]?.lastIndex, 4, "the first one was disturbed");
  }

  async refusesStrangers(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1)]);
    await storage.close();
    const before = await this.#bench.data.fingerprint();
    await checkRejects(
      () => this.#bench.open("another"),
      "identityMismatch",
      "data of another deployment was opened",
    );
    const after = await this.#bench.data.fingerprint();
    checkSame(after, before, "the refused opening changed something");
    await this.#bench.open();
  }

  async keepsIncarnation(): Promise<void> {
    const [storage, first] = await this.#bench.open();
    check(
      /^[0-9a-f]{32}$/.test(first.incarnation),
      "the incarnation is not 32 hexadecimal digits",
    );
    await storage.close();
    const [, second] = await this.#bench.open();
    checkSame(second.incarnation, first.incarnation, "another incarnation");
  }

  async readsRanges(): Promise<void> {
    const [storage] = await this.#bench.open();
    const size = 1000;
    const log = [...commands(1, 1, 150, size), ...commands(3, 151, 300, size)];
    await storage.write([createGroup(1), append(1, log.slice(0, 100))]);
    await storage.write([createGroup(2), append(2, commands(1, 1, 50))]);
    await storage.write([append(1, log.slice(100, 180))]);
    for (const entry of log.slice(180)) {
      await storage.write([append(1, [entry])]);
    }
    const read = (from: number, through: number, maxBytes: number) =>
      storage.read({ group: 1, from, through, maxBytes });
    checkSame(await read(90, 210, 1 << 30), log.slice(89, 210), "not in order");
    checkSame(await read(7, 7, 0), log.slice(6, 7), "not at least one");
    for (const from of [1, 99, 150, 180, 280]) {
      const some = await read(from, 300, 10 * size);
      check(some.length > 1, "far fewer bytes than wanted");
      check(some.length < 10, "more bytes than wanted");
      const wanted = log.slice(from - 1, from - 1 + some.length);
      checkSame(some, wanted, "not the entries of the range");
    }
    await rejection(() => read(301, 400, 1), "entries beyond the log");
    await rejection(
      () => storage.read({ group: 9, from: 1, through: 1, maxBytes: 1 }),
      "entries of an unknown group",
    );
  }

  async readsUnflushed(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 9))]);
    const writing = [
      storage.write([append(1, commands(2, 5, 6))]),
      storage.write([append(1, commands(2, 7, 12))]),
    ];
    checkSame(
      await storage.read({ group: 1, from: 4, through: 12, maxBytes: 1e6 }),
      [command(1, 4), ...commands(2, 5, 12)],
      "read does not see what was written",
    );
    await Promise.all(writing);
  }

  async refusesMisfits(): Promise<void> {
    const [storage] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(4, 1, 5))]);
    const fine = append(1, commands(5, 6, 6));
    const misfits: [string, GroupWrite][] = [
      ["a hole", append(1, commands(5, 8, 9))],
      ["a hole within", append(1, [command(5, 7), command(5, 9)])],
      ["a falling term", append(1, [command(3, 7)])],
      ["a falling term within", append(1, [command(9, 7), command(8, 8)])],
      ["an unknown group", append(2, commands(1, 1, 1))],
      ["a second creation", createGroup(1)],
      ["index 0", append(1, [command(5, 0)])],
      ["node 0", createGroup(3, 0)],
      ["a fractional term", append(1, [command(5.5, 7)])],
    ];
    for (const [what, misfit] of misfits) {
      await rejection(
        () => storage.write([createGroup(7), fine, misfit]),
        what,
      );
      // Had the first parts been taken, these would fit.
      const rest = [append(1, commands(5, 7, 7)), append(7, commands(1, 1, 1))];
      for (const write of rest) {
        await rejection(() => storage.write([write]), `behind ${what}`);
      }
    }
    const state = await this.#bench.look(storage);
    const wanted = commands(4, 1, 5);
    checkSame(
      state,
      [{
        ...emptyGroup(1, 1),
        lastIndex: 5,
        termRuns: [{ term: 4, firstIndex: 1 }],
        entries: wanted,
      }],
      "a refused batch left something",
    );
  }

  async destroys(): Promise<void> {
    let [storage, opened] = await this.#bench.open();
    await storage.write([createGroup(1), append(1, commands(1, 1, 5))]);
    await storage.write([createGroup(2), append(2, commands(1, 1, 5))]);
    await storage.destroyGroup(1);
    await rejection(
      () => storage.write([append(1, commands(1, 6, 6))]),
      "a destroyed group was written to",
    );
    await rejection(
      () => storage.read({ group: 1, from: 1, through: 1, maxBytes: 1 }),
      "a destroyed group was read",
    );
    [storage, opened] = await this.#bench.reopen();
    checkSame(opened.groups.map(({ group }) => group), [2], "it came back");
    await storage.write([createGroup(1, 8), append(1, commands(2, 1, 1))]);
    [storage, opened] = await this.#bench.reopen();
    checkSame(opened.groups[0]?.node, 8, "the new group is not it");
    checkSame(opened.groups[0]?.tail, commands(2, 1, 1), "old entries");
  }

  async keepsGroupsApart(): Promise<void> {
    const [storage] = await this.#bench.open();
    const groups = Array.from({ length: 30 }, (_, i) => 1 + i * 1000);
    await storage.write(groups.map((group) => createGroup(group)));
    for (let index = 1; index <= 10; index++) {
      await storage.write(
        groups.map((group) => append(group, [command(group, index, 200)])),
      );
    }
    await storage.write([append(1, [command(2, 3)])]);
    for (const group of groups) {
      const through = group === 1 ? 2 : 10;
      const range = { group, from: 1, through, maxBytes: 1 << 20 };
      checkSame(
        await storage.read(range),
        commands(group, 1, through, 200),
        `the log of group ${group} is not its own`,
      );
    }
  }

  async closes(): Promise<void> {
    const [storage] = await this.#bench.open();
    const writing = [
      storage.write([createGroup(1)]),
      storage.write([append(1, commands(1, 1, 3))]),
    ];
    const hardState = { term: 1, vote: 1, commit: 3 };
    const lazy = { sync: false };
    writing.push(storage.write([{ group: 1, hardState, entries: [] }], lazy));
    await Promise.all([storage.close(), storage.close()]);
    await Promise.all(writing);
    await rejection(
      () => storage.write([append(1, [command(1, 4)])]),
      "a write was taken after close",
    );
    await storage.close();
    const [, opened] = await this.#bench.open();
    checkSame(opened.groups[0]?.lastIndex, 3, "close lost a write");
    checkSame(opened.groups[0]?.hardState, hardState, "close lost a write");
  }
}
