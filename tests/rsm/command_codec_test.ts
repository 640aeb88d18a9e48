import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import * as z from "zod";
import { encodeCbor } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import { CommandCodec } from "../../src/rsm/command_codec.ts";
import { hex } from "./support.ts";

interface Append {
  readonly text: string;
  readonly bytes: Uint8Array;
}

const codec = new CommandCodec<Append>(
  z.strictObject({ text: z.string().min(1), bytes: z.instanceof(Uint8Array) }),
);

const command: Append = { text: "a", bytes: new Uint8Array([1, 2]) };

function assertRefused(run: () => unknown): RaftError {
  const error = assertThrows(run, RaftError);
  assertEquals(error.code, "invalidCommand");
  assertEquals(error.outcome, "notAppended");
  return error;
}

describe("CommandCodec.encode()", () => {
  it("writes golden bytes: [command]", () => {
    assertEquals(
      hex(codec.encode(command)),
      "81" + "a2" + "6474657874" + "6161" + "656279746573" + "420102",
    );
  });

  it("writes golden bytes: [client, sequence, command]", () => {
    assertEquals(
      hex(codec.encode(command, { client: "c", sequence: 258 })),
      "83" + "6163" + "190102" +
        "a2" + "6474657874" + "6161" + "656279746573" + "420102",
    );
  });

  it("never writes again to what it returned", () => {
    const encoded: Uint8Array[] = [];
    const wanted: string[] = [];
    for (let count = 0; count < 2_000; count++) {
      // Short ones share a slab, the longest have a buffer of their own.
      const bytes = new Uint8Array(count % 100 === 0 ? 10_000 : count % 90);
      const data = codec.encode({ text: `${count}`, bytes });
      encoded.push(data);
      wanted.push(hex(data));
    }
    assertEquals(encoded.map(hex), wanted);
  });

  it("keeps memory in proportion: a short entry pins 64 KiB at most", () => {
    codec.encode({ text: "large", bytes: new Uint8Array(4_000_000) });
    for (let count = 0; count < 500; count++) {
      const { buffer, length } = codec.encode(command);
      assert(length < 100 && buffer.byteLength <= 64 * 1024);
    }
  });

  it("says what the schema says, and that nothing was appended", () => {
    const error = assertRefused(() => codec.encode({ ...command, text: "" }));
    assertStringIncludes(error.message, "Cannot propose a command: text: ");
    assert(error.cause instanceof z.ZodError);
  });

  it("passes on what a schema of any make throws", () => {
    const picky = new CommandCodec<string>({
      parse(): string {
        throw new Error("not on Sundays");
      },
    });
    const error = assertRefused(() => picky.encode("x"));
    assertEquals(error.message, "Cannot propose a command: not on Sundays");
  });

  it("refuses what CBOR cannot hold", () => {
    const loose = new CommandCodec<unknown>({ parse: (input) => input });
    assertRefused(() => loose.encode(() => 1));
    assertRefused(() => loose.encode({ nested: [Symbol("s")] }));
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    assertRefused(() => loose.encode(cyclic));
    assertEquals(hex(loose.encode(1)), "8101");
  });

  it("takes client ids of 1 to 128 printable characters only", () => {
    for (const client of ["a", "~ !", "x".repeat(128)]) {
      codec.encode(command, { client, sequence: 0 });
    }
    for (
      const client of ["", "x".repeat(129), "a\n", "\u0000", "é", "\u007f"]
    ) {
      assertRefused(() => codec.encode(command, { client, sequence: 0 }));
    }
  });

  it("takes sequences that are safe integers from 0 on only", () => {
    for (const sequence of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      const data = codec.encode(command, { client: "c", sequence });
      assertEquals(codec.decode(data).session, { client: "c", sequence });
    }
    for (const sequence of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      assertRefused(() => codec.encode(command, { client: "c", sequence }));
    }
  });
});

describe("CommandCodec.decode()", () => {
  it("is the inverse of encode()", () => {
    assertEquals(codec.decode(codec.encode(command)), {
      session: undefined,
      command,
    });
    const session = { client: "client-7", sequence: 12 };
    assertEquals(codec.decode(codec.encode(command, session)), {
      session,
      command,
    });
  });

  it("gives bytes that share no memory with the entry (H121)", () => {
    const data = codec.encode(command);
    const before = hex(data);
    const decoded = codec.decode(data).command as Append;
    data.fill(0xaa);
    assertEquals(decoded, command);
    codec.encode(command).fill(0); // Neighbours in the slab.
    assertEquals(decoded, command);
    const again = codec.encode(command);
    (codec.decode(again).command as Append).bytes.fill(9);
    assertEquals(hex(again), before);
  });

  it("gives plain byte arrays, whatever the log holds (H127)", () => {
    const { buffer } = codec.encode(command).slice();
    const held = [new Uint8Array(buffer), encodeCbor([command])];
    for (const data of held) {
      const { bytes } = codec.decode(data).command as Append;
      assertEquals(Object.getPrototypeOf(bytes), Uint8Array.prototype);
    }
  });

  it("refuses every other form", () => {
    const forms: unknown[] = [
      command,
      7,
      null,
      [],
      [1, 2],
      [1, 2, 3, 4],
      ["", 0, command],
      ["c", -1, command],
      ["c", 0.5, command],
      ["c", "0", command],
      [7, 0, command],
    ];
    for (const form of forms) {
      assertThrows(() => codec.decode(encodeCbor(form)), Error);
    }
    const data = codec.encode(command);
    for (let length = 0; length < data.length; length++) {
      assertThrows(() => codec.decode(data.subarray(0, length)), Error);
    }
    assertThrows(() => codec.decode(new Uint8Array([...data, 0])), Error);
  });
});
