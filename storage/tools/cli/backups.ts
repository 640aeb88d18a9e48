/**
 * The commands about backups: `backup`, `verify-backup`, `restore`.
 *
 * @module
 */
import fs from "node:fs";
import { fetchBackup } from "../fetch_backup.ts";
import { type CheckedBackup, restore, verifyBackup } from "../restore.ts";
import { addressOf, type Arguments, membersOf } from "./arguments.ts";
import {
  EXIT,
  type ExitCode,
  formatBytes,
  type ToolIo,
  UsageError,
} from "./io.ts";
import { startBar } from "./progress.ts";

/** `backup URL FILE` */
export async function runBackup(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const [address = "", file = ""] = args.positionals;
  const url = urlOf(address);
  if (args.has("stale")) url.searchParams.set("consistency", "stale");
  const bar = startBar(io, "backup");
  try {
    const checked = await fetchBackup({ url, file, progress: bar.progress });
    bar.end();
    await tell(args, io, checked);
  } finally {
    bar.end();
  }
  return EXIT.ok;
}

/** `verify-backup FILE` */
export async function runVerifyBackup(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const file = args.positionals[0] ?? "";
  const bar = startBar(io, "verify", sizeOf(file));
  try {
    const checked = await verifyBackup(file, bar.progress);
    bar.end();
    await tell(args, io, checked);
  } finally {
    bar.end();
  }
  return EXIT.ok;
}

/** `restore FILE --data DIR --deployment NAME --node N …` */
export async function runRestore(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const file = args.positionals[0] ?? "";
  const node = args.requiredInteger("node");
  const list = args.text("members");
  const address = args.text("address");
  if ((list === undefined) === (address === undefined)) {
    throw new UsageError(
      "Cannot restore: wanted either --address or --members",
    );
  }
  const members = list === undefined
    ? [{ id: node, address: addressOf("address", address ?? "") }]
    : membersOf("members", list);
  const bar = startBar(io, "restore", sizeOf(file));
  try {
    const outcome = await restore({
      file,
      directory: args.required("data"),
      deployment: args.required("deployment"),
      group: args.integer("group"),
      node,
      members,
      sameDeployment: args.has("same-deployment"),
      progress: bar.progress,
    });
    bar.end();
    if (args.has("json")) await io.out(JSON.stringify(outcome));
    else {
      for (const line of describeBackup(outcome)) await io.out(line);
      await io.out(
        `restored to ${outcome.directory}, data directory ${outcome.incarnation}, voters ${
          outcome.conf.voters.join(",")
        }`,
      );
    }
  } finally {
    bar.end();
  }
  return EXIT.ok;
}

async function tell(
  args: Arguments,
  io: ToolIo,
  checked: CheckedBackup,
): Promise<void> {
  if (args.has("json")) return await io.out(JSON.stringify(checked));
  for (const line of describeBackup(checked)) await io.out(line);
}

function* describeBackup(checked: CheckedBackup): Generator<string> {
  const { file, manifest, bytes, digest } = checked;
  const { deployment, group, index, term, conf, takenAtMs } = manifest;
  yield `${file}: deployment "${deployment}", group ${group}, everything through entry ${index} of term ${term}`;
  yield `  taken ${new Date(takenAtMs).toISOString()}, ${
    formatBytes(bytes)
  } of state, voters ${conf.voters.join(",")}`;
  yield `  sha-256 ${digest}`;
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(
      `Cannot back up "${text}": wanted a URL such as http://127.0.0.1:8001`,
    );
  }
  if (url.pathname === "/") url.pathname = "/backup";
  return url;
}

function sizeOf(file: string): number | undefined {
  return fs.statSync(file, { throwIfNoEntry: false })?.size;
}
