import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { isRaftError } from "../../src/errors.ts";
import { Journal } from "./support/machines.ts";
import {
  type Fate,
  type TestGroup,
  type TestMachine,
  watch,
  withWorld,
  type World,
} from "./support/world.ts";

const LEVELS = ["linearizable", "lease", "stale"] as const;

/** A leader whose machine takes as long for a query as there is. */
async function stuck(world: World): Promise<TestGroup> {
  const journal = new Journal();
  const machine: TestMachine = {
    command: journal.command,
    apply: (entries) => journal.apply(entries),
    query: () => new Promise(() => {}),
    snapshot: () => journal.snapshot(),
    restore: (chunks) => journal.restore(chunks),
  };
  const member = await world.member(1, machine);
  return await world.leader([member]);
}

function codeOf(fate: Fate<unknown>): string {
  assert(fate.type === "rejected", fate.type);
  assert(isRaftError(fate.error));
  return fate.error.code;
}

describe("a read whose query takes its time (H124)", () => {
  for (const consistency of LEVELS) {
    it(`is over by its deadline: ${consistency}`, () =>
      withWorld(1, async (world) => {
        const member = await stuck(world);
        const fate = watch(member.read(null, { consistency, timeoutMs: 500 }));
        await world.settle();
        assertEquals([fate().type, member.pendingCount], ["pending", 1]);
        await world.advance(1_000);
        assertEquals([codeOf(fate()), member.pendingCount], ["timeout", 0]);
      }));

    it(`is over when its signal aborts: ${consistency}`, () =>
      withWorld(1, async (world) => {
        const member = await stuck(world);
        const { abort, signal } = abortable();
        const fate = watch(member.read(null, { consistency, signal }));
        await world.settle();
        abort();
        await world.settle();
        assertEquals(fate(), { type: "rejected", error: "enough" });
        assertEquals(member.pendingCount, 0);
      }));

    it(`is over when the member stops: ${consistency}`, () =>
      withWorld(1, async (world) => {
        const member = await stuck(world);
        const fate = watch(member.read(null, { consistency }));
        await world.settle();
        await world.value(member.stop());
        await world.settle();
        assertEquals([codeOf(fate()), member.pendingCount], ["stopped", 0]);
      }));
  }
});

function abortable(): {
  readonly abort: () => void;
  readonly signal: AbortSignal;
} {
  const controller = new AbortController();
  return {
    abort: () => controller.abort("enough"),
    signal: controller.signal,
  };
}
