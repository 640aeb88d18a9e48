/** A process that is killed while it writes loses nothing acknowledged. */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { RaftError } from "../../../../src/errors.ts";
import { entryOf, storageIn } from "./kill_child.ts";

const bunVersion = "1.4.5";
const childPath = new URL("./kill_child.ts", import.meta.url).pathname;
const rounds = [1, 2, 3, 4, 5];

let folder = "";
let bunChild: readonly string[] = [];

before(async () => {
  folder = await Deno.makeTempDir({ prefix: "balsa-kill-" });
  const bundle = `${folder}/kill_child.mjs`;
  const bundling = new Deno.Command(Deno.execPath(), {
    args: ["bundle", "-q", "--platform=deno", "-o", bundle, childPath],
    stdin: "null",
  });
  const finding = new Deno.Command("npx", {
    args: ["-y", `bun@${bunVersion}`, "-e", "console.log(process.execPath)"],
    stdin: "null",
  });
  const [bundled, bun] = await Promise.all([
    bundling.output(),
    finding.output(),
  ]);
  assert(bundled.success, new TextDecoder().decode(bundled.stderr));
  bunChild = [new TextDecoder().decode(bun.stdout).trim(), bundle];
});

after(() => Deno.remove(folder, { recursive: true }));

/** What a child said before it was killed. */
interface Said {
  acknowledged: number;
  compacted: number;
}

/**
 * Lets a child write, and kills it when it has said enough; `meanwhile` is
 * done while it lives.
 */
async function killAfter(
  lines: number,
  command: readonly string[],
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<Said> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    env: { BALSA_KILL_CHILD: "yes" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const said: Said = { acknowledged: 0, compacted: 0 };
  let heard = 0;
  let text = "";
  for await (
    const part of child.stdout.pipeThrough(new TextDecoderStream())
  ) {
    text += part;
    const whole = text.split("\n");
    text = whole.pop() ?? "";
    for (const line of whole) {
      const [what, index] = line.split(" ");
      const key = what === "ack" ? "acknowledged" : "compacted";
      said[key] = Math.max(said[key], Number(index));
      if (++heard !== lines) continue;
      await meanwhile();
      child.kill("SIGKILL");
    }
  }
  await child.status;
  assert(heard >= lines, `the child ended by itself after ${heard} lines`);
  return said;
}

/** Checks that everything a child acknowledged is there, entry for entry. */
async function checkLeft(
  engine: string,
  directory: string,
  written: { readonly said: Said; readonly terms: number[]; term: number },
): Promise<void> {
  const { said, terms, term } = written;
  const storage = storageIn(engine, directory);
  const { groups: [group] } = await storage.open({ deployment: "kill" });
  assert(group !== undefined, "the group is gone");
  assert(group.lastIndex >= said.acknowledged, "an acknowledged entry is gone");
  assert(group.firstIndex > said.compacted, "a compaction is undone");
  while (terms.length <= group.lastIndex) terms.push(term);
  let index = group.firstIndex;
  while (index <= group.lastIndex) {
    const range = { from: index, through: group.lastIndex, maxBytes: 1 << 20 };
    for (const entry of await storage.read({ group: 1, ...range })) {
      assertEquals(entry, entryOf(terms[index] ?? 0, index));
      index++;
    }
  }
  if (group.firstIndex > 1) {
    const reader = await storage.snapshotReader(1);
    let bytes = 0;
    for await (const chunk of reader?.chunks() ?? []) bytes += chunk.length;
    assertEquals(bytes, 100_000);
  }
  await storage.close();
}

const children:
  readonly (readonly [string, string, () => readonly string[]])[] = [
    ["SQLite on Deno", "sqlite", () => denoChild()],
    ["SQLite on Bun", "sqlite", () => bunChild],
    ["Deno KV", "deno", () => denoChild()],
  ];

function denoChild(): readonly string[] {
  const config = ["--config", "deno.offline.json", "--no-check"];
  return [Deno.execPath(), "run", "-A", "-q", ...config, childPath];
}

describe("a process that has it open", () => {
  for (const [name, engine, command] of children) {
    it(`locks others out as long as it lives: ${name}`, async () => {
      const directory = await Deno.makeTempDir({ dir: folder });
      let code = "";
      await killAfter(5, [...command(), engine, directory, "1"], async () => {
        const second = storageIn(engine, directory);
        const error = await assertRejects(
          () => second.open({ deployment: "kill" }),
          RaftError,
        );
        code = error.code;
        await second.close();
      });
      assertEquals(code, "locked");
      const third = storageIn(engine, directory);
      const { groups } = await third.open({ deployment: "kill" });
      assertEquals(groups.length, 1);
      await third.close();
    });
  }
});

describe("kill -9 while it writes (H45, H47)", () => {
  for (const [name, engine, command] of children) {
    it(`${name}: all that was acknowledged is there`, async () => {
      const directory = await Deno.makeTempDir({ dir: folder });
      const terms: number[] = [0];
      for (const term of rounds) {
        const line = [...command(), engine, directory, `${term}`];
        const said = await killAfter(20 + 37 * term, line);
        await checkLeft(engine, directory, { said, terms, term });
      }
    });
  }
});
