/**
 * Says which configuration works here: `deno.json`, whose `@std/assert` comes
 * from JSR, or `deno.offline.json`, which links the stand-in.
 *
 * @module
 */

const patienceMs = 8_000;

/** Name of the configuration file to test with, below the project's root. */
export type ConfigName = "deno.json" | "deno.offline.json";

/**
 * Chooses by trying to load a module that imports `@std/assert`. A network
 * that answers nothing at all counts as unreachable after eight seconds.
 */
export async function chooseConfig(): Promise<ConfigName> {
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["cache", "-q", "--config", "deno.json", "testing/probe.ts"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => probe.kill("SIGKILL"), patienceMs);
  const { success } = await probe.status;
  clearTimeout(timer);
  return success ? "deno.json" : "deno.offline.json";
}

if (import.meta.main) console.log(await chooseConfig());
