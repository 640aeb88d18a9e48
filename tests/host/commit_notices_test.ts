import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import type { AppendEntries, Message } from "../../src/core/message.ts";
import { CommitNotices } from "../../src/host/commit_notices.ts";
import { ManualClock } from "./support/manual_clock.ts";

function append(
  to: number,
  commitIndex: number,
  entryCount = 0,
): AppendEntries {
  return {
    type: "appendEntries",
    from: 1,
    to,
    term: 1,
    prevLogIndex: 9,
    prevLogTerm: 1,
    commitIndex,
    entries: Array.from({ length: entryCount }, (_, at) => ({
      type: "noop",
      term: 1,
      index: 10 + at,
    })),
  };
}

function setUp() {
  const clock = new ManualClock();
  const sent: Message[] = [];
  const notices = new CommitNotices({
    clock,
    send: (message) => sent.push(message),
    inTurn: (work) => work(),
  });
  return { clock, notices, sent };
}

describe("CommitNotices.hold()", () => {
  it("keeps the newest notice of each follower, for a millisecond at most", () => {
    const { clock, notices, sent } = setUp();
    assertEquals(notices.hold(append(2, 4)), true);
    assertEquals(notices.hold(append(3, 4)), true);
    assertEquals(notices.hold(append(2, 5)), true);
    assertEquals(clock.timerCount, 1);
    assertEquals(sent, []);
    clock.fireNext(1);
    assertEquals(sent, [append(3, 4), append(2, 5)]);
    assertEquals(clock.timerCount, 0);
  });

  it("lets entries through, and drops the notice they make needless", () => {
    const { clock, notices, sent } = setUp();
    assertEquals(notices.hold(append(2, 4)), true);
    assertEquals(notices.hold(append(2, 4, 1)), false);
    clock.fireNext(1);
    assertEquals(sent, []);
  });

  it("lets every other message through", () => {
    const { notices } = setUp();
    const type = "heartbeat";
    const heartbeat: Message = {
      type,
      from: 1,
      to: 2,
      term: 1,
      commitIndex: 4,
      round: 0,
      sentAt: 0,
    };
    assertEquals(notices.hold(heartbeat), false);
  });

  it("tells a follower at once until what it passed on is committed", () => {
    const { clock, notices } = setUp();
    const header = { from: 2, to: 1, term: 0, ticket: 1 };
    notices.stepped(
      { type: "propose", ...header, commands: [], change: null },
      12,
    );
    assertEquals(notices.hold(append(2, 11)), false);
    assertEquals(notices.hold(append(3, 11)), true);
    assertEquals(notices.hold(append(2, 12)), false);
    assertEquals(notices.hold(append(2, 13)), true);
    assertEquals(clock.timerCount, 1);
  });
});

describe("CommitNotices.stop()", () => {
  it("forgets what is held and leaves no timer", () => {
    const { clock, notices, sent } = setUp();
    notices.hold(append(2, 4));
    notices.stop();
    assertEquals(clock.timerCount, 0);
    assertEquals(clock.fireNext(1), false);
    assertEquals(sent, []);
  });
});
