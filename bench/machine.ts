/**
 * What a run was taken on, for the reader of its figures.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import * as os from "node:os";
import process from "node:process";
import type { Runtime } from "./processes.ts";

/** Processors, memory, kernel, file system and runtime, in two lines. */
export async function describeMachine(
  runtime: Runtime,
  directory: string,
): Promise<string> {
  const cpus = os.cpus();
  const model = cpus[0]?.model.trim() ?? "unknown processor";
  const gib = Math.round(os.totalmem() / 2 ** 30);
  return [
    `${cpus.length} cores (${model}), ${gib} GiB, ${os.type()} ` +
    `${os.release()}, data on ${await describeDisk(directory)}`,
    `${runtime.name} ${runtime.version}; load generator on deno ` +
    `${process.versions["deno"]}; load average ${
      os.loadavg().map((load) => load.toFixed(2)).join(" ")
    }`,
  ].join("\n");
}

/** File system type and device below a directory; only Linux tells. */
async function describeDisk(directory: string): Promise<string> {
  if (process.platform !== "linux") return "an unknown file system";
  const mounts = (await readFile("/proc/mounts", "utf8")).split("\n")
    .map((line) => line.split(" "))
    .filter(([, point]) => point !== undefined && holds(point, directory))
    .sort(([, a = ""], [, b = ""]) => b.length - a.length);
  const [device, , type] = mounts[0] ?? [];
  return device === undefined ? "an unknown file system" : `${type}, ${device}`;
}

function holds(mountPoint: string, directory: string): boolean {
  const prefix = mountPoint.endsWith("/") ? mountPoint : `${mountPoint}/`;
  return directory.startsWith(prefix);
}
