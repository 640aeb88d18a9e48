import { describe, it } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { RawNode, type RawNodeOptions } from "../../src/core/raw_node.ts";
import {
  type CheckName,
  type Message,
  type SimFailure,
  type SimHooks,
  type SimOverrides,
  simulate,
} from "../../src/sim/mod.ts";

/** One group, whose members stay. */
const SHORT: SimOverrides = {
  ticks: 1_000,
  groups: 1,
  protocol: { kinds: [] },
};

/** Runs a few short seeds with something wrong between the parts. */
function failures(hooks: SimHooks): SimFailure[] {
  const found: SimFailure[] = [];
  for (let seed = 1; seed <= 12; seed++) {
    const { failure } = simulate({ seed, hooks, overrides: SHORT });
    if (failure !== undefined) found.push(failure);
  }
  return found;
}

const CASES: readonly {
  readonly check: CheckName;
  readonly wrong: string;
  readonly hooks: SimHooks;
}[] = [
  {
    check: "durableBeforeSent",
    wrong: "term and vote are never written (H01)",
    hooks: {
      onReady: (_, ready) => ({ ...ready, hardState: undefined }),
    },
  },
  {
    check: "entryIds",
    wrong: "entries are written in the wrong order",
    hooks: {
      onReady: (_, ready) => ({
        ...ready,
        entries: [...ready.entries].reverse(),
      }),
    },
  },
  {
    check: "logAccuracy",
    wrong: "the last entry of a batch is not written",
    hooks: {
      onReady: (_, ready) => ({
        ...ready,
        entries: ready.entries.slice(0, -1),
      }),
    },
  },
  {
    check: "stateMachineSafety",
    wrong: "entries are handed out twice (H37)",
    hooks: {
      onReady: (_, ready) => ({
        ...ready,
        committedEntries: [
          ...ready.committedEntries,
          ...ready.committedEntries.slice(-1),
        ],
      }),
    },
  },
  {
    check: "stateMachineSafety",
    wrong: "an entry is left out (H37)",
    hooks: {
      onReady: (_, ready) => ({
        ...ready,
        committedEntries: ready.committedEntries.slice(1),
      }),
    },
  },
  {
    check: "readIndex",
    wrong: "a read waits for less than its index (H93)",
    hooks: {
      onReady: (_, ready) => ({
        ...ready,
        readStates: ready.readStates.map(({ context }) => ({
          context,
          index: 0,
        })),
      }),
    },
  },
  {
    check: "messageTruth",
    wrong: "heartbeats carry more than the follower has (H28)",
    hooks: {
      onSend: (message, core) =>
        message.type === "heartbeat"
          ? { ...message, commitIndex: core.commitIndex }
          : message,
    },
  },
  {
    check: "messageTruth",
    wrong: "appends tell a commit index of the future",
    hooks: {
      onSend: (message) =>
        message.type === "appendEntries"
          ? { ...message, commitIndex: message.commitIndex + 1 }
          : message,
    },
  },
  {
    check: "monotonicTerm",
    wrong: "a restart forgets the term",
    hooks: {
      onRestore: (_, restored) => ({
        ...restored,
        hardState: {
          term: restored.termRuns.at(-1)?.term ?? 0,
          vote: null,
          commit: restored.hardState.commit,
        },
      }),
    },
  },
  {
    check: "coreInvariant",
    wrong: "the core refuses to start from what is stored",
    hooks: {
      onRestore: (_, restored) => ({ ...restored, termRuns: [] }),
    },
  },
];

describe("every checker is able to fail", () => {
  for (const { check, wrong, hooks } of CASES) {
    it(`${check}: ${wrong}`, () => {
      const checks = failures(hooks).map((failure) => failure.check);
      assert(checks.includes(check), `found only ${checks.join(", ")}`);
    });
  }

  it("convergence: members that hear of no commit never become equal", () => {
    const found = failures({
      onSend: (message) => {
        switch (message.type) {
          case "heartbeat":
          case "appendEntries":
            return { ...message, commitIndex: 0 };
          default:
            return message;
        }
      },
    });
    assert(found.length > 0);
    assert(found.every(({ kind }) => kind === "liveness"));
  });

  it("a core that throws is a crash, with what it threw", () => {
    const [first] = failures({
      createCore: (options) => {
        const core = new RawNode(options);
        core.tick = () => {
          throw new TypeError("Cannot tick: somebody broke it");
        };
        return core;
      },
    });
    assertEquals(first?.kind, "crash");
    assertEquals(first?.check, null);
    assert(first?.cause instanceof TypeError);
  });

  it("messages that go round for ever use up their budget", () => {
    const hooks: SimHooks = { createCore: newEcho };
    const overrides = { ...SHORT, members: 3, ticks: 50 };
    const { failure } = simulate({ seed: 1, hooks, overrides });
    assertEquals(failure?.check, "progress");
    assertStringIncludes(failure?.message ?? "", "go round for ever");
  });
});

/** Answers every answer to a pre-vote with two more requests. */
function newEcho(options: RawNodeOptions): RawNode {
  const core = new RawNode(options);
  const echoes: Message[] = [];
  const step = core.step.bind(core);
  const hasReady = core.hasReady.bind(core);
  const ready = core.ready.bind(core);
  core.step = (message) => {
    const { from, to, term } = message;
    if (message.type === "requestPreVoteResponse") {
      const type = "requestPreVote";
      const header = { type, from: to, to: from, term } as const;
      const echo = { ...header, lastLogIndex: 0, lastLogTerm: 0 };
      echoes.push(echo, echo);
    }
    return step(message);
  };
  core.hasReady = () => echoes.length > 0 || hasReady();
  core.ready = () => {
    const taken = ready();
    const messages = [...taken.messages, ...echoes.splice(0)];
    return { ...taken, messages };
  };
  return core;
}
