/** The tools as a program: what it prints where, and how it ends. */
import { describe, it } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { flip, makeLog } from "../../storage/tools/logs.ts";
import { withSite } from "../../storage/tools/support.ts";

const decoder = new TextDecoder();

async function balsa(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--config", "deno.offline.json"],
      ...["storage/tools/main.ts", ...args],
    ],
    stdin: "null",
  }).output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

describe("the program balsa", () => {
  it("ends with 0, 1, 2 or 3, and draws no bar where there is no terminal", () =>
    withSite(async (site) => {
      const directory = site.path("log");
      await (await makeLog(directory)).close();
      const sound = await balsa("--", "verify", directory, "--json");
      assertEquals([sound.code, sound.err], [0, ""]);
      assertEquals(JSON.parse(sound.out).problems, []);
      flip(`${directory}/0000000000000002.wal`, 2_000);
      const damaged = await balsa("verify", directory);
      assertEquals([damaged.code, damaged.err], [1, ""]);
      const asked = await balsa("repair", directory);
      assertEquals([asked.code, asked.err], [3, ""]);
      const wrong = await balsa("verify");
      assertEquals([wrong.code, wrong.out], [2, ""]);
      assertMatch(wrong.err, /^Cannot verify: 0 arguments are given/);
    }));
});
