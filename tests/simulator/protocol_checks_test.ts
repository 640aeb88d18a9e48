import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Raft } from "../../src/core/raft.ts";
import { RawNode, type RawNodeOptions } from "../../src/core/raw_node.ts";
import { Tracker } from "../../src/core/tracker.ts";
import type { ConfState, Entry, NodeId } from "../../src/core/types.ts";
import { EMPTY_CONF, INITIAL_HARD_STATE } from "../../src/core/types.ts";
import { Omission } from "../../src/core/witness.ts";
import { CommittedLog } from "../../src/sim/committed_log.ts";
import { ConfChecks } from "../../src/sim/conf_checks.ts";
import { SimDisk } from "../../src/sim/disk.ts";
import { MarkCounter } from "../../src/sim/marks.ts";
import {
  type CheckName,
  type SimHooks,
  simulate,
  type SimulateOptions,
  Violation,
} from "../../src/sim/mod.ts";
import type { ProtocolFaultKind } from "../../src/sim/options_protocol.ts";
import { type MemberView, Oracle } from "../../src/sim/oracle.ts";
import {
  type RegisterList,
  RegisterMachine,
  type RegisterQuery,
} from "../../src/sim/register_machine.ts";
import { registerSubject } from "../../src/sim/register_subject.ts";
import { startBug } from "./bugs.ts";

const SEEDS = 25;

/** A run in which the protocol has much to do, and little else goes wrong. */
const BUSY = {
  members: 3,
  groups: 1,
  ticks: 1_500,
  protocol: {
    gapMs: 600,
    maxMembers: 7,
    maxIds: 11,
    snapshots: {
      everyCount: 5,
      trailingCount: 2,
      storeMs: 20,
      sendMs: 100,
      wrongReportPermille: 0,
      reportMs: 50,
    },
  },
} as const;

const SUBJECT = registerSubject({
  keyCount: 2,
  readPermille: 200,
  appendPermille: 200,
  compareAndSetPermille: 0,
  padBytes: 0,
  deduplicate: false,
});

type Overrides = NonNullable<
  SimulateOptions<unknown, unknown, unknown, unknown>["overrides"]
>;

/** Runs seeds until one fails by `check`; the checks of all that failed. */
function checksFound(
  check: CheckName,
  hooks: SimHooks,
  overrides: Overrides = BUSY,
): (CheckName | null)[] {
  const found: (CheckName | null)[] = [];
  for (let seed = 1; seed <= SEEDS && !found.includes(check); seed++) {
    const { failure } = simulate({ seed, hooks, overrides });
    if (failure !== undefined) found.push(failure.check);
  }
  return found;
}

function assertFinds(
  check: CheckName,
  hooks: SimHooks,
  overrides?: Overrides,
): void {
  const found = checksFound(check, hooks, overrides);
  assert(found.includes(check), `found only ${found.join(", ")}`);
}

/** Replaces a method or a getter while `run` lasts. */
function withPatch(
  prototype: object,
  name: string,
  patch: PropertyDescriptor,
  run: () => void,
): void {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  assert(original !== undefined);
  Object.defineProperty(prototype, name, { ...original, ...patch });
  const check = RawNode.prototype.check;
  RawNode.prototype.check = () => {};
  try {
    run();
  } finally {
    RawNode.prototype.check = check;
    Object.defineProperty(prototype, name, original);
  }
}

function busyWith(...kinds: ProtocolFaultKind[]): Overrides {
  return { ...BUSY, protocol: { ...BUSY.protocol, kinds } };
}

describe("every checker of the protocol is able to fail", () => {
  it("confAgreement: a member forgets a change that it applied", () => {
    assertFinds("confAgreement", {
      createCore: (options) => {
        const core = new RawNode(options);
        if (options.id === 2) core.applyConfChange = () => core.conf;
        return core;
      },
    }, busyWith("addLearner", "addVoter"));
  });

  it("electionQuorum: a candidate wins by the first vote that it gets", () => {
    withPatch(Tracker.prototype, "voteResult", { value: () => "won" }, () => {
      assertFinds("electionQuorum", {});
    });
  });

  it("leaderEligible: a learner campaigns (H12)", () => {
    withPatch(Raft.prototype, "promotable", { get: () => true }, () => {
      assertFinds(
        "leaderEligible",
        {},
        busyWith("demote", "addLearner", "campaign"),
      );
    });
  });

  it("commitOnQuorum: half of a joint configuration commits (§4.3)", () => {
    const quorumIndex = function (
      this: Tracker,
      acked: (id: NodeId) => number | undefined,
    ): number {
      const sorted = this.conf.voters.map((id) => acked(id) ?? 0)
        .sort((left, right) => right - left);
      return sorted[sorted.length >> 1] ?? 0;
    };
    withPatch(Tracker.prototype, "quorumIndex", { value: quorumIndex }, () => {
      assertFinds("commitOnQuorum", {}, busyWith("replace", "addLearner"));
    });
  });

  it("witnessPayload: a witness is sent what others are sent (H89)", () => {
    const of = (entries: readonly unknown[]) => ({ entries, bytes: 0 });
    withPatch(Omission.prototype, "of", { value: of }, () => {
      assertFinds("witnessPayload", {}, busyWith("addWitness"));
    });
  });

  it("witnessPayload: a witness stores what it was not sent (H89)", () => {
    const filled = (entry: Entry): Entry => {
      const { type, term, index } = entry;
      const data = new Uint8Array(1);
      return type === "omitted"
        ? { type: "command", term, index, data }
        : entry;
    };
    assertFinds("witnessPayload", {
      onReady: (_, ready) => ({
        ...ready,
        entries: ready.entries.map(filled),
      }),
    }, busyWith("addWitness"));
  });

  it("messageTruth: a member is told to go that was not removed (H80)", () => {
    assertFinds("messageTruth", {
      onSend: (message) =>
        message.type === "heartbeatResponse"
          ? {
            type: "removed",
            from: message.from,
            to: message.to,
            term: 0,
            reason: "removed",
            version: 1,
          }
          : message,
    });
  });

  it("stateMachineSafety: a restored machine keeps what it had (H67)", () => {
    class Merging extends RegisterMachine {
      override install(state: Uint8Array): void {
        const before = this.capture();
        super.install(before.length > 60 ? before : state);
      }
    }
    const subject = { ...SUBJECT, create: () => new Merging() };
    const checks: (string | null | undefined)[] = [];
    for (let seed = 1; seed <= SEEDS && !checks.at(-1); seed++) {
      const { failure } = simulate({
        seed,
        subject,
        overrides: {
          ...BUSY,
          faults: { kinds: ["partition", "crash"], gapMs: 2_000 },
        },
      });
      checks.push(failure?.check);
    }
    assert(checks.includes("stateMachineSafety"), checks.join());
  });

  it("leaseSafety: a lease that never ends (H95)", () => {
    const leaseUntil = function (this: RawNode): number {
      return this.role === "leader" ? Infinity : -Infinity;
    };
    withPatch(RawNode.prototype, "leaseUntil", { get: leaseUntil }, () => {
      assertFinds("leaseSafety", {}, {
        ...BUSY,
        clients: { leaderPermille: 500, thinkMs: 200 },
        faults: { kinds: ["isolateLeader"], gapMs: 1_000, lastMs: 4_000 },
        protocol: { leasePermille: 900, kinds: [] },
      });
    });
  });

  it("linearizability: an answer that lacks the newest write", () => {
    class Forgetful extends RegisterMachine {
      override query(query: RegisterQuery): RegisterList {
        return super.query(query).slice(0, -1);
      }
    }
    const subject = { ...SUBJECT, create: () => new Forgetful() };
    const { failure } = simulate({ seed: 1, subject, overrides: BUSY });
    assertEquals(failure?.check, "linearizability");
  });

  it("figure 8 is found by what comes of it, its own check muted (H21)", () => {
    const bug = startBug("commitOfEarlierTerm");
    try {
      assertFinds("leaderCompleteness", {
        ...bug.hooks,
        mute: ["commitOfOwnTerm"],
      }, {
        ...busyWith("figureEight"),
        ticks: 3_000,
        core: { maxAppendBytes: 0 },
      });
    } finally {
      bug.stop();
    }
  });
});

/** A member that goes by `conf`, with nothing in its log. */
function memberBy(id: NodeId, conf: ConfState): MemberView {
  const options: RawNodeOptions = {
    id,
    restored: {
      hardState: INITIAL_HARD_STATE,
      snapshot: { index: 0, term: 0, conf },
      firstIndex: 1,
      lastIndex: 0,
      prevTerm: 0,
      termRuns: [],
      tail: [],
      appliedIndex: 0,
    },
    random: () => 0.5,
  };
  const disk = new SimDisk({
    committed: { prefix: { terms: [], digests: [] } },
    omittedDigest: () => 0,
  });
  return { id, life: 1, disk, core: new RawNode(options) };
}

describe("ConfChecks", () => {
  const confs = {
    same: { ...EMPTY_CONF, voters: [1, 2, 3] },
    near: { ...EMPTY_CONF, voters: [1, 2, 3, 4], version: 1 },
    far: { ...EMPTY_CONF, voters: [3, 4, 5], version: 2 },
  };

  function switchedBeside(other: ConfState, log: "empty" | "newer"): void {
    const one = memberBy(1, confs.same);
    const two = memberBy(4, other);
    const members = [one, two, ...[2, 3, 5].map((id) => memberBy(id, other))];
    if (log === "newer") {
      for (const { id, disk } of members) {
        if (id !== 1) {
          disk.durable.append([{ type: "noop", index: 1, term: 9 }]);
        }
      }
    }
    const committed = new CommittedLog(confs.same);
    const checks = new ConfChecks(members, committed, new MarkCounter(), 10);
    if (one.core !== undefined) checks.switched(one, one.core);
  }

  it("takes members whose quorums overlap", () => {
    switchedBeside(confs.near, "empty");
  });

  it("finds members that may both act, by quorums that do not (H76)", () => {
    const error = assertThrows(
      () => switchedBeside(confs.far, "empty"),
      Violation,
    );
    assertEquals(error.check, "configurationSafety");
  });

  it("lets a member be that nobody would elect any more (H77)", () => {
    switchedBeside(confs.far, "newer");
  });
});

describe("Oracle.checkSnapshot()", () => {
  it("fails for another configuration, term, or index than committed", () => {
    const conf = { ...EMPTY_CONF, voters: [1, 2, 3] };
    const oracle = new Oracle({
      members: [],
      conf,
      marks: new MarkCounter(),
      handOverTicks: 1,
      mute: [],
    });
    oracle.checkSnapshot("It", { index: 0, term: 0, conf });
    const wrong = [
      { index: 0, term: 0, conf: { ...conf, voters: [1, 2] } },
      { index: 0, term: 1, conf },
      { index: 1, term: 1, conf },
    ];
    for (const snapshot of wrong) {
      const error = assertThrows(
        () => oracle.checkSnapshot("It", snapshot),
        Violation,
      );
      assertEquals(error.check, "snapshotTruth");
    }
  });
});
