/**
 * The heads of requests taken apart: target, key, query, conditions. What a
 * client can get wrong in them is found here.
 *
 * @module
 */
import type { ReadConsistency } from "@balsa/raft";
import {
  type KvExpectation,
  MAX_KEY_BYTES,
  MAX_LIST_LIMIT,
} from "@balsa/raft/machines/kv";
import { Problem } from "./replies.ts";
import type { RequestEnv } from "./listen.ts";

/** Who repeats a write, and which one it is. */
export interface IdempotencyKey {
  readonly client: string;
  readonly sequence: number;
}

const DEFAULT_LIST_LIMIT = 100;
const KEY_PREFIX = "/kv/";
const REVISION_TAG = /^"(0|[1-9]\d{0,14})"$/;
const IDEMPOTENCY_KEY = /^([\x21-\x2e\x30-\x7e]{1,128})\/(\d{1,15})$/;
const LIMIT = /^\d{1,9}$/;
const NO_QUERY: ReadonlyMap<string, string> = new Map();
const encoder = new TextEncoder();

/**
 * The path and query as they were sent: no dot segments resolved, nothing
 * decoded, so that every key can be named.
 */
export function targetOf(request: Request, env?: RequestEnv): string {
  const sent = env?.incoming?.url ?? request.url;
  if (sent.charCodeAt(0) === 47) return sent;
  const slash = sent.indexOf("/", sent.indexOf("://") + 3);
  return slash < 0 ? "/" : sent.slice(slash);
}

/** The part of a target before the query. */
export function pathOf(target: string): string {
  const end = target.indexOf("?");
  return end < 0 ? target : target.slice(0, end);
}

/**
 * The key in a path below `/kv/`: all that follows, slashes included, percent
 * decoded once.
 *
 * @throws {Problem} 400, if the encoding or the length is wrong.
 */
export function keyOf(path: string): string {
  const raw = path.slice(KEY_PREFIX.length);
  const key = decodeComponent(raw, "key");
  const bytes = raw.includes("%") ? encoder.encode(key).length : key.length;
  if (bytes >= 1 && bytes <= MAX_KEY_BYTES) return key;
  throw new Problem(
    400,
    "badKey",
    `Cannot use the key: it has ${bytes} bytes, wanted 1 to ${MAX_KEY_BYTES}`,
  );
}

/**
 * The query parameters of a target; each at most once, only `known` ones.
 *
 * @throws {Problem} 400, if one is unknown, repeated or badly encoded.
 */
export function queryOf(
  target: string,
  known: readonly string[],
): ReadonlyMap<string, string> {
  const start = target.indexOf("?");
  if (start < 0 || start === target.length - 1) return NO_QUERY;
  const query = new Map<string, string>();
  for (const pair of target.slice(start + 1).split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const rawName = equals < 0 ? pair : pair.slice(0, equals);
    const rawValue = equals < 0 ? "" : pair.slice(equals + 1);
    const name = decodeComponent(rawName.replaceAll("+", "%20"), "query");
    if (!known.includes(name) || query.has(name)) {
      throw badRequest(
        `Cannot read the query: parameter "${name}" is ${
          query.has(name) ? "given twice" : "unknown"
        }, wanted ${known.join(", ") || "none"}`,
      );
    }
    const value = rawValue.replaceAll("+", "%20");
    query.set(name, decodeComponent(value, `query parameter ${name}`));
  }
  return query;
}

/**
 * The `consistency` parameter.
 *
 * @throws {Problem} 400, if it is none of the three.
 */
export function consistencyOf(
  query: ReadonlyMap<string, string>,
): ReadConsistency {
  const value = query.get("consistency");
  switch (value) {
    case undefined:
      return "linearizable";
    case "linearizable":
    case "lease":
    case "stale":
      return value;
    default:
      throw badRequest(
        `Cannot read the query: consistency is "${value}", wanted linearizable, lease or stale`,
      );
  }
}

/**
 * Whether another member may be asked on the client's behalf: `forward`.
 *
 * @throws {Problem} 400, if it is neither yes nor no.
 */
export function forwardOf(query: ReadonlyMap<string, string>): boolean {
  const value = query.get("forward") ?? "yes";
  if (value === "yes" || value === "no") return value === "yes";
  throw badRequest(
    `Cannot read the query: forward is "${value}", wanted yes or no`,
  );
}

/**
 * The `limit` parameter.
 *
 * @throws {Problem} 400, if it is out of bounds.
 */
export function limitOf(query: ReadonlyMap<string, string>): number {
  const value = query.get("limit");
  if (value === undefined) return DEFAULT_LIST_LIMIT;
  const limit = LIMIT.test(value) ? Number(value) : 0;
  if (limit >= 1 && limit <= MAX_LIST_LIMIT) return limit;
  throw badRequest(
    `Cannot read the query: limit is "${value}", wanted 1 to ${MAX_LIST_LIMIT}`,
  );
}

/**
 * The `prefix` or `after` parameter: empty, or what a key may begin with.
 *
 * @throws {Problem} 400, if it is longer than a key.
 */
export function prefixOf(
  query: ReadonlyMap<string, string>,
  name: "prefix" | "after",
): string | undefined {
  const value = query.get(name);
  if (value === undefined) return undefined;
  const bytes = encoder.encode(value).length;
  if (bytes <= MAX_KEY_BYTES) return value;
  throw badRequest(
    `Cannot read the query: ${name} has ${bytes} bytes, wanted at most ${MAX_KEY_BYTES}`,
  );
}

/** A header, without building the standard `Headers` on Node and Bun. */
export function headerOf(
  request: Request,
  env: RequestEnv | undefined,
  name: string,
): string | undefined {
  const incoming = env?.incoming;
  if (incoming === undefined) return request.headers.get(name) ?? undefined;
  const value = incoming.headers[name];
  return typeof value === "string" ? value : value?.join(", ");
}

/**
 * What `If-Match` and `If-None-Match` demand of a write.
 *
 * @throws {Problem} 400, if they are malformed or contradict each other.
 */
export function conditionOf(
  ifMatch: string | undefined,
  ifNoneMatch: string | undefined,
): KvExpectation | undefined {
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw badRequest(
      "Cannot read the condition: If-Match and If-None-Match exclude each other",
    );
  }
  if (ifMatch === undefined) {
    if (ifNoneMatch === "*") return { type: "absent" };
    throw badRequest(
      `Cannot read the condition: If-None-Match is ${ifNoneMatch}, wanted *`,
    );
  }
  if (ifMatch === "*") return { type: "present" };
  const revision = REVISION_TAG.exec(ifMatch)?.[1];
  if (revision !== undefined) {
    return { type: "revision", revision: Number(revision) };
  }
  throw badRequest(
    `Cannot read the condition: If-Match is ${ifMatch}, wanted * or one revision in double quotes`,
  );
}

/** Whether `If-None-Match` of a read names the revision the client has. */
export function hasRevision(
  ifNoneMatch: string | undefined,
  revision: number,
): boolean {
  if (ifNoneMatch === undefined) return false;
  const tag = `"${revision}"`;
  return ifNoneMatch.split(",").some((part) => {
    const candidate = part.trim();
    return candidate === "*" || candidate === tag || candidate === `W/${tag}`;
  });
}

/**
 * The `Idempotency-Key` header: `<client>/<sequence>`.
 *
 * @throws {Problem} 400, if it is malformed.
 */
export function idempotencyKeyOf(
  header: string | undefined,
): IdempotencyKey | undefined {
  if (header === undefined) return undefined;
  const match = IDEMPOTENCY_KEY.exec(header);
  if (match?.[1] !== undefined) {
    return { client: match[1], sequence: Number(match[2]) };
  }
  throw badRequest(
    `Cannot read Idempotency-Key: it is "${header}", wanted <client>/<sequence> with a client of 1 to 128 visible ASCII characters but / and a sequence of at most 15 digits`,
  );
}

/** Percent decodes ASCII text as UTF-8, strictly. */
function decodeComponent(raw: string, what: string): string {
  if (!/^[\x21-\x7e]*$/.test(raw)) {
    throw badRequest(
      `Cannot read the ${what}: it is not percent-encoded ASCII`,
      what,
    );
  }
  if (!raw.includes("%")) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw badRequest(
      `Cannot read the ${what}: its percent-encoding is not UTF-8`,
      what,
    );
  }
}

function badRequest(message: string, what = ""): Problem {
  return new Problem(400, what === "key" ? "badKey" : "badRequest", message);
}
