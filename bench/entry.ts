/**
 * What runs in the processes that `main.ts` starts: a yardstick, the load
 * generator, or a benchmark that fits into one process. One entry, so that
 * one bundle serves the runtimes that do not run TypeScript; each part is
 * loaded only where it runs.
 *
 * @module
 */
import { join } from "node:path";
import process from "node:process";
import * as z from "zod";

const count = z.int().min(0);
const seconds = z.number().positive();
const timed = z.object({ seconds });
const placed = z.object({ directory: z.string() });
const disk = z.object({ directory: z.string(), bytes: count, seconds });
const stored = z.object({ directory: z.string(), seconds });
const member = z.object({
  id: count,
  directory: z.string(),
  addresses: z.array(z.string()),
  stateBytes: count,
  seconds,
});
const leading = z.object({
  directory: z.string(),
  followers: z.array(count),
});
const load = z.object({
  port: count,
  clients: count.min(1).max(9_999),
  warmupSeconds: z.number().min(0),
  seconds,
  valueBytes: count.min(32),
  run: count.max(999),
  pids: z.array(count),
});

const content = z.object({
  directory: z.string(),
  entries: count,
  groups: count,
  bytes: count,
});

const FILE = "journal";

/** Runs a command; those that measure return, those that serve stay. */
async function main(command: string, options: unknown): Promise<void> {
  switch (command) {
    case "core": {
      const { measureCore } = await import("./core.ts");
      return finish(measureCore(timed.parse(options).seconds));
    }
    case "idle": {
      const { measureIdle } = await import("./idle_cores.ts");
      return finish(measureIdle(timed.parse(options).seconds));
    }
    case "hosts": {
      const { measureHosts } = await import("./hosts.ts");
      return finish(await measureHosts(timed.parse(options).seconds));
    }
    case "disk": {
      const { measureDisk } = await import("./disk.ts");
      const { directory, bytes, seconds } = disk.parse(options);
      return finish(await measureDisk(join(directory, FILE), bytes, seconds));
    }
    case "appends": {
      const { measureAppends } = await import("./appends.ts");
      const { directory, seconds } = stored.parse(options);
      return finish(await measureAppends(directory, seconds));
    }
    case "engines": {
      const { measureKvEngines } = await import("./kv_engines.ts");
      const { directory, seconds } = stored.parse(options);
      return finish(await measureKvEngines(directory, seconds));
    }
    case "fillLog": {
      const { fillLog } = await import("./openings.ts");
      return finish(await fillLog(content.parse(options)));
    }
    case "openLog": {
      const { measureOpening } = await import("./openings.ts");
      return finish(await measureOpening(content.parse(options)));
    }
    case "member": {
      const { runMember } = await import("./snapshots.ts");
      const figures = await runMember(member.parse(options));
      // The others are needed until the leader has what it wants.
      return figures === undefined ? undefined : finish(figures);
    }
    case "load": {
      const { measureLoad } = await import("./load.ts");
      return finish(await measureLoad(load.parse(options)));
    }
    case "echo": {
      const { startEcho } = await import("./echo.ts");
      return tell("ready", await startEcho());
    }
    case "nullFollower": {
      const { startNullFollower } = await import("./null_replicated.ts");
      const { directory } = placed.parse(options);
      return tell("ready", await startNullFollower(join(directory, FILE)));
    }
    case "nullLeader": {
      const { startNullLeader } = await import("./null_replicated.ts");
      const { directory, followers } = leading.parse(options);
      const port = await startNullLeader(join(directory, FILE), followers);
      return tell("ready", port);
    }
    default:
      throw new Error(`Cannot run a benchmark: unknown command "${command}"`);
  }
}

/** A line that the starting process waits for. */
function tell(word: string, value: unknown): void {
  process.stdout.write(`${word} ${JSON.stringify(value)}\n`);
}

/** Tells the result, and ends the process once it is written. */
function finish(result: unknown): void {
  process.stdout.write(`result ${JSON.stringify(result)}\n`, () => {
    process.exit(0);
  });
}

const [command = "", options = "{}"] = process.argv.slice(2);
await main(command, JSON.parse(options));
