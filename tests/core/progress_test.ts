import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  EMPTY_CONF,
  type Entry,
  type Message,
  RawNode,
} from "../../src/core/mod.ts";
import { bytes, Cluster, log, restored } from "./cluster.ts";
import { leaders, TICK_MS, Timeline } from "./timeline.ts";

/** A core without a disk: whatever it writes is durable at once. */
class Bare {
  readonly node: RawNode;
  readonly sent: Message[] = [];

  constructor(id: number, entries: readonly Entry[], term: number) {
    const disk = {
      hardState: { term, vote: null, commit: 0 },
      entries: [...entries],
    };
    this.node = new RawNode({
      id,
      random: () => 0.5,
      restored: restored(disk, { ...EMPTY_CONF, voters: [1, 2, 3] }),
    });
  }

  /** Carries out what is ready; a snapshot is installed in no time. */
  process(): void {
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      this.node.persisted(ready.number);
      this.sent.push(...ready.messages, ...ready.messagesAfterPersist);
      const last = ready.committedEntries.at(-1);
      if (last !== undefined) this.node.applied(last.index);
      this.node.check();
    }
  }
}

/** What may befall the first snapshot on its way to a follower. */
type Fate = "arrives" | "lostAndReported" | "lostThoughReportedSent";

interface Case {
  /** Terms of the leader's log, which is committed, and of the follower's. */
  readonly leader: readonly number[];
  readonly follower: readonly number[];
  /** How far the leader's log is compacted. */
  readonly compacted: number;
  readonly fate: Fate;
}

/** A leader and one follower; a third voter has all the leader has. */
class Pair {
  readonly #bares: readonly Bare[];
  readonly #leader: Bare;
  readonly #fate: Fate;
  #isFirst = true;
  #now = 1_000;

  constructor(one: Case) {
    this.#leader = new Bare(1, log(...one.leader), 7);
    const peer = new Bare(2, log(...one.leader), 7);
    const follower = new Bare(3, log(...one.follower), 7);
    this.#bares = [this.#leader, peer, follower];
    this.#fate = one.fate;
    this.#leader.node.campaign();
    // The follower hears nothing until the rest have committed.
    for (let i = 0; i < 9; i++) this.#exchange([1, 2]);
    const { commitIndex, conf } = this.#leader.node;
    assertEquals(commitIndex, one.leader.length + 1);
    const index = one.compacted;
    const term = this.#leader.node.termAt(index) ?? 0;
    this.#leader.node.compact({ index, term, conf }, index);
  }

  /** Heartbeats only, no writes. @returns Whether the follower caught up. */
  pass(ticks: number): boolean {
    const [leader, , follower] = this.#bares;
    if (leader === undefined || follower === undefined) return false;
    for (let i = 0; i < ticks; i++) {
      this.#now += TICK_MS;
      leader.node.tick(this.#now);
      for (let hop = 0; hop < 6; hop++) this.#exchange([1, 2, 3]);
      const { commitIndex } = follower.node;
      if (commitIndex === leader.node.commitIndex) return true;
    }
    return false;
  }

  #exchange(ids: readonly number[]): void {
    for (const bare of this.#bares) bare.process();
    for (const bare of this.#bares) {
      for (const message of bare.sent.splice(0)) {
        if (ids.includes(message.to) && !this.#loses(message)) {
          this.#bares[message.to - 1]?.node.step(message);
        }
      }
    }
  }

  #loses(message: Message): boolean {
    if (message.type !== "installSnapshot" || !this.#isFirst) return false;
    this.#isFirst = false;
    if (this.#fate === "arrives") return false;
    const isBelievedSent = this.#fate === "lostThoughReportedSent";
    this.#leader.node.reportSnapshot(message.to, isBelievedSent);
    return true;
  }
}

function* cases(): Generator<Case> {
  const leader = [1, 1, 2, 4, 4];
  const followers = [
    ...leader.map((_, i) => leader.slice(0, i)),
    leader,
    [1, 1, 1, 1, 1, 1, 1],
    [1, 1, 3, 3],
    [3],
  ];
  for (const follower of followers) {
    for (let compacted = 0; compacted <= leader.length + 1; compacted++) {
      for (
        const fate of [
          "arrives",
          "lostAndReported",
          "lostThoughReportedSent",
        ] as const
      ) yield { leader, follower, compacted, fate };
    }
  }
}

describe("progress (§3.5, §5.3)", () => {
  it("leads from every position to a follower that has all, without writes (H34)", () => {
    let count = 0;
    for (const one of cases()) {
      count++;
      assert(new Pair(one).pass(8), `stuck: ${JSON.stringify(one)}`);
    }
    assert(count > 150, `there were ${count} cases`);
  });

  it("leaks no window and no pause, whatever is lost meanwhile (H32, H33)", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const next = generator(seed);
      const cluster = new Cluster(3, {
        config: {
          maxInflightCount: 1 + next(3),
          maxAppendBytes: 40 + next(200),
          maxInflightBytes: 240 + next(400),
          adaptiveFlow: next(2) === 0,
          stallTicks: 0,
        },
      });
      cluster.elect(1);
      const time = new Timeline(cluster);
      const kinds = ["appendEntries", "appendEntriesResponse"];
      for (let step = 0; step < 60; step++) {
        const loss = next(4);
        cluster.drop = (m) => kinds.includes(m.type) && next(4) < loss;
        for (let i = next(6); i > 0; i--) {
          cluster.node(1).propose([bytes("a".repeat(next(90)))]);
          if (next(3) === 0) cluster.process(1);
        }
        if (next(8) === 0) cluster.node(1).reportUnreachable(2 + next(2));
        cluster.settle();
        if (next(3) === 0) time.pass(1);
      }
      cluster.drop = () => false;
      time.pass(12);
      const { lastIndex, commitIndex, progress } = cluster.node(1).status();
      assertEquals(leaders(cluster), [1]);
      assertEquals(commitIndex, lastIndex);
      for (const peer of progress) {
        assertEquals(peer.matchIndex, lastIndex);
        assertEquals(peer.inflightCount, 0);
        assertEquals(cluster.node(peer.id).commitIndex, lastIndex);
      }
    }
  });

  it("tells the last commit index to followers that missed every append (H31)", () => {
    const cluster = new Cluster(3);
    cluster.elect(1);
    cluster.node(1).propose([bytes("a")]);
    cluster.drop = (m) =>
      m.type === "appendEntries" && m.entries.length === 0 ||
      m.type === "heartbeat";
    cluster.settle();
    assertEquals(cluster.node(3).commitIndex, 1);
    cluster.drop = (m) => m.type === "appendEntries";
    new Timeline(cluster).pass(1);
    assertEquals(cluster.node(3).commitIndex, 2);
  });
});

/** A small generator, the same on every run. */
function generator(seed: number): (below: number) => number {
  let state = seed * 7_919 + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return Math.floor(state / 65_536) % below;
  };
}
