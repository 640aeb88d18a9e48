/**
 * The lock between processes of different runtimes. Runs on Deno alone, which
 * can make the program for the others and start them.
 */
import { after, before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("./lock_holder.ts", import.meta.url));

let folder = "";
let program = "";

/** How each runtime runs the program. */
function commandOf(runtime: string): [string, string[]] {
  switch (runtime) {
    case "deno":
      return [Deno.execPath(), ["run", "-A", "--no-config", program]];
    case "node":
      return ["node", [program]];
    default:
      return ["npx", ["-y", "bun@1.4.5", program]];
  }
}

interface Holder {
  /** "open" and its process id, or why it could not. */
  readonly said: string;
  kill(): Promise<void>;
}

/** Starts a process that tries to hold the directory. */
async function start(runtime: string, directory: string): Promise<Holder> {
  const [command, args] = commandOf(runtime);
  const child = new Deno.Command(command, {
    args: [...args, directory, "write"],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    said += value;
  }
  return {
    said: said.trim(),
    kill: async () => {
      // Bun is started through npx: the one that holds is not the child.
      const [, pid] = /^open (\d+)$/m.exec(said) ?? [];
      if (pid !== undefined) tryKill(Number(pid));
      tryKill(child.pid);
      await child.status;
      await reader.cancel();
    },
  };
}

function tryKill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has gone by itself.
  }
}

before(async () => {
  folder = await Deno.makeTempDir({ prefix: "balsa-lock-" });
  program = `${folder}/lock_holder.mjs`;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", "-o", program, SOURCE],
    stdout: "null",
    stderr: "null",
  }).output();
  assertEquals(code, 0);
});

after(async () => {
  await Deno.remove(folder, { recursive: true });
});

describe("the lock between processes", () => {
  const runtimes = ["deno", "node", "bun"];
  for (const [i, runtime] of runtimes.entries()) {
    const other = runtimes[(i + 1) % runtimes.length] ?? "deno";
    it(`of ${runtime} is seen by ${other}, and gone after kill -9`, async () => {
      const directory = `${folder}/${runtime}`;
      const holder = await start(runtime, directory);
      assert(/^open \d+$/.test(holder.said), holder.said);
      try {
        const second = await start(other, directory);
        await second.kill();
        assert(/is using it$/.test(second.said), second.said);
      } finally {
        await holder.kill();
      }
      const third = await start(other, directory);
      await third.kill();
      // The group is there already: the data of the killed one is intact.
      assert(third.said.includes("it exists"), third.said);
    });
  }
});
