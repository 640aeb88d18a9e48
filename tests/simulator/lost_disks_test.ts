import { describe, it } from "node:test";
import { assertEquals, assertGreater, assertThrows } from "@std/assert";
import { EMPTY_CONF, type Message } from "../../src/core/mod.ts";
import type { ProgressStatus, RawNode } from "../../src/core/mod.ts";
import { CommittedLog } from "../../src/sim/committed_log.ts";
import { SimDisk } from "../../src/sim/disk.ts";
import { DiskLoss, type LossKind, LostDisks } from "../../src/sim/disk_loss.ts";
import { LogMirror } from "../../src/sim/log_mirror.ts";
import { addMarks, MarkCounter, noMarks } from "../../src/sim/marks.ts";
import { simulate, Violation } from "../../src/sim/mod.ts";
import { log } from "../core/cluster.ts";

const CONF = { ...EMPTY_CONF, voters: [1, 2, 3] };

/** Three members: 1 has all five entries, 2 has three, 3 had `held`. */
function group(
  kind: LossKind = "emptied",
  held = 5,
): { lost: LostDisks; retired: number[]; loss: DiskLoss } {
  const marks = new MarkCounter();
  const committed = new CommittedLog(CONF);
  const whole = new LogMirror();
  whole.append(log(1, 1, 1, 1, 1));
  committed.extend(whole, 5, 1);
  const retired: number[] = [];
  const members = [5, 3, held].map((length, i) => {
    const disk = new SimDisk({ committed, omittedDigest: () => 0 });
    disk.durable.append(log(1, 1, 1, 1, 1).slice(0, length));
    const owner = { id: i + 1, core: undefined, disk };
    return { ...owner, loss: new DiskLoss(owner, marks) };
  });
  const [, , third] = members;
  if (third === undefined) throw new Error("Cannot find member 3");
  third.loss.happen(kind, 10, 5);
  const retire = (id: number) => retired.push(id);
  const lost = new LostDisks({ members, committed, marks, retire });
  return { lost, retired, loss: third.loss };
}

function vote(from: number, to: number): Message {
  return { type: "requestVoteResponse", from, to, term: 2, reject: false };
}

describe("members whose disk was lost (H80)", () => {
  it("help nobody who lacks what they held", () => {
    const { lost } = group();
    lost.sees(vote(3, 1));
    lost.sees(vote(1, 2));
    assertThrows(
      () => lost.sees(vote(3, 2)),
      Violation,
      "lacks the 5 committed",
    );
  });

  it("that go back may help who has what they held, empty ones not yet", () => {
    group("older", 3).lost.sees(vote(3, 2));
    for (const { lost } of [group("older", 4), group("emptied", 3)]) {
      assertThrows(() => lost.sees(vote(3, 2)), Violation, "lacks the");
    }
  });

  it("are told by the leader that misses it, and only they are", () => {
    const { lost } = group();
    const core = { id: 1, term: 1, conf: CONF } as unknown as RawNode;
    const progress = (id: number) =>
      [{ id, lostLog: true }] as unknown as ProgressStatus[];
    const [notice] = lost.notices(core, progress(3));
    assertEquals([notice?.to, notice?.reason], [3, "replacedDisk"]);
    assertThrows(() => lost.notices(core, progress(2)), Violation, "of 2 for");
  });

  it("stop once they are told, and count for nobody", () => {
    const { lost, retired, loss } = group();
    const removal = { reason: "replacedDisk", version: 1 };
    const core = { removal } as unknown as RawNode;
    lost.stepped({
      id: 3,
      core,
      disk: new SimDisk({
        committed: new CommittedLog(CONF),
        omittedDigest: () => 0,
      }),
      loss,
    }, core);
    assertEquals([retired, loss.isOpen, loss.isHalfFilled], [[3], true, false]);
  });

  it("are turned away, filled again, or left behind", () => {
    let marks = noMarks();
    for (let seed = 1; seed <= 12; seed++) {
      const result = simulate({
        seed,
        overrides: {
          members: 3 + seed % 3,
          groups: 1,
          ticks: 1_500,
          faults: {
            kinds: ["emptyDisk", "olderDisk", "pauseLeader"],
            gapMs: 2_000,
            lastMs: 2_000,
          },
          protocol: { kinds: [] },
        },
      });
      assertEquals(result.failure, undefined);
      marks = addMarks(marks, result.marks);
    }
    assertGreater(marks.diskEmptied, 0);
    assertGreater(marks.diskTakenBack, 0);
    assertGreater(marks.replacedDiskRefused, 0);
    assertGreater(marks.replacedDiskRefilled, 0);
  });
});
