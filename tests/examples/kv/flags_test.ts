import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "node:test";
import { EXIT, ExitError } from "../../../examples/kv/exit.ts";
import {
  CLIENT_FLAGS,
  CLUSTER_FLAGS,
  describeFlags,
  parseFlags,
  SERVE_FLAGS,
  variableOf,
} from "../../../examples/kv/flags.ts";

describe("parseFlags()", () => {
  it("takes values after a space and after an equals sign", () => {
    const { flags, positionals, help } = parseFlags(
      ["--id", "1", "--http=127.0.0.1:8001", "--exit-with-stdin"],
      SERVE_FLAGS,
    );
    assertEquals(
      [...flags],
      [["id", "1"], ["http", "127.0.0.1:8001"], ["exit-with-stdin", "true"]],
    );
    assertEquals(positionals, []);
    assertEquals(help, false);
  });

  it("keeps what is no flag in order, and everything after --", () => {
    const { flags, positionals } = parseFlags(
      ["key", "--endpoint", "h:1", "-", "--", "--value", "-h"],
      CLIENT_FLAGS,
    );
    assertEquals([...flags], [["endpoint", "h:1"]]);
    assertEquals(positionals, ["key", "-", "--value", "-h"]);
  });

  it("sees --help and -h", () => {
    assertEquals(parseFlags(["--help"], CLUSTER_FLAGS).help, true);
    assertEquals(parseFlags(["-h"], CLUSTER_FLAGS).help, true);
  });

  const wrong: readonly [string, readonly string[], string][] = [
    ["an unknown flag", ["--idd", "1"], "unknown flag --idd"],
    ["a short flag", ["-i", "1"], "unknown flag -i"],
    ["a flag given twice", ["--id", "1", "--id=2"], "--id is given twice"],
    ["a missing value at the end", ["--id"], "--id lacks its value"],
    [
      "a flag in the place of a value",
      ["--id", "--http"],
      "--id lacks its value",
    ],
  ];
  for (const [what, args, message] of wrong) {
    it(`refuses ${what} with exit code 2`, () => {
      const error = assertThrows(
        () => parseFlags(args, SERVE_FLAGS),
        ExitError,
        message,
      );
      assertEquals(error.exitCode, EXIT.usage);
    });
  }
});

describe("flag tables", () => {
  it("name each flag once and describe it on one line", () => {
    for (const specs of [SERVE_FLAGS, CLUSTER_FLAGS, CLIENT_FLAGS]) {
      const names = specs.map(({ name }) => name);
      assertEquals(new Set(names).size, names.length);
      const help = describeFlags(specs).split("\n");
      assertEquals(help.length, specs.length);
      for (const [i, name] of names.entries()) {
        assertStringIncludes(help[i] ?? "", `--${name} `);
      }
    }
  });

  it("give each flag a variable of the environment", () => {
    assertEquals(variableOf("id"), "BALSA_ID");
    assertEquals(variableOf("http-port"), "BALSA_HTTP_PORT");
  });
});
