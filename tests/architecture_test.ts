/**
 * Holds the walls of the house: who may import whom, read from the module
 * graph as the compiler sees it. docs/architecture.md draws the same map.
 */
import { before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  type Import,
  type ModuleGraph,
  readModuleGraph,
  readSources,
  roomOf,
  type SourceFile,
} from "./tools/module_graph.ts";

/** For each room: whom it may import, and of whom it may import types only. */
interface Wall {
  readonly code: readonly string[];
  readonly types?: readonly string[];
}

/** Third parties and built-ins are written as the specifiers begin. */
const walls: Readonly<Record<string, Wall>> = {
  core: { code: [] },
  contracts: { code: ["npm:zod", "npm:cbor-x"], types: ["core"] },
  host: { code: ["core", "contracts", "rsm", "npm:zod"] },
  rsm: { code: ["core", "contracts", "npm:zod"] },
  machines: { code: ["contracts", "npm:zod"], types: ["core"] },
  testing: { code: ["contracts"], types: ["core"] },
  sim: { code: ["core", "contracts", "rsm"] },
  "storage/memory": { code: ["contracts"], types: ["core"] },
  "storage/wal": { code: ["contracts", "node:"], types: ["core"] },
  "storage/kv": { code: ["contracts"], types: ["core"] },
  "storage/tools": {
    code: ["contracts", "storage/wal", "node:"],
    types: ["core"],
  },
  "transports/memory": { code: ["contracts"], types: ["core"] },
  "transports/link": { code: ["contracts"], types: ["core"] },
  "transports/tcp": {
    code: ["contracts", "transports/link", "node:"],
    types: ["core"],
  },
  "transports/http": {
    code: ["contracts", "transports/link", "node:", "npm:hono"],
    types: ["core"],
  },
  root: { code: ["core", "contracts", "host", "rsm"] },
};

/** Programs and tests: no room imports them. */
const outside: readonly string[] = [
  "bench",
  "examples",
  "testing_tools",
  "tests",
];

let graph: ModuleGraph;
let sources: readonly SourceFile[];

before(async () => {
  [graph, sources] = await Promise.all([readModuleGraph(), readSources()]);
});

function describeImport({ from, to }: Import): string {
  return `${from} -> ${to}`;
}

function isAllowed(edge: Import, names: readonly string[]): boolean {
  const target = edge.isLocal ? roomOf(edge.to) : edge.to;
  return names.some((name) =>
    edge.isLocal ? name === target : target.startsWith(name)
  );
}

function breaches(): string[] {
  const found: string[] = [];
  for (const edge of graph.imports) {
    const room = roomOf(edge.from);
    if (outside.includes(room)) continue;
    if (edge.isLocal && roomOf(edge.to) === room) continue;
    const wall = walls[room];
    const allowed = wall !== undefined &&
      (isAllowed(edge, wall.code) ||
        edge.isTypeOnly && isAllowed(edge, wall.types ?? []));
    if (!allowed) found.push(describeImport(edge));
  }
  return found;
}

/** Everything that loading the module loads, itself included. */
function reach(entry: string): Set<string> {
  const reached = new Set([entry]);
  for (const path of reached) {
    for (const edge of graph.imports) {
      if (edge.from === path && !edge.isTypeOnly) reached.add(edge.to);
    }
  }
  return reached;
}

/** A chain of rooms that ends where it began, if there is one. */
function findCycle(): readonly string[] | undefined {
  const next = new Map<string, Set<string>>();
  for (const edge of graph.imports) {
    if (!edge.isLocal) continue;
    const [from, to] = [roomOf(edge.from), roomOf(edge.to)];
    if (from === to) continue;
    next.set(from, (next.get(from) ?? new Set()).add(to));
  }
  const visit = (
    room: string,
    path: readonly string[],
  ): readonly string[] | undefined => {
    if (path.includes(room)) return [...path, room];
    for (const follower of next.get(room) ?? []) {
      const cycle = visit(follower, [...path, room]);
      if (cycle !== undefined) return cycle;
    }
    return undefined;
  };
  for (const room of next.keys()) {
    const cycle = visit(room, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

describe("the module graph", () => {
  it("resolves every import", () => {
    assertEquals(graph.errors, []);
  });

  it("covers every room", () => {
    const rooms = new Set(graph.files.map(roomOf));
    const empty = Object.keys(walls).filter((room) => !rooms.has(room));
    assertEquals(empty, []);
  });

  it("keeps to the walls between rooms", () => {
    assertEquals(breaches(), []);
  });

  it("has no cycle between rooms", () => {
    assertEquals(findCycle(), undefined);
  });
});

describe("loading a module", () => {
  it("of the root loads neither hono nor node:, no storage, no transport", () => {
    const loaded = [...reach("mod.ts")];
    assert(loaded.length > 10, "the root export loads next to nothing");
    const foreign = loaded.filter((name) =>
      /^node:|hono|^storage\/|^transports\//.test(name)
    );
    assertEquals(foreign, []);
  });

  it("of the core loads the core alone", () => {
    const loaded = [...reach("src/core/mod.ts")];
    assert(loaded.length > 5, "the core loads next to nothing");
    assertEquals(loaded.filter((name) => roomOf(name) !== "core"), []);
  });

  it("of the simulator or the memory back ends needs no runtime", () => {
    const entries = [
      "src/sim/mod.ts",
      "storage/kv/mod.ts",
      "storage/memory.ts",
      "transports/memory.ts",
    ];
    for (const entry of entries) {
      const foreign = [...reach(entry)].filter((name) =>
        /^node:|^npm:(?:@hono|hono)/.test(name)
      );
      assertEquals(foreign, []);
    }
  });
});

describe("third parties", () => {
  it("cbor-x has one door, src/codec.ts", () => {
    const doors = graph.imports
      .filter(({ from, to }) => to.startsWith("npm:cbor-x") && isPublic(from))
      .map(({ from }) => from);
    assertEquals([...new Set(doors)], ["src/codec.ts"]);
  });

  it("zod is imported whole, which lets bundlers drop what is unused", () => {
    const wrong = sources.filter(({ text }) =>
      /^import (?!type |\* as z from )[^;]*? from "zod";/m.test(text)
    );
    assertEquals(wrong.map(({ path }) => path), []);
  });
});

function isPublic(path: string): boolean {
  return !outside.includes(roomOf(path));
}

describe("the examples", () => {
  it("import the library by its public name only", () => {
    const wrong = graph.imports.filter(({ from, to, isLocal, specifier }) =>
      roomOf(from) === "examples" && isLocal && roomOf(to) !== "examples" &&
      !/^@balsa\/raft(?:\/|$)/.test(specifier)
    );
    assertEquals(wrong.map(describeImport), []);
  });
});

describe("the sources", () => {
  it("hold no leftovers and no path of somebody's machine", () => {
    const leftover = new RegExp(
      [
        String.raw`\b(?:TO` + String.raw`DO|FIX` + String.raw`ME|XX` + "X)\\b",
        String.raw`(?<![\w.])/(?:home|root|Users|work|mnt)/`,
      ].join("|"),
    );
    const found = sources.flatMap(({ path, text }) =>
      text.split("\n")
        .map((line, at) => ({ line, place: `${path}:${at + 1}` }))
        .filter(({ line }) => leftover.test(line))
        .map(({ line, place }) => `${place} ${line.trim()}`)
    );
    assertEquals(found, []);
  });
});
