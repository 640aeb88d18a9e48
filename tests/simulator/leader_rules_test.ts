import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { AppendEntries } from "../../src/core/message.ts";
import type { RawNode } from "../../src/core/raw_node.ts";
import type { Ready } from "../../src/core/ready.ts";
import type { CoreStatus, ProgressStatus } from "../../src/core/status.ts";
import {
  type ConfState,
  EMPTY_CONF,
  type NodeId,
} from "../../src/core/types.ts";
import { BoundChecks } from "../../src/sim/bound_checks.ts";
import { isMajority, rolesAfter } from "../../src/sim/conf_model.ts";
import { MarkCounter } from "../../src/sim/marks.ts";
import { drawOptions, Violation } from "../../src/sim/mod.ts";
import type { MemberView } from "../../src/sim/oracle.ts";
import { PreferenceChecks } from "../../src/sim/preference_checks.ts";
import { SimRandom } from "../../src/sim/prng.ts";
import { drawJointPlan, tellsOfCommit } from "../../src/sim/strand.ts";
import { WitnessChecks } from "../../src/sim/witness_checks.ts";

/** Members 1 and 2 keep data, 3 is a witness. */
const CONF: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3], witnesses: [3] };

const ELECTION_TICKS = 4;

/** What a leader knows of a member that is in step. */
function inStep(id: NodeId, matchIndex: number): ProgressStatus {
  return {
    id,
    state: "replicate",
    matchIndex,
    nextIndex: matchIndex + 1,
    pendingSnapshotIndex: 0,
    inflightCount: 0,
    batchBytes: 0,
    recentActive: true,
    paused: false,
    learner: false,
    lostLog: false,
    priority: 0,
  };
}

/** As much of a leader, member 1, as checkers look at. */
class Leader {
  readonly id = 1;
  readonly role = "leader";
  readonly term = 5;
  conf = CONF;
  commitIndex = 0;
  lastIndex = 10;
  progress = [inStep(1, 10), inStep(2, 10), inStep(3, 0)];
  transferTarget: NodeId | null = null;
  stalled = false;

  status(): Partial<CoreStatus> {
    const { id, conf, progress, transferTarget, stalled } = this;
    return {
      id,
      conf,
      progress,
      transferTarget,
      stalled,
      uncommittedBytes: 0,
      pendingReads: 0,
    };
  }

  /** The same, as what it stands for. */
  get core(): RawNode {
    return this as unknown as RawNode;
  }
}

describe("WitnessChecks (thesis §11.7.2, H89)", () => {
  function watch(leader: Leader): WitnessChecks {
    const checks = new WitnessChecks(ELECTION_TICKS, new MarkCounter());
    checks.stepped(leader.core);
    checks.ticked(leader.core);
    return checks;
  }

  function sent(to: NodeId, last: number): Ready {
    const message: AppendEntries = {
      type: "appendEntries",
      from: 1,
      to,
      term: 5,
      prevLogIndex: last - 1,
      prevLogTerm: 5,
      commitIndex: 0,
      entries: [{ type: "omitted", term: 5, index: last }],
    };
    return {
      messages: [message],
      messagesAfterPersist: [],
    } as unknown as Ready;
  }

  it("a witness is sent nothing that a data voter in step lacks", () => {
    const leader = new Leader();
    const checks = watch(leader);
    leader.progress = [inStep(1, 11), inStep(2, 10), inStep(3, 0)];
    leader.lastIndex = 11;
    checks.readyTaken(leader.core, sent(3, 10));
    checks.readyTaken(leader.core, sent(2, 11));
    assertThrows(
      () => checks.readyTaken(leader.core, sent(3, 11)),
      Violation,
      "sends entry 11 to the witness 3",
    );
  });

  it("nor anything that no data voter holds", () => {
    const leader = new Leader();
    const checks = watch(leader);
    leader.progress = [inStep(1, 10), inStep(3, 0)];
    assertThrows(
      () => checks.readyTaken(leader.core, sent(3, 11)),
      Violation,
      "hold 10 at least",
    );
  });

  it("who lags for an election timeout is not waited for", () => {
    const leader = new Leader();
    const checks = watch(leader);
    leader.progress = [inStep(1, 11), inStep(2, 10), inStep(3, 0)];
    leader.lastIndex = 11;
    for (let i = 0; i < ELECTION_TICKS; i++) checks.ticked(leader.core);
    checks.stepped(leader.core);
    checks.readyTaken(leader.core, sent(3, 11));
  });

  it("nor is who has lagged since before a witness joined", () => {
    const leader = new Leader();
    const checks = watch(leader);
    const without = { ...CONF, voters: [1, 2, 4], witnesses: [] };
    leader.conf = without;
    leader.progress = [inStep(1, 12), inStep(2, 11), inStep(4, 12)];
    leader.lastIndex = 12;
    for (let i = 0; i <= ELECTION_TICKS; i++) checks.ticked(leader.core);
    leader.conf = { ...without, voters: [1, 2, 4, 5], witnesses: [5] };
    leader.progress = [...leader.progress, inStep(5, 0)];
    checks.ticked(leader.core);
    checks.stepped(leader.core);
    checks.readyTaken(leader.core, sent(5, 12));
  });

  it("who kept up when it joined is", () => {
    const leader = new Leader();
    leader.conf = { ...CONF, voters: [1, 2], witnesses: [] };
    leader.progress = [inStep(1, 10), inStep(2, 10)];
    const checks = watch(leader);
    leader.conf = CONF;
    leader.progress = [inStep(1, 11), inStep(2, 10), inStep(3, 0)];
    leader.lastIndex = 11;
    checks.stepped(leader.core);
    assertThrows(
      () => checks.readyTaken(leader.core, sent(3, 11)),
      Violation,
      "hold 10 at least",
    );
  });

  it("a witness counts for nothing that a data voter in step lacks", () => {
    const leader = new Leader();
    const checks = watch(leader);
    leader.progress = [inStep(1, 11), inStep(2, 10), inStep(3, 11)];
    leader.lastIndex = 11;
    leader.commitIndex = 10;
    checks.stepped(leader.core);
    leader.commitIndex = 11;
    assertThrows(
      () => checks.stepped(leader.core),
      Violation,
      "commits 11 by witnesses",
    );
  });
});

describe("PreferenceChecks (C24)", () => {
  const WAIT = 8;

  /** A leader of some ticks, to which member 2 has just answered. */
  function lead(ticks: number): { leader: Leader; checks: PreferenceChecks } {
    const leader = new Leader();
    leader.conf = { ...EMPTY_CONF, voters: [1, 2, 3] };
    leader.progress = [
      inStep(1, 10),
      { ...inStep(2, 10), priority: 2 },
      inStep(3, 10),
    ];
    const config = { electionTicks: ELECTION_TICKS, priorityTicks: WAIT };
    const checks = new PreferenceChecks(config, new MarkCounter());
    for (let i = 0; i < ticks; i++) {
      checks.ticked(leader.core, 1);
      checks.hears({
        type: "heartbeatResponse",
        from: 2,
        to: 1,
        term: 5,
        round: 0,
        sentAt: 0,
        leaseMs: 0,
        priority: 2,
      });
    }
    return { leader, checks };
  }

  it("lets a leader hand over to a preferred voter that is fit", () => {
    const { leader, checks } = lead(WAIT);
    leader.transferTarget = 2;
    checks.ticked(leader.core, 1);
  });

  it("to nobody else", () => {
    const { leader, checks } = lead(WAIT);
    leader.transferTarget = 3;
    assertThrows(() => checks.ticked(leader.core, 1), Violation, "priority 0");
  });

  it("not to one that lags (H112)", () => {
    const { leader, checks } = lead(WAIT);
    leader.progress = [inStep(1, 10), { ...inStep(2, 9), priority: 2 }];
    leader.transferTarget = 2;
    assertThrows(
      () => checks.ticked(leader.core, 1),
      Violation,
      "which has 9 of 10",
    );
  });

  it("not to one that is silent (H113)", () => {
    const { leader, checks } = lead(WAIT);
    for (let i = 0; i < ELECTION_TICKS; i++) checks.ticked(leader.core, 1);
    leader.transferTarget = 2;
    assertThrows(() => checks.ticked(leader.core, 1), Violation, "silent");
  });

  it("not before its time, which doubles with every failure (H120)", () => {
    const { leader, checks } = lead(WAIT - 2);
    leader.transferTarget = 2;
    assertThrows(() => checks.ticked(leader.core, 1), Violation, "wanted 8");
    const again = lead(WAIT);
    again.leader.transferTarget = 2;
    again.checks.ticked(again.leader.core, 1);
    again.leader.transferTarget = null;
    for (let i = 0; i < WAIT; i++) again.checks.ticked(again.leader.core, 1);
    again.checks.hears({
      type: "appendEntriesResponse",
      from: 2,
      to: 1,
      term: 5,
      reject: false,
      index: 10,
      hintIndex: 0,
      hintTerm: 0,
    });
    again.leader.transferTarget = 2;
    assertThrows(
      () => again.checks.ticked(again.leader.core, 1),
      Violation,
      "wanted 16",
    );
  });

  it("what others ask for, or a hanging disk, is another matter", () => {
    const asked = lead(2);
    asked.leader.transferTarget = 3;
    asked.checks.stepped(asked.leader.core);
    asked.checks.ticked(asked.leader.core, 1);
    const stalled = lead(2);
    stalled.leader.transferTarget = 3;
    stalled.leader.stalled = true;
    stalled.checks.ticked(stalled.leader.core, 1);
  });
});

describe("BoundChecks (H36)", () => {
  it("adds up what is on its way to a follower", () => {
    const options = drawOptions(1);
    const checks = new BoundChecks({
      ...options,
      core: { maxAppendBytes: 100, maxInflightBytes: 200 },
    }, new MarkCounter());
    const entry = {
      type: "command",
      term: 5,
      index: 0,
      data: new Uint8Array(90),
    } as const;
    const written = { entryAt: () => entry };
    const member = { id: 1, disk: { written } } as unknown as MemberView;
    const leader = new Leader();
    const look = (nextIndex: number) => {
      leader.progress = [{ ...inStep(2, 0), nextIndex }];
      for (let i = 0; i < 10; i++) checks.check(member, leader.core);
    };
    look(3);
    assertThrows(() => look(6), Violation, "bytes in flight to 2");
  });
});

describe("drawJointPlan() (thesis §4.3)", () => {
  const conf: ConfState = { ...EMPTY_CONF, voters: [1, 2, 3, 4, 5] };

  it("leaves the new half with the leader, the old half elsewhere", () => {
    const random = new SimRandom(1).fork("plan");
    for (let i = 0; i < 50; i++) {
      const plan = drawJointPlan(conf, 1, [6, 7], random);
      assert(plan !== undefined);
      const isOutside = (id: NodeId) => plan.outside.includes(id);
      const after = rolesAfter(conf, plan.change);
      assertEquals(isOutside(1), false);
      assert(isMajority(after.votersOutgoing, isOutside));
      assert(isMajority(after.voters, (id) => !isOutside(id)));
    }
  });

  it("needs a majority beside the leader, and no joint configuration", () => {
    const random = new SimRandom(1).fork("plan");
    const small = { ...conf, voters: [1, 2] };
    assertEquals(drawJointPlan(small, 1, [], random), undefined);
    const joint = { ...conf, votersOutgoing: [1, 2, 3] };
    assertEquals(drawJointPlan(joint, 1, [], random), undefined);
  });

  it("springs when the leader first tells of the commit", () => {
    const plan = drawJointPlan(conf, 1, [], new SimRandom(1));
    assert(plan !== undefined);
    const trap = { ...plan, leader: 1, term: 5, index: 8 };
    const append = {
      type: "appendEntries",
      from: 1,
      to: 2,
      term: 5,
      prevLogIndex: 8,
      prevLogTerm: 5,
      entries: [],
    } as const;
    assertEquals(tellsOfCommit(trap, { ...append, commitIndex: 7 }), false);
    assertEquals(tellsOfCommit(trap, { ...append, commitIndex: 8 }), true);
    const later = { ...append, term: 6, commitIndex: 8 };
    assertEquals(tellsOfCommit(trap, later), false);
  });
});
