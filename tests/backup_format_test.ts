import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  backupChunks,
  type BackupManifest,
  BackupReader,
} from "../src/backup_format.ts";
import { EMPTY_CONF } from "../src/core/types.ts";
import { isRaftError } from "../src/errors.ts";

const manifest: BackupManifest = {
  deployment: "orders",
  group: 3,
  index: 41,
  term: 7,
  conf: { ...EMPTY_CONF, version: 2, voters: [1, 2], removed: [9] },
  takenAtMs: 1_700_000_000_000,
};

async function* cut(
  bytes: Uint8Array,
  step: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += step) {
    yield bytes.subarray(at, at + step);
  }
}

async function join(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: number[] = [];
  for await (const chunk of chunks) parts.push(...chunk);
  return Uint8Array.from(parts);
}

const state = Uint8Array.from({ length: 300 }, (_, i) => i & 0xff);

function sample(): Promise<Uint8Array> {
  return join(backupChunks(manifest, cut(state, 70)));
}

async function readAll(bytes: Uint8Array, step = 64): Promise<BackupReader> {
  const reader = await BackupReader.open(cut(bytes, step));
  assertEquals(await join(reader.chunks()), state);
  return reader;
}

describe("a backup", () => {
  it("gives back manifest and state, wherever its stream is cut", async () => {
    const bytes = await sample();
    for (const step of [1, 5, 31, 32, 33, 1_000]) {
      const reader = await readAll(bytes, step);
      assertEquals(reader.manifest, manifest);
      assertEquals(reader.bytes, state.length);
    }
  });

  it("ends with the SHA-256 of all before, and is named by it", async () => {
    const bytes = await sample();
    const wanted = createHash("sha256").update(bytes.subarray(0, -32));
    const reader = await readAll(bytes);
    assertEquals(reader.digest, wanted.digest("hex"));
  });

  it("with a flipped bit anywhere is refused, never read wrong", async () => {
    const bytes = await sample();
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      const error = await assertRejects(() => readAll(damaged));
      assert(
        isRaftError(error, "corrupt") ||
          isRaftError(error, "unsupportedFormat"),
        `byte ${at}: ${error}`,
      );
    }
  });

  it("with a manifest that cannot be is refused, though its digest is right", async () => {
    const manifests = [
      { takenAtMs: 8_640_000_000_000_001 },
      { takenAtMs: -1 },
      { deployment: "" },
      { deployment: "x".repeat(2_000) },
      { group: 0 },
      { index: 1.5 },
    ];
    for (const wrong of manifests) {
      const chunks = backupChunks({ ...manifest, ...wrong }, cut(state, 70));
      const bytes = await join(chunks);
      const error = await assertRejects(() => readAll(bytes));
      assert(isRaftError(error, "corrupt"), JSON.stringify(wrong));
    }
  });

  it("that is cut anywhere, or goes on, is refused", async () => {
    const bytes = await sample();
    for (let length = 0; length < bytes.length; length++) {
      const error = await assertRejects(() =>
        readAll(bytes.subarray(0, length))
      );
      assert(isRaftError(error, "corrupt"), `length ${length}: ${error}`);
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    const error = await assertRejects(() => readAll(longer));
    assert(isRaftError(error, "corrupt"));
  });

  it("closes its source, whether it is read to the end or not", async () => {
    const bytes = await sample();
    let open = 0;
    async function* source() {
      open++;
      try {
        yield* cut(bytes, 50);
      } finally {
        open--;
      }
    }
    const whole = await BackupReader.open(source());
    await join(whole.chunks());
    assertEquals(open, 0);
    const left = await BackupReader.open(source());
    for await (const _ of left.chunks()) break;
    assertEquals(open, 0);
  });
});
