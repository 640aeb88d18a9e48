import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import plugin from "../../tools/lint_plugin.ts";

/** The ids of the house rules that the code breaks, in order. */
function broken(fileName: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, fileName, source)
    .map((diagnostic) => diagnostic.id);
}

function repeat(line: string, count: number): string {
  return `${line}\n`.repeat(count);
}

describe("core-purity", () => {
  const impure: readonly string[] = [
    "export const now = Date.now();",
    "export const chance = Math.random();",
    "setTimeout(() => {}, 1);",
    "setInterval(() => {}, 1);",
    "queueMicrotask(() => {});",
    "export type Later = Promise<void>;",
    "export async function later(): Promise<void> {}",
    "export const later = async () => {};",
    "export function* steps() { for (const x of [1]) yield x; } await 1;",
    'export const load = () => import("./other.ts");',
    "export const pid = Deno.pid;",
    "export const version = Bun.version;",
    "export const memory = process.memoryUsage();",
    'fetch("http://127.0.0.1");',
    "export const all = globalThis;",
    'console.log("hello");',
    "export const now = performance.now();",
    "export const id = crypto.randomUUID();",
    "export const short = { Date };",
    "export const signal = AbortSignal.timeout(1);",
  ];
  for (const source of impure) {
    it(`refuses ${source} in src/core`, () => {
      const ids = broken("src/core/x.ts", source);
      assertEquals(ids.includes("balsa/core-purity"), true);
    });
  }

  it("refuses for await and async methods in src/core", () => {
    const source = "export class A { async run(x: AsyncIterable<number>) " +
      "{ for await (const y of x) void y; } }";
    assertEquals(broken("src/core/x.ts", source), [
      "balsa/core-purity",
      "balsa/core-purity",
    ]);
  });

  it("accepts members that only share a name", () => {
    const source = "export const x = { process: 1 };\n" +
      "export const y = x.process + Math.floor(1.5);\n" +
      "export interface Z { readonly performance: number }\n" +
      "export class W { readonly console = 1; fetch() { return 2; } }\n";
    assertEquals(broken("src/core/x.ts", source), []);
  });

  it("lets everybody else have clocks and promises", () => {
    const source = "export async function later() { await Promise.all([]); " +
      "setTimeout(() => {}, Date.now()); }";
    assertEquals(broken("src/host/x.ts", source), []);
  });
});

describe("error-message", () => {
  const bad: readonly string[] = [
    'throw new RaftError("notLeader", "cannot propose: no leader");',
    'throw new RaftError("notLeader", "Cannot propose: no leader.");',
    "throw new RaftError(code, `Cannot propose: ${reason}.`);",
    'throw new RangeError("term must be positive");',
    'throw new TypeError("Cannot read " + "the option.");',
    'throw new Error("Cannot read.");',
  ];
  for (const source of bad) {
    it(`refuses ${source}`, () => {
      assertEquals(broken("storage/x.ts", source), ["balsa/error-message"]);
    });
  }

  it("accepts upper case without a period, and what it cannot know", () => {
    const source = 'throw new RaftError("notLeader", "Cannot propose: none");' +
      "\nthrow new RangeError(`${name} is too large: ${got}`);" +
      "\nthrow new TypeError(message);" +
      '\nthrow new Whatever("free form.");' +
      '\nthrow new Error("Cannot " + what);';
    assertEquals(broken("storage/x.ts", source), []);
  });

  it("accepts anything in tests, whose errors are made up", () => {
    assertEquals(broken("tests/x.ts", 'throw new Error("boom.");'), []);
  });
});

describe("max-file-lines", () => {
  it("refuses a file of 501 lines", () => {
    assertEquals(broken("tests/x.ts", repeat("export {};", 501)), [
      "balsa/max-file-lines",
    ]);
  });

  it("accepts a file of 500 lines", () => {
    assertEquals(broken("tests/x.ts", repeat("export {};", 500)), []);
  });
});

describe("max-function-lines", () => {
  const body = (count: number) =>
    `export function long(): void {\n${repeat("  step();", count)}}\n`;

  for (const folder of ["src/host", "storage/wal", "transports/tcp"]) {
    it(`refuses a function of 71 lines in ${folder}`, () => {
      assertEquals(broken(`${folder}/x.ts`, body(69)), [
        "balsa/max-function-lines",
      ]);
    });
  }

  it("refuses long methods and arrow functions", () => {
    const lines = repeat("  step();", 70);
    const source = `export class A { run(): void {\n${lines}} }\n` +
      `export const f = () => {\n${lines}};\n`;
    assertEquals(broken("src/host/x.ts", source), [
      "balsa/max-function-lines",
      "balsa/max-function-lines",
    ]);
  });

  it("accepts 70 lines, and more in tests, which tell stories", () => {
    assertEquals(broken("src/host/x.ts", body(68)), []);
    assertEquals(broken("tests/host/x.ts", body(90)), []);
  });
});

describe("no-boolean-argument", () => {
  it("refuses bare booleans for functions of our own", () => {
    const source = "send(frame, true); class A { m() { this.#run(false); } }";
    assertEquals(broken("src/host/x.ts", source), [
      "balsa/no-boolean-argument",
      "balsa/no-boolean-argument",
    ]);
  });

  it("accepts named ones, the platform's, and any in tests", () => {
    const source = "send(frame, { urgent: true }); view.getUint32(0, true);";
    assertEquals(broken("src/host/x.ts", source), []);
    assertEquals(broken("tests/x.ts", "assertEquals(x, true);"), []);
  });
});

describe("no-console-in-library", () => {
  for (const file of ["mod.ts", "src/host/x.ts", "storage/x.ts"]) {
    it(`refuses console in ${file}`, () => {
      assertEquals(broken(file, 'console.error("lost");'), [
        "balsa/no-console-in-library",
      ]);
    });
  }

  it("accepts console in programs", () => {
    for (const file of ["examples/x.ts", "bench/x.ts", "tests/x.ts"]) {
      assertEquals(broken(file, 'console.log("ready");'), []);
    }
  });
});

describe("no-top-level-await-in-library", () => {
  it("refuses a module that makes its importers wait", () => {
    const source = "await 1; for await (const x of y) void x;";
    assertEquals(broken("src/host/x.ts", source), [
      "balsa/no-top-level-await-in-library",
      "balsa/no-top-level-await-in-library",
    ]);
  });

  it("accepts await in functions, and at the top of programs", () => {
    const source = "export async function f() { await 1; }";
    assertEquals(broken("src/host/x.ts", source), []);
    assertEquals(broken("examples/x.ts", "await 1;"), []);
  });
});

describe("no-ts-private", () => {
  it("refuses private fields and methods", () => {
    const source = "export class A { private x = 1; private run(): void {} }";
    assertEquals(broken("examples/x.ts", source), [
      "balsa/no-ts-private",
      "balsa/no-ts-private",
    ]);
  });

  it("accepts #private and public members, and private constructors", () => {
    const source = "export class A { #x = 1; public run(): void {} " +
      "private constructor() {} }";
    assertEquals(broken("examples/x.ts", source), []);
  });
});
