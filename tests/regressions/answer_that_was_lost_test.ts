/**
 * Symptom: after one answer to a forwarded proposal was lost, a follower kept
 * that proposal, and the results of the newest 8 192 entries it applied, for
 * as long as the leader stayed.
 *
 * Cause: a forwarded call was forgotten only by its answer or by an entry of
 * a later term, also when everybody in it had long been told `unknown`.
 *
 * Why nothing noticed: it costs memory, never an outcome.
 */
import { it } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../src/errors.ts";
import { type ProposalCore, Proposals } from "../../src/host/proposals.ts";

it("a forwarded call is forgotten once nobody in it waits", async () => {
  const proposals = new Proposals<number>({
    maxPendingCount: 10,
    maxPendingBytes: 1_000,
    maxEntryBytes: 100,
    firstTicket: 0,
    appliedIndex: 0,
  });
  const core: ProposalCore = {
    role: "follower",
    leader: 2,
    term: 1,
    propose: () => ({ type: "forwarded", to: 2 }),
    takeAnswers: () => [],
  };
  const propose = (deadline: number) => {
    const promise = proposals.add({
      data: new Uint8Array(1),
      deadline,
      forward: true,
      signal: undefined,
    });
    proposals.flush(core);
    return promise;
  };
  const early = propose(100);
  const late = propose(200);
  assertEquals(proposals.forwardedCount, 2);
  proposals.expire(100, 2);
  await assertRejects(() => early, RaftError, "its deadline passed");
  assertEquals([proposals.forwardedCount, proposals.pendingCount], [1, 1]);
  proposals.expire(200, 2);
  await assertRejects(() => late, RaftError, "its deadline passed");
  assertEquals([proposals.forwardedCount, proposals.pendingCount], [0, 0]);
});
