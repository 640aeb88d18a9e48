import { describe, it } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import type { RawNode } from "../../src/core/raw_node.ts";
import { type ConfState, EMPTY_CONF } from "../../src/core/types.ts";
import { checkPromotion, checkTaken } from "../../src/sim/change_checks.ts";
import { CommittedLog } from "../../src/sim/committed_log.ts";
import { LeaseChecks } from "../../src/sim/lease_checks.ts";
import { OfficeChecks } from "../../src/sim/office_checks.ts";
import { SimRandom } from "../../src/sim/prng.ts";
import { drawStranded } from "../../src/sim/strand.ts";
import { checkHeard, TransferChecks } from "../../src/sim/transfer_checks.ts";
import { Violation } from "../../src/sim/mod.ts";

const CONF: ConfState = {
  ...EMPTY_CONF,
  version: 7,
  voters: [1, 2, 3],
  learners: [4],
  staging: [4],
  removed: [9],
};

/** As much of a core as checkers look at. */
function coreOf(parts: Partial<RawNode>): RawNode {
  const core = { id: 1, role: "leader", term: 5, conf: CONF, ...parts };
  return core as unknown as RawNode;
}

describe("LeaseChecks (H95)", () => {
  function checks(newestTerm: number, commitIndex: number): () => void {
    const core = coreOf({ commitIndex });
    const committed = new CommittedLog(CONF);
    const member = { id: 1, core, holdsLease: () => true };
    const leases = new LeaseChecks([member], { committed, newestTerm });
    return () => leases.stepped();
  }

  it("nobody leads a newer term while a lease is held", () => {
    checks(5, 0)();
    assertThrows(checks(6, 0), Violation, "while term 6 is led");
  });

  it("who holds a lease knows of all that is committed", () => {
    assertThrows(checks(5, -1), Violation, "knows -1 for committed");
  });
});

describe("OfficeChecks (H10)", () => {
  const answer = {
    type: "heartbeatResponse",
    to: 1,
    term: 5,
    round: 0,
    sentAt: 0,
    leaseMs: 0,
    priority: 0,
  } as const;

  function lead(from: number, core: RawNode): void {
    const offices = new OfficeChecks(2);
    for (let tick = 0; tick < 100; tick++) {
      offices.heard({ ...answer, from });
      offices.ticked(core);
    }
  }

  it("a quorum keeps a leader in office, a learner does not", () => {
    lead(2, coreOf({}));
    assertThrows(() => lead(4, coreOf({})), Violation, "heard of no quorum");
  });

  it("a leader that sleeps needs to hear of nobody", () => {
    lead(4, coreOf({ quiesced: true }));
  });
});

describe("TransferChecks (§3.10)", () => {
  const order = { type: "timeoutNow", from: 1, term: 5 } as const;
  const request = {
    type: "requestVote",
    from: 2,
    to: 3,
    term: 6,
    lastLogIndex: 0,
    lastLogTerm: 0,
    transfer: true,
  } as const;

  it("a successor was named in the term before (H115)", () => {
    const checks = new TransferChecks(new CommittedLog(CONF));
    assertThrows(() => checks.asks(request), Violation, "told it to");
    checks.asks({ ...request, transfer: false });
    checks.named({ ...order, to: 2 });
    checks.asks(request);
    assertThrows(() => checks.asks({ ...request, term: 7 }), Violation);
  });

  it("a successor has a vote (H113)", () => {
    const checks = new TransferChecks(new CommittedLog(CONF));
    assertThrows(() => checks.named({ ...order, to: 4 }), Violation);
  });

  it("nobody is deaf to a successor (H114)", () => {
    const deaf = coreOf({ id: 3, term: 5 });
    assertThrows(() => checkHeard(deaf, request), Violation, "is deaf to 2");
    checkHeard(coreOf({ id: 3, term: 6 }), request);
    checkHeard(deaf, { ...request, transfer: false });
  });
});

describe("membership changes that a leader takes", () => {
  const taken = { leader: 1, conf: CONF, guard: {}, holders: [1, 2, 3] };
  const change = {
    transition: "auto",
    steps: [{ type: "addLearner", node: 5 }],
  } as const;

  it("are for its own configuration (H90)", () => {
    checkTaken({ ...taken, change, guard: { expect: 7 } });
    assertThrows(
      () => checkTaken({ ...taken, change, guard: { expect: 6 } }),
      Violation,
      "a change of configuration 6",
    );
  });

  it("bring no removed member back (H80)", () => {
    const steps = [{ type: "addVoter", node: 9 }] as const;
    assertThrows(
      () => checkTaken({ ...taken, change: { ...change, steps } }),
      Violation,
      "which was removed",
    );
  });

  it("leave a majority that holds something, unless forced (H81)", () => {
    const conf = { ...CONF, voters: [1], learners: [], staging: [] };
    const steps = [{ type: "addVoter", node: 2 }] as const;
    const lonely = { ...taken, conf, change: { ...change, steps } };
    checkTaken({ ...lonely, holders: [1, 2] });
    checkTaken({ ...lonely, holders: [1], guard: { force: true } });
    assertThrows(() => checkTaken({ ...lonely, holders: [1] }), Violation);
  });

  it("promote nobody who has not caught up (§4.2.1)", () => {
    const core = coreOf({ lastIndex: 8, isCaughtUp: () => false });
    checkPromotion(core, 8);
    assertThrows(() => checkPromotion(core, 7), Violation, "caught up");
    checkPromotion(coreOf({ lastIndex: 8, isCaughtUp: () => true }), 7);
  });
});

describe("drawStranded() (H94)", () => {
  it("leaves just a majority on the other side", () => {
    const random = new SimRandom(1).fork("strand");
    for (let i = 0; i < 20; i++) {
      const conf = { ...CONF, voters: [1, 2, 3, 5, 6] };
      const sides = drawStranded(conf, 1, [1, 2, 3, 4, 5, 6], random);
      assertEquals(sides?.outside.length, 3);
      assertEquals(sides?.outside.some((id) => id === 1 || id === 4), false);
      assertEquals(sides?.inside.length, 3);
    }
  });

  it("draws nothing where the leader is needed for a majority", () => {
    const random = new SimRandom(1).fork("strand");
    const conf = { ...CONF, voters: [1, 2] };
    assertEquals(drawStranded(conf, 1, [1, 2], random), undefined);
  });
});
