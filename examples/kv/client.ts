/**
 * A small client for the command line.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import * as z from "zod";
import { parseHostPort } from "./config.ts";
import { EXIT, type ExitCode, ExitError, messageOf } from "./exit.ts";
import { type ParsedFlags, usage } from "./flags.ts";
import type { ProcessIo } from "./process_io.ts";

/** What the client can do, and what each command takes. */
export const CLIENT_COMMANDS: Readonly<Record<string, string>> = {
  get: "KEY",
  put: "KEY VALUE (- reads standard input)",
  delete: "KEY",
  list: "[PREFIX]",
  status: "",
  add: "ID=HOST:PORT",
  remove: "ID",
};

/** Arguments each takes at most; `list` may do without. */
const ARGUMENT_COUNT: Readonly<Record<string, number>> = {
  get: 1,
  put: 2,
  delete: 1,
  list: 1,
  add: 1,
  remove: 1,
};

const DEFAULT_ENDPOINT = "127.0.0.1:8001";

/** Longer than any server waits by default. */
const ANSWER_MS = 90_000;

const page = z.object({
  items: z.array(z.object({
    key: z.string(),
    value: z.string(),
    revision: z.number(),
  })),
  next: z.string().nullable(),
});

/**
 * Carries out one client command.
 *
 * @returns 0 if the server did it, 1 if it refused.
 * @throws {ExitError} Code 2 for wrong usage, 1 if nobody answers.
 */
export async function runClient(
  command: string,
  { flags, positionals }: ParsedFlags,
  io: ProcessIo,
): Promise<ExitCode> {
  const base = baseUrl(flags.get("endpoint") ?? DEFAULT_ENDPOINT);
  const [first, second] = checkArguments(command, positionals);
  const consistency = flags.get("consistency");
  const query = consistency === undefined
    ? ""
    : `consistency=${encodeURIComponent(consistency)}`;
  const item = `${base}/kv/${encodeURIComponent(first)}`;
  switch (command) {
    case "get":
      return await show(await call(`${item}?${query}`), io);
    case "put":
      return await show(
        await call(item, { method: "PUT", body: bytesOf(second) }),
        io,
      );
    case "delete":
      return await show(await call(item, { method: "DELETE" }), io);
    case "status":
      return await show(await call(`${base}/status`), io);
    case "add":
    case "remove":
      return await show(
        await call(`${base}/members`, {
          method: "POST",
          body: JSON.stringify({ [command]: [memberOf(command, first)] }),
        }),
        io,
      );
    default:
      return await list(
        `${base}/kv?limit=1000&prefix=${encodeURIComponent(first)}&${query}`,
        io,
      );
  }
}

async function list(url: string, io: ProcessIo): Promise<ExitCode> {
  let after = "";
  for (;;) {
    const response = await call(`${url}${after}`);
    if (!response.ok) return await show(response, io);
    const { items, next } = page.parse(await response.json());
    for (const { key, value, revision } of items) {
      io.out(`${revision}\t${key}\t${atob(value)}`);
    }
    if (next === null) return EXIT.ok;
    after = `&after=${encodeURIComponent(next)}`;
  }
}

async function show(response: Response, io: ProcessIo): Promise<ExitCode> {
  const text = await response.text();
  if (response.ok) io.out(text);
  else io.err(text === "" ? `${response.status}` : text);
  return response.ok ? EXIT.ok : EXIT.failed;
}

async function call(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, {
      ...init,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch (error) {
    throw new ExitError(
      EXIT.failed,
      `Cannot reach ${new URL(url).host}: ${messageOf(error)}`,
    );
  }
}

/** What `add` or `remove` is about. */
function memberOf(
  command: "add" | "remove",
  text: string,
): number | { readonly id: number; readonly address: string } {
  const [id = "", address = "", ...rest] = text.split("=");
  const isAdd = command === "add";
  const isRight = /^[1-9]\d{0,14}$/.test(id) && rest.length === 0 &&
    (isAdd ? parseHostPort(address) !== undefined : address === "");
  if (isRight) return isAdd ? { id: Number(id), address } : Number(id);
  throw usage(
    `Cannot ${command} "${text}": wanted ${CLIENT_COMMANDS[command]}`,
  );
}

function baseUrl(endpoint: string): string {
  if (parseHostPort(endpoint) !== undefined) return `http://${endpoint}`;
  throw usage(
    `Cannot use --endpoint: it is "${endpoint}", wanted HOST:PORT`,
  );
}

function checkArguments(
  command: string,
  positionals: readonly string[],
): [string, string] {
  const wanted = CLIENT_COMMANDS[command] ?? "";
  const most = ARGUMENT_COUNT[command] ?? 0;
  const least = command === "list" ? 0 : most;
  if (positionals.length < least || positionals.length > most) {
    throw usage(
      `Cannot ${command}: ${positionals.length} arguments are given, wanted ${
        wanted === "" ? "none" : wanted
      }`,
    );
  }
  return [positionals[0] ?? "", positionals[1] ?? ""];
}

function bytesOf(value: string): Uint8Array<ArrayBuffer> {
  if (value !== "-") return new TextEncoder().encode(value);
  return new Uint8Array(readFileSync(process.stdin.fd));
}
