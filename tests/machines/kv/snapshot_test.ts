import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { RaftError } from "../../../src/errors.ts";
import {
  type KvCommand,
  KvMachine,
  MAX_VALUE_BYTES,
} from "../../../src/machines/kv/mod.ts";
import { readStore } from "../../../src/machines/kv/snapshot.ts";
import { Store } from "../../../src/machines/kv/store.ts";
import { FrameWriter } from "../../../src/snapshot_frames.ts";
import { hex, inPieces, join, readAll, utf8 } from "../../rsm/support.ts";

function put(key: string, value: Uint8Array): KvCommand {
  return { type: "put", key, value };
}

function run(machine: KvMachine, ...commands: KvCommand[]): void {
  machine.apply(
    commands.map((command, index) => ({ index: index + 1, term: 1, command })),
  );
}

function filled(): KvMachine {
  const machine = new KvMachine();
  run(
    machine,
    put("b", utf8("two")),
    put("a", utf8("one")),
    { type: "delete", key: "c" },
  );
  return machine;
}

async function restored(bytes: Uint8Array, size?: number): Promise<KvMachine> {
  const machine = new KvMachine();
  await machine.restore(inPieces(bytes, size));
  return machine;
}

function framed(contents: readonly (readonly unknown[])[]): Uint8Array {
  const writer = new FrameWriter();
  return join(contents.map((content) => writer.frame(content)));
}

async function assertRefused(
  bytes: Uint8Array,
  code: string = "corrupt",
): Promise<RaftError> {
  const machine = filled();
  const before = await readAll(machine.snapshot());
  const error = await assertRejects(
    () => machine.restore(inPieces(bytes)),
    RaftError,
  );
  assertEquals(error.code, code);
  assertEquals(await readAll(machine.snapshot()), before);
  return error;
}

describe("KvMachine.snapshot()", () => {
  it("writes golden bytes", async () => {
    const machine = filled();
    assertEquals(
      hex(await readAll(machine.snapshot())),
      hex(framed([
        ["balsa.kv", 1, 3],
        [1, ["a", utf8("one"), 2, "b", utf8("two"), 1]],
        [2, 2, machine.checksum()],
      ])),
    );
    assertEquals(machine.checksum(), 533_361_061);
  });

  it("has chunks of at most 256 KiB, however long the values", async () => {
    const machine = new KvMachine();
    for (const [at, bytes] of [1 << 20, 1 << 20, 300_000, 0, 50].entries()) {
      run(machine, put(`${at}`, new Uint8Array(bytes).fill(at)));
    }
    for (let at = 0; at < 3_000; at++) {
      run(machine, put(`small ${at}`, new Uint8Array(200).fill(at)));
    }
    let chunks = 0;
    for await (const { length } of machine.snapshot().chunks()) {
      assert(length > 0 && length <= 256 * 1024);
      chunks += 1;
    }
    assert(chunks > 10);
    const copy = await restored(await readAll(machine.snapshot()), 99_991);
    assertEquals(copy.checksum(), machine.checksum());
    assertEquals(copy.size, machine.size);
  });

  it("can be read twice, and later than the next one", async () => {
    const machine = filled();
    const first = machine.snapshot();
    const wanted = await readAll(filled().snapshot());
    run(machine, put("z", utf8("last")));
    const second = await readAll(machine.snapshot());
    assertEquals(await readAll(first), wanted);
    assertEquals(await readAll(first), wanted);
    assert(hex(second) !== hex(wanted));
  });
});

describe("KvMachine.restore()", () => {
  it("keeps nothing of the chunks it was given (H121)", async () => {
    const bytes = await readAll(filled().snapshot());
    for (const size of [1, 10, bytes.length]) {
      const copy = await restored(bytes, size);
      assertEquals(await readAll(copy.snapshot()), bytes);
    }
  });

  it("keeps no frame alive for a value", async () => {
    const machine = new KvMachine();
    for (let at = 0; at < 500; at++) {
      run(machine, put(`${at}`, new Uint8Array(300).fill(at)));
    }
    const store = await readStore(machine.snapshot().chunks());
    for (const [, { value }] of store.from("")) {
      assertEquals(value.buffer.byteLength, 300);
    }
    assertEquals(store.size, 500);
  });

  it("refuses every flipped bit and every cut, and stays as it was", async () => {
    const machine = new KvMachine();
    run(machine, put("k", utf8("v")), put("\u{1f600}", utf8("w")));
    const bytes = await readAll(machine.snapshot());
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await assertRefused(flipped);
    }
    for (let length = 0; length < bytes.length; length++) {
      await assertRefused(bytes.subarray(0, length));
    }
    await assertRefused(join([bytes, new Uint8Array(1)]));
    await assertRefused(join([bytes, bytes]));
  });

  it("refuses whole frames with wrong content", async () => {
    const header = ["balsa.kv", 1, 5];
    const value = utf8("v");
    const shape = "a frame has a wrong shape";
    const end = (...items: readonly [string, Uint8Array, number][]) => {
      const store = new Store(5);
      for (const [key, value, revision] of items) {
        store.put(key, value, revision);
      }
      return [2, store.size, store.digest];
    };
    const long = new Uint8Array(MAX_VALUE_BYTES + 1);
    const { digest } = new Store(5);
    const wrong: [contents: (readonly unknown[])[], message: string][] = [
      [[["balsa.sessions", 1, 5], end()], "it does not begin like"],
      [[["balsa.kv", 1, -1], end()], shape],
      [[["balsa.kv", 1], end()], shape],
      [[header, [3, []], end()], shape],
      [[header, [1, ["a", value]], end(["a", value, 0])], shape],
      [[header, [1, ["a", value, 0]], end(["a", value, 0])], shape],
      [[header, [1, ["", value, 1]], end(["", value, 1])], shape],
      [[header, [1, ["a", "v", 1]], end(["a", value, 1])], shape],
      [[header, [1, ["a", long, 1]], end(["a", long, 1])], shape],
      [
        [header, [1, ["a", value, 6]], end(["a", value, 6])],
        'key "a" is at revision 6, the store at 5',
      ],
      [
        [
          header,
          [1, ["b", value, 1, "a", value, 2]],
          end(["a", value, 2], ["b", value, 1]),
        ],
        'key "a" is not in order',
      ],
      [
        [
          header,
          [1, ["a", value, 1]],
          [1, ["a", value, 2]],
          end([
            "a",
            value,
            2,
          ]),
        ],
        'key "a" is not in order',
      ],
      [[header, end(["a", value, 1])], "its end says 1 keys"],
      [[header, [1, ["a", value, 1]], [2, 1, digest]], "its end says 1 keys"],
      [[header, [2, 1, digest]], "its end says 1 keys"],
    ];
    for (const [contents, message] of wrong) {
      const error = await assertRefused(framed(contents));
      assertStringIncludes(error.message, message);
    }
    const right = [header, [1, ["a", value, 1]], end(["a", value, 1])];
    assertEquals((await restored(framed(right))).size, 1);
  });

  it("refuses a later format by name", async () => {
    await assertRefused(
      framed([["balsa.kv", 2, "and more"]]),
      "unsupportedFormat",
    );
  });
});

describe("KvMachine.checksum()", () => {
  it("depends on the content alone, not on how it came about", () => {
    const value = utf8("v");
    const straight = new KvMachine();
    const crooked = new KvMachine();
    run(straight, put("x", value), put("x", value), put("b", value));
    run(straight, { type: "delete", key: "x" }, put("a", value));
    run(crooked, put("c", value), put("d", value), put("b", value));
    run(crooked, { type: "delete", key: "c" });
    assert(straight.checksum() !== crooked.checksum());
    run(crooked, put("a", value));
    assert(straight.checksum() !== crooked.checksum(), "d is still there");
    const same = new KvMachine();
    run(same, put("y", utf8("w")), put("y", utf8("u")), put("b", value));
    run(same, { type: "delete", key: "y" }, put("a", value));
    assertEquals(same.checksum(), straight.checksum());
  });

  it("tells apart keys, values, revisions and the store's counter", () => {
    const histories: KvCommand[][] = [
      [],
      [{ type: "delete", key: "a" }],
      [put("a", utf8("v"))],
      [put("a", utf8("w"))],
      [put("b", utf8("v"))],
      [put("a", utf8("v")), put("a", utf8("v"))],
      [put("a", utf8("v")), { type: "delete", key: "b" }],
      [put("a", utf8("")), put("b", utf8("v"))],
      [put("b", utf8("v")), put("a", utf8(""))],
    ];
    const checksums = histories.map((history) => {
      const machine = new KvMachine();
      run(machine, ...history);
      return machine.checksum();
    });
    assertEquals(new Set(checksums).size, histories.length);
  });
});
