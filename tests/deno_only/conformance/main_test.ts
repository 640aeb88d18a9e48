import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";

const KIT = "tests/conformance/kit";

interface Run {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: string;
}

async function conformance(...words: readonly string[]): Promise<Run> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "tests/conformance/main.ts", ...words],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    lines: decoder.decode(output.stdout).trim().split("\n"),
    errors: decoder.decode(output.stderr),
  };
}

describe("deno task conformance", () => {
  it("ends with 0 and the sum when everything passes", async () => {
    const folder = resolve(KIT, "quorum");
    const { code, lines } = await conformance(folder, "--level", "1");
    assertEquals(lines, ["88 passed, 0 failed"]);
    assertEquals(code, 0);
  });

  it("says what failed on one line each, and ends with 1", async () => {
    const folder = await mkdtemp(join(tmpdir(), "balsa-kit-"));
    try {
      const text = await readFile(`${KIT}/confchange/zero.txt`, "utf8");
      const changed = text.replaceAll("voters=(1)", "voters=(2)");
      assert(changed !== text);
      await writeFile(join(folder, "zero.txt"), changed);
      const { code, lines } = await conformance(folder);
      assertEquals(code, 1);
      assert(lines.length > 1);
      for (const line of lines.slice(0, -1)) {
        assertEquals(line.slice(0, 15), "FAILED zero.txt");
        assert(line.includes("expected") && line.includes("found"), line);
      }
      assertEquals(
        lines.at(-1)?.split(" passed, ")[1],
        `${lines.length - 1} failed`,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("ends with 2 for a folder that is none, and for words it does not know", async () => {
    for (const words of [["nowhere"], ["--level", "9"]]) {
      const { code, errors } = await conformance(...words);
      assertEquals(code, 2);
      assert(errors.startsWith("Cannot "), errors);
    }
  });
});
