import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import {
  type KvCommand,
  type KvExpectation,
  type KvItem,
  type KvList,
  KvMachine,
  type KvResult,
  MAX_VALUE_BYTES,
} from "../../../src/machines/kv/mod.ts";
import { MachineRunner } from "../../../src/rsm/machine_runner.ts";
import { machineCases } from "../../../src/testing/mod.ts";
import {
  below,
  commandEntry,
  inPieces,
  metaAt,
  readAll,
  seededRandom,
  utf8,
} from "../../rsm/support.ts";

const any: KvExpectation = { type: "any" };
const absent: KvExpectation = { type: "absent" };
const present: KvExpectation = { type: "present" };

function at(revision: number): KvExpectation {
  return { type: "revision", revision };
}

function put(key: string, text: string, expect?: KvExpectation): KvCommand {
  return { type: "put", key, value: utf8(text), expect };
}

function remove(key: string, expect?: KvExpectation): KvCommand {
  return { type: "delete", key, expect };
}

function run(machine: KvMachine, ...commands: KvCommand[]): KvResult[] {
  return machine.apply(
    commands.map((command, index) => ({ index: index + 1, term: 1, command })),
  );
}

function get(machine: KvMachine, key: string): KvItem | null {
  const answer = machine.query({ type: "get", key });
  assert(answer.type === "get");
  return answer.item;
}

function list(machine: KvMachine, query: Omit<KvList, "type"> = {}) {
  const answer = machine.query({ type: "list", ...query });
  assert(answer.type === "list");
  return answer;
}

function keys(machine: KvMachine, query: Omit<KvList, "type"> = {}): string[] {
  return list(machine, query).items.map(({ key }) => key);
}

describe("KvMachine contract", () => {
  const random = seededRandom(11);
  const commands = Array.from({ length: 200 }, (): KvCommand => {
    const key = `${["a", "é", "\uffff", "\u{1f600}"][below(random, 4)]}${
      below(random, 30)
    }`;
    const expect =
      [any, absent, present, at(1 + below(random, 100)), undefined][
        below(random, 5)
      ];
    return below(random, 4) === 0
      ? remove(key, expect)
      : put(key, "x".repeat(below(random, 300)), expect);
  });
  const cases = machineCases({
    create: () => new KvMachine(),
    commands,
    queries: [
      { type: "list", limit: 1_000, maxBytes: 16 * 1024 * 1024 },
      { type: "list", prefix: "é", limit: 3 },
      { type: "get", key: "a1" },
    ],
  });
  for (const { name, run } of cases) {
    it(name, run);
  }
});

describe("KvMachine revisions", () => {
  it("count every applied write of the store, deletes too", () => {
    const machine = new KvMachine();
    assertEquals(
      run(
        machine,
        put("a", "1"),
        put("b", "1"),
        put("a", "2"),
        remove("a"),
        remove("a"),
        remove("never"),
        put("c", "1"),
      ),
      [
        { type: "put", revision: 1 },
        { type: "put", revision: 2 },
        { type: "put", revision: 3 },
        { type: "delete", revision: 4, deleted: true },
        { type: "delete", revision: 5, deleted: false },
        { type: "delete", revision: 6, deleted: false },
        { type: "put", revision: 7 },
      ],
    );
    assertEquals(machine.revision, 7);
    assertEquals(machine.size, 2);
    assertEquals(get(machine, "b")?.revision, 2);
    assertEquals(get(machine, "c")?.revision, 7);
    assertEquals(get(machine, "a"), null);
  });

  it("are not taken by what was not applied", () => {
    const machine = new KvMachine();
    const conflict = (revision: number) => ({ type: "conflict", revision });
    assertEquals(
      run(
        machine,
        put("a", "1", at(1)),
        put("a", "1", present),
        remove("a", present),
        remove("a", at(1)),
        put("a", "1", absent),
        put("a", "2", absent),
        remove("a", absent),
        put("a", "2", at(2)),
        put("a", "2", at(1)),
        put("a", "3", present),
        remove("a", at(1)),
        remove("a", at(3)),
        remove("a", absent),
        put("a", "4", any),
      ),
      [
        conflict(0),
        conflict(0),
        conflict(0),
        conflict(0),
        { type: "put", revision: 1 },
        conflict(1),
        conflict(1),
        conflict(1),
        { type: "put", revision: 2 },
        { type: "put", revision: 3 },
        conflict(3),
        { type: "delete", revision: 4, deleted: true },
        { type: "delete", revision: 5, deleted: false },
        { type: "put", revision: 6 },
      ],
    );
    assertEquals(get(machine, "a")?.value, utf8("4"));
  });

  it("agree with a naive store on random histories", () => {
    for (let seed = 1; seed <= 10; seed++) {
      compareWithNaive(seed);
    }
  });
});

function compareWithNaive(seed: number): void {
  const random = seededRandom(seed);
  const machine = new KvMachine();
  const naive = new Map<string, { text: string; revision: number }>();
  let revision = 0;
  for (let step = 0; step < 1_000; step++) {
    const key = `key ${below(random, 20)}`;
    const found = naive.get(key)?.revision ?? 0;
    const expectations: [KvExpectation | undefined, boolean][] = [
      [undefined, true],
      [any, true],
      [absent, found === 0],
      [present, found !== 0],
      [at(found + 1), false],
      [at(Math.max(found, 1)), found !== 0],
    ];
    const [expect, holds] = expectations[below(random, 6)] ?? [any, true];
    const isDelete = below(random, 3) === 0;
    const [result] = run(
      machine,
      isDelete ? remove(key, expect) : put(key, `${step}`, expect),
    );
    if (!holds) {
      assertEquals(result, { type: "conflict", revision: found });
      continue;
    }
    revision += 1;
    if (isDelete) {
      const deleted = naive.delete(key);
      assertEquals(result, { type: "delete", revision, deleted });
    } else {
      naive.set(key, { text: `${step}`, revision });
      assertEquals(result, { type: "put", revision });
    }
  }
  assertEquals(
    list(machine).items,
    Array.from(naive)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([key, { text, revision }]) => ({
        key,
        value: utf8(text),
        revision,
      })),
  );
  assertEquals(machine.revision, revision);
}

describe("KvMachine get", () => {
  it("gives copies: no reader changes the store (H121)", () => {
    const machine = new KvMachine();
    run(machine, put("a", "value"));
    const checksum = machine.checksum();
    get(machine, "a")?.value.fill(0);
    list(machine).items[0]?.value.fill(0);
    assertEquals(get(machine, "a")?.value, utf8("value"));
    assertEquals(machine.checksum(), checksum);
  });

  it("keeps empty values and hostile keys apart from no key (H133)", () => {
    const machine = new KvMachine();
    for (const key of ["__proto__", "constructor", "toString", "\u0000"]) {
      assertEquals(get(machine, key), null);
      run(machine, put(key, ""));
      assertEquals(get(machine, key)?.value, new Uint8Array(0));
    }
    assertEquals(machine.size, 4);
    run(machine, remove("__proto__"));
    assertEquals(get(machine, "__proto__"), null);
    assertEquals(machine.size, 3);
  });
});

describe("KvMachine list", () => {
  it("goes in the order of UTF-8 bytes (H127)", () => {
    const machine = new KvMachine();
    const ordered = [
      "\u0000",
      "A",
      "Z",
      "a",
      "a\u0000",
      "ab",
      "b",
      "z",
      "ä",
      "\ud7ff",
      "\ue000",
      "\uffff",
      "\u{10000}",
      "\u{10ffff}",
    ];
    run(machine, ...ordered.slice().reverse().map((key) => put(key, "")));
    assertEquals(keys(machine), ordered);
    for (const [at, key] of ordered.entries()) {
      assertEquals(keys(machine, { after: key }), ordered.slice(at + 1));
    }
  });

  it("gives the keys of a prefix, behind `after`, page by page", () => {
    const machine = new KvMachine();
    const all: string[] = [];
    for (const first of ["a", "b", "\u{1f600}", "\uffff"]) {
      for (let at = 100; at < 400; at++) {
        all.push(`${first}/${at}`);
      }
    }
    run(machine, ...all.map((key) => put(key, key)));
    for (
      const prefix of ["a/", "b", "b/2", "\u{1f600}", "\uffff/39", "", "c"]
    ) {
      const found: string[] = [];
      let after: string | undefined;
      for (let pages = 0; pages < 200; pages++) {
        const page = list(machine, { prefix, after, limit: 7 });
        found.push(...page.items.map(({ key }) => key));
        assert(page.items.length === 7 || page.next === null);
        if (page.next === null) {
          break;
        }
        assertEquals(page.next, found.at(-1));
        after = page.next;
      }
      assertEquals(
        found,
        all.filter((key) => key.startsWith(prefix)).sort(byBytes),
        prefix,
      );
    }
  });

  it("starts at the prefix if `after` is before it, and ends behind it", () => {
    const machine = new KvMachine();
    run(machine, ...["a", "b1", "b2", "c"].map((key) => put(key, "")));
    assertEquals(keys(machine, { prefix: "b", after: "a" }), ["b1", "b2"]);
    assertEquals(keys(machine, { prefix: "b", after: "b1" }), ["b2"]);
    assertEquals(keys(machine, { prefix: "b", after: "b2" }), []);
    assertEquals(keys(machine, { prefix: "b", after: "c" }), []);
    assertEquals(keys(machine, { prefix: "b1", after: "b1" }), []);
  });

  it("has no next page when the last one is exactly full", () => {
    const machine = new KvMachine();
    run(machine, ...["a", "b", "c", "d"].map((key) => put(key, "")));
    assertEquals(list(machine, { limit: 2 }).next, "b");
    assertEquals(list(machine, { limit: 2, after: "b" }).next, null);
    assertEquals(list(machine, { limit: 4 }).next, null);
    assertEquals(list(new KvMachine()), {
      type: "list",
      items: [],
      next: null,
    });
  });

  it("stops before maxBytes, but gives one item anyhow", () => {
    const machine = new KvMachine();
    for (const key of ["a", "b", "c"]) {
      run(machine, put(key, "x".repeat(99)));
    }
    assertEquals(keys(machine, { maxBytes: 300 }), ["a", "b", "c"]);
    assertEquals(keys(machine, { maxBytes: 299 }), ["a", "b"]);
    assertEquals(keys(machine, { maxBytes: 200, after: "a" }), ["b", "c"]);
    assertEquals(keys(machine, { maxBytes: 1 }), ["a"]);
    assertEquals(list(machine, { maxBytes: 1 }).next, "a");
    assertEquals(list(machine, { maxBytes: 1, after: "b" }).next, null);
    run(machine, put("é", ""));
    assertEquals(keys(machine, { maxBytes: 102, after: "b" }), ["c", "é"]);
    assertEquals(keys(machine, { maxBytes: 101, after: "b" }), ["c"]);
  });

  it("stops at 100 items and 1 MiB if not told otherwise", () => {
    const machine = new KvMachine();
    for (let at = 0; at < 150; at++) {
      run(machine, put(`${at}`, ""));
    }
    assertEquals(keys(machine).length, 100);
    run(machine, put("!", "x".repeat(MAX_VALUE_BYTES - 1)));
    assertEquals(keys(machine), ["!"]);
  });
});

function byBytes(left: string, right: string): number {
  const [a, b] = [Array.from(left), Array.from(right)];
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const order = (a[at]?.codePointAt(0) ?? 0) - (b[at]?.codePointAt(0) ?? 0);
    if (order !== 0) {
      return order;
    }
  }
  return a.length - b.length;
}

describe("KvMachine schemas", () => {
  it("refuse every malformed command before it is logged", () => {
    const { command } = new KvMachine();
    const value = new Uint8Array(1);
    const wrong: unknown[] = [
      null,
      "put",
      {},
      { type: "get", key: "a" },
      { type: "put", key: "a" },
      { type: "put", key: "a", value: "text" },
      { type: "put", key: "a", value: [1] },
      { type: "put", key: 1, value },
      { type: "put", key: "", value },
      { type: "put", key: "x".repeat(1025), value },
      { type: "put", key: "\ud800", value },
      { type: "put", key: "a", value: new Uint8Array(MAX_VALUE_BYTES + 1) },
      { type: "put", key: "a", value, extra: 1 },
      { type: "put", key: "a", value, expect: "any" },
      { type: "put", key: "a", value, expect: { type: "revision" } },
      {
        type: "put",
        key: "a",
        value,
        expect: { type: "revision", revision: 0 },
      },
      {
        type: "put",
        key: "a",
        value,
        expect: { type: "revision", revision: 1.5 },
      },
      { type: "put", key: "a", value, expect: { type: "absent", revision: 1 } },
      { type: "delete", key: "a", value },
      { type: "delete" },
    ];
    for (const input of wrong) {
      assertThrows(() => command.parse(input), Error);
    }
    const largest = new Uint8Array(MAX_VALUE_BYTES);
    command.parse({ type: "put", key: "a", value: largest, expect: at(1) });
  });

  it("refuse every malformed query", () => {
    const machine = new KvMachine();
    const wrong: unknown[] = [
      null,
      { type: "get" },
      { type: "get", key: "" },
      { type: "get", key: "\udfff" },
      { type: "put", key: "a" },
      { type: "list", limit: 0 },
      { type: "list", limit: 1_001 },
      { type: "list", limit: 1.5 },
      { type: "list", prefix: "\ud800" },
      { type: "list", prefix: "x".repeat(1025) },
      { type: "list", after: 7 },
      { type: "list", maxBytes: 0 },
      { type: "list", maxBytes: 16 * 1024 * 1024 + 1 },
      { type: "list", more: true },
    ];
    for (const input of wrong) {
      const query = input as { type: "get"; key: string };
      const error = assertThrows(() => machine.query(query), RaftError);
      assertEquals(error.code, "invalidCommand");
    }
  });
});

describe("KvMachine under a MachineRunner", () => {
  it("stops at a command of a later release instead of guessing", () => {
    for (
      const command of [
        { type: "increment", key: "a" },
        { type: "delete", key: "a", expect: { type: "newerThan" } },
      ]
    ) {
      const machine = new KvMachine();
      const late = new MachineRunner({
        command: { parse: (input: unknown) => input },
        apply: () => [],
        query: () => null,
        snapshot: () => machine.snapshot(),
        restore: () => Promise.resolve(),
      });
      const runner = new MachineRunner(machine);
      const entry = commandEntry(1, late.encode(command));
      const error = assertThrows(() => runner.apply([entry]), RaftError);
      assertEquals(error.code, "machineFailed");
      assert(error.cause instanceof RaftError);
      assertEquals(error.cause.code, "unsupportedFormat");
    }
  });

  it("gives equal states by replay, by snapshot and by both (H127)", async () => {
    const random = seededRandom(21);
    const replayed = new MachineRunner(new KvMachine());
    const log = Array.from({ length: 3_000 }, (_, index) => {
      const key = `${below(random, 500)}`;
      const command = below(random, 4) === 0
        ? remove(key)
        : put(key, `${index}`);
      const session = below(random, 2) === 0
        ? { client: `c${below(random, 40)}`, sequence: below(random, 50) }
        : undefined;
      return commandEntry(index + 1, replayed.encode(command, session));
    });
    await replayed.apply(log);
    const wanted = await readAll(replayed.snapshot());
    for (const at of [1, 1_500, 2_999]) {
      const first = new MachineRunner(new KvMachine());
      await first.apply(log.slice(0, at));
      const second = new MachineRunner(new KvMachine());
      await second.restore(
        metaAt(at),
        inPieces(await readAll(first.snapshot()), 1_000),
      );
      await second.apply(log.slice(at));
      assertEquals(await readAll(second.snapshot()), wanted);
      assertEquals(second.sessionChecksum(), replayed.sessionChecksum());
    }
  });
});
