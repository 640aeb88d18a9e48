import { describe, it } from "node:test";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { hashBytes } from "../../src/checksum.ts";
import { copyBytes, encodeCbor } from "../../src/codec.ts";
import { parseLimits } from "../../src/rsm/limits.ts";
import { readSessions } from "../../src/rsm/session_snapshot.ts";
import { FrameReader, FrameWriter } from "../../src/snapshot_frames.ts";
import { Journal } from "./journal.ts";
import {
  applyNow,
  assertCode,
  brief,
  entriesFor,
  snapshotOf,
  type Spec,
  start,
} from "./runner_support.ts";
import { hex, inPieces, join, metaAt } from "./support.ts";

describe("MachineRunner snapshots", () => {
  it("carry machine, sessions and index, cut anywhere (H70)", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"], ["b"], ["d", "e/7"]);
    const bytes = await snapshotOf(original);
    for (const size of [1, 3, 64, bytes.length]) {
      const copy = start();
      await copy.restore(metaAt(3), inPieces(bytes, size));
      assertEquals(copy.appliedIndex, 3);
      assertEquals(copy.sessionChecksum(), original.sessionChecksum());
      assertEquals(brief(applyNow(copy, ["a", "c/1"], ["z"], ["d", "e/7"])), [
        { line: "1:a", count: 1 },
        { line: "5:z", count: 4 },
        { line: "3:d", count: 3 },
      ]);
    }
  });

  it("are restored at once where all bytes are at hand", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"], ["b"], ["d", "e/7"]);
    const bytes = await snapshotOf(original);
    const journal = new Journal();
    const lines = ["1:a", "2:b", "3:d"];
    const own = journal.sizeOf(lines);
    const frames = original.sessionFrames();
    assertEquals(join([...frames]), bytes.subarray(0, bytes.length - own));
    assertEquals([...frames].length, 3); // as often as it is read
    const copy = start(journal);
    copy.restoreNow(metaAt(3), bytes, (rest) => {
      assertEquals(rest.length, own);
      journal.lines = lines;
    });
    assertEquals(copy.appliedIndex, 3);
    assertEquals(copy.sessionChecksum(), original.sessionChecksum());
    assertEquals(brief(applyNow(copy, ["d", "e/7"])), [
      { line: "3:d", count: 3 },
    ]);
  });

  it("restored at once are refused like all others, changing nothing", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"], ["b"]);
    const bytes = await snapshotOf(original);
    const never = () => assert(false, "the machine must not be asked");
    const refusal = (index: number, from: Uint8Array, code: string) =>
      assertCode(
        assertThrows(
          () => original.restoreNow(metaAt(index), from, never),
          RaftError,
        ),
        code,
      );
    refusal(1, bytes, "invariantBroken");
    refusal(3, bytes, "corrupt");
    refusal(2, bytes.subarray(0, 40), "corrupt");
    assertEquals(await snapshotOf(original), bytes);
    const broken = start();
    const fail = () =>
      broken.restoreNow(metaAt(2), bytes, () => {
        throw new Error("it is full");
      });
    assertCode(assertThrows(fail, RaftError), "machineFailed");
    assertCode(
      assertThrows(() => broken.snapshot(), RaftError),
      "machineFailed",
    );
  });

  it("restored at once leave alone a machine that holds more (H57)", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"]);
    const bytes = await snapshotOf(original);
    const journal = new Journal({ durable: true });
    applyNow(start(journal), ["a", "c/1"], ["b"]);
    const runner = start(journal);
    runner.restoreNow(metaAt(1), bytes, () => assert(false, "it holds more"));
    assertEquals(runner.appliedIndex, 1);
    assertEquals(runner.sessionChecksum(), original.sessionChecksum());
    assertEquals(journal.lines, ["1:a", "2:b"]);
  });

  it("replace what was there, sessions too (H67)", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"]);
    applyNow(original, ["b"], ["b"]);
    const bytes = await snapshotOf(original);
    const other = start();
    applyNow(other, ["x", "c/2"], ["y", "old/1"]);
    await other.restore(metaAt(3), inPieces(bytes));
    assertEquals(await snapshotOf(other), bytes);
    assertEquals(brief(applyNow(other, ["x", "c/2"], ["y", "old/1"])), [
      { line: "4:x", count: 4 },
      { line: "5:y", count: 5 },
    ]);
  });

  it("are as of the last apply, though applies go on (H68)", async () => {
    const runner = start();
    applyNow(runner, ["a", "c/1"], ["b", "d/1"]);
    const wanted = await snapshotOf(runner);
    const captured = runner.snapshot();
    const chunks = captured.chunks()[Symbol.asyncIterator]();
    const parts: number[] = [];
    for (let step = 0;; step++) {
      applyNow(runner, ["more", `c/${step + 2}`], ["else", `new${step}/1`]);
      const { done, value } = await chunks.next();
      if (done === true) {
        break;
      }
      parts.push(...value);
    }
    assertEquals(new Uint8Array(parts), wanted);
  });

  it("evict after a restore like the members that never stopped", async () => {
    const options = { maxClients: 2, maxRetiredClients: 1 };
    const original = start(new Journal(), options);
    applyNow(original, ["a", "a/1"], ["b", "b/1"], ["c", "c/1"], ["b", "b/1"]);
    const copy = start(new Journal(), options);
    await copy.restore(metaAt(4), inPieces(await snapshotOf(original)));
    for (const runner of [original, copy]) {
      assertEquals(
        brief(applyNow(runner, ["d", "d/1"], ["c", "c/1"], ["b", "b/1"])),
        [{ line: "5:d", count: 4 }, "sessionExpired", {
          line: "2:b",
          count: 2,
        }],
      );
    }
    assertEquals(copy.sessionChecksum(), original.sessionChecksum());
  });

  it("hold large tables in many frames", async () => {
    const options = { maxClients: 15_000, maxRetiredClients: 3_000 };
    const original = start(new Journal(), options);
    const specs = Array.from({ length: 20_000 }, (_, at): Spec => {
      const client = at < 1_500 ? "busy" : `${at}`.padStart(128, "x");
      return [at % 1_000 === 0 ? "!repeat 50000" : `${at}`, `${client}/${at}`];
    });
    applyNow(original, ...specs);
    const bytes = await snapshotOf(original);
    const copy = start(new Journal(), options);
    await copy.restore(metaAt(20_000), inPieces(bytes, 100_000));
    assertEquals(copy.sessionChecksum(), original.sessionChecksum());
    assertEquals(hashBytes(await snapshotOf(copy)), hashBytes(bytes));
  });

  it("keep no frame alive for a result once restored", async () => {
    const runner = start();
    for (let at = 0; at < 500; at++) {
      applyNow(runner, [
        `a line that is too long for a small array ${at}`,
        `c/${at}`,
      ]);
    }
    const reader = new FrameReader(runner.snapshot().chunks());
    const { sessions } = await readSessions(reader, parseLimits({}));
    const [client] = sessions.capture().clients;
    assertEquals(client?.slots.length, 500);
    for (const { bytes } of client?.slots ?? []) {
      assertEquals(bytes?.buffer.byteLength, bytes?.length);
    }
  });

  it("are refused with nothing changed if the sessions are damaged", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"], ["b"]);
    const bytes = await snapshotOf(original);
    const section = bytes.length - new Journal().sizeOf(["1:a", "2:b"]);
    assert(section > 50);
    const target = start();
    applyNow(target, ["old", "o/1"]);
    const before = await snapshotOf(target);
    for (let at = 0; at < section; at++) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      for (const wrong of [damaged, bytes.subarray(0, at)]) {
        assertCode(
          await assertRejects(
            () => target.restore(metaAt(2), inPieces(wrong)),
            RaftError,
          ),
          "corrupt",
        );
      }
    }
    assertEquals(await snapshotOf(target), before);
    assertEquals(target.appliedIndex, 1);
  });

  it("are refused at another index than they were taken at (H68)", async () => {
    const original = start();
    applyNow(original, ["a"], ["b"]);
    const bytes = await snapshotOf(original);
    const error = assertCode(
      await assertRejects(
        () => start().restore(metaAt(3), inPieces(bytes)),
        RaftError,
      ),
      "corrupt",
    );
    assertStringIncludes(error.message, "its content is as of 2");
  });

  it("are refused if they are older than the state (H63)", async () => {
    const runner = start();
    applyNow(runner, ["a"]);
    const bytes = await snapshotOf(runner);
    applyNow(runner, ["b"]);
    assertCode(
      await assertRejects(
        () => runner.restore(metaAt(1), inPieces(bytes)),
        RaftError,
      ),
      "invariantBroken",
    );
    assertEquals(runner.query("lines"), ["1:a", "2:b"]);
  });

  it("are refused by a member with other limits, saying which", async () => {
    const bytes = await snapshotOf(start(new Journal(), { maxClients: 5 }));
    const error = assertCode(
      await assertRejects(
        () => start().restore(metaAt(0), inPieces(bytes)),
        RaftError,
      ),
      "unsupported",
    );
    assertStringIncludes(error.message, "5,50,1024,262144");
  });

  it("stop a member whose machine refused its part, until one is taken", async () => {
    const original = start();
    applyNow(original, ["a", "c/1"]);
    const bytes = await snapshotOf(original);
    const target = start();
    const error = assertCode(
      await assertRejects(
        () => target.restore(metaAt(1), inPieces(bytes.subarray(0, -1))),
        RaftError,
      ),
      "machineFailed",
    );
    assertEquals(assertThrows(() => target.query("lines")), error);
    assertEquals(target.appliedIndex, 0);
    await target.restore(metaAt(1), inPieces(bytes));
    assertEquals(target.query("lines"), ["1:a"]);
    assertEquals(brief(applyNow(target, ["a", "c/1"])), [
      { line: "1:a", count: 1 },
    ]);
  });

  it("have golden bytes", async () => {
    const runner = start(new Journal(), { maxClients: 1 });
    applyNow(runner, ["a", "c/1"], ["b", "d/2"], ["b", "d/3"]);
    const bytes = await snapshotOf(runner);
    const writer = new FrameWriter();
    const result = (line: string, count: number) =>
      copyBytes(encodeCbor({ line, count }));
    const frames = [
      ["balsa.sessions", 1, 3, [1, 10, 1024, 262144]],
      [1, [["d", -1, [2, 3], [result("2:b", 2), result("3:b", 3)]]]],
      [2, [["c", 1]]],
      [3, 1, 1, 2, runner.sessionChecksum()],
    ].map((content) => writer.frame(content));
    assertEquals(
      hex(bytes),
      hex(join([...frames, encodeCbor([3, ["1:a", "2:b", "3:b"]])])),
    );
    assertEquals(runner.sessionChecksum(), 1_044_851_776);
  });

  it("are refused if their format is of a later version", async () => {
    const frame = new FrameWriter().frame(["balsa.sessions", 2, "whatever"]);
    assertCode(
      await assertRejects(
        () => start().restore(metaAt(0), inPieces(frame)),
        RaftError,
      ),
      "unsupportedFormat",
    );
  });

  it("let go of the machine's capture, and of the source", async () => {
    const journal = new Journal();
    const runner = start(journal);
    const source = runner.snapshot();
    assertEquals(journal.captures, 1);
    source.release?.();
    assertEquals(journal.captures, 0);
    const bytes = await snapshotOf(runner);
    let closed = false;
    async function* watched() {
      try {
        yield* inPieces(bytes);
        yield new Uint8Array([1]);
      } finally {
        closed = true;
      }
    }
    await assertRejects(() => start().restore(metaAt(0), watched()));
    assert(closed);
  });
});

describe("MachineRunner with a machine that has a disk of its own (H57)", () => {
  it("replays the log for the sessions, not to the machine", async () => {
    const disk = new Journal({ durable: true });
    const first = start(disk);
    const log = entriesFor(first, [["a", "c/1"], ["b"], ["d", "c/2"], ["e"]]);
    await first.apply(log.slice(0, 3));
    const restarted = start(disk);
    assertEquals(restarted.appliedIndex, 0);
    const outcomes = await restarted.apply(log);
    assertEquals(brief(outcomes), [null, null, null, {
      line: "4:e",
      count: 4,
    }]);
    assertEquals(disk.lines, ["1:a", "2:b", "3:d", "4:e"]);
    assertEquals(
      brief(await restarted.apply(entriesFor(restarted, [["d", "c/2"]]))),
      ["sessionExpired"],
    );
    assertEquals(
      brief(await restarted.apply(entriesFor(restarted, [["x", "c/3"]]))),
      [{ line: "6:x", count: 5 }],
    );
  });

  it("takes no snapshot while the machine is ahead of the log (H68)", async () => {
    const disk = new Journal({ durable: true });
    const first = start(disk);
    const log = entriesFor(first, [["a"], ["b"]]);
    await first.apply(log);
    const restarted = start(disk);
    await restarted.apply(log.slice(0, 1));
    assertCode(
      assertThrows(() => restarted.snapshot(), RaftError),
      "invariantBroken",
    );
    await restarted.apply(log.slice(1));
    assertEquals(await snapshotOf(restarted), await snapshotOf(first));
  });

  it("is restored after it failed, whatever it says it holds", async () => {
    const disk = new Journal({ durable: true });
    const runner = start(disk);
    applyNow(runner, ["a"]);
    const bytes = await snapshotOf(runner);
    assertThrows(() => applyNow(runner, ["b"], ["!throw"]), RaftError);
    assertEquals(disk.lines, ["1:a", "2:b"]);
    await runner.restore(metaAt(1), inPieces(bytes));
    assertEquals(disk.lines, ["1:a"]);
    assertEquals(brief(applyNow(runner, ["b"])), [{ line: "2:b", count: 2 }]);
  });

  it("does not wind it back to an older snapshot", async () => {
    const disk = new Journal({ durable: true });
    const first = start(disk);
    const log = entriesFor(first, [["a", "c/1"], ["b"]]);
    await first.apply(log.slice(0, 1));
    const bytes = await snapshotOf(first);
    await first.apply(log.slice(1));
    const restarted = start(disk);
    await restarted.restore(metaAt(1), inPieces(bytes));
    assertEquals(restarted.appliedIndex, 1);
    assertEquals(disk.lines, ["1:a", "2:b"]);
    assertEquals(brief(await restarted.apply(log.slice(1))), [null]);
    assertEquals(disk.lines, ["1:a", "2:b"]);
    assertEquals(
      brief(await restarted.apply(entriesFor(restarted, [["a", "c/1"]]))),
      [{ line: "1:a", count: 1 }],
    );
  });
});
