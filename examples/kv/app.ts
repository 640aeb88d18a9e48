/**
 * The HTTP face of one member: routes, and what they ask of the group.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  type GroupStatus,
  isRaftError,
  type RaftGroup,
  type ReadConsistency,
  type ReadOptions,
} from "@balsa/raft";
import type {
  KvAnswer,
  KvCommand,
  KvExpectation,
  KvItem,
  KvListAnswer,
  KvQuery,
  KvResult,
} from "@balsa/raft/machines/kv";
import { type Context, Hono } from "hono";
import { changeMembers, membershipChangeOf, statusBody } from "./admin.ts";
import { type BackupLimits, Backups } from "./backups.ts";
import { type BodyLimits, BodyReader } from "./body.ts";
import type { FetchHandler, RequestEnv } from "./listen.ts";
import { Metrics } from "./metrics.ts";
import {
  errorResponse,
  failureResponse,
  jsonResponse,
  Problem,
  RETRY_AFTER_SECONDS,
  textResponse,
} from "./replies.ts";
import {
  conditionOf,
  consistencyOf,
  forwardOf,
  hasRevision,
  headerOf,
  idempotencyKeyOf,
  keyOf,
  limitOf,
  pathOf,
  prefixOf,
  queryOf,
  targetOf,
} from "./request.ts";

/** The group of a KV server. */
export type KvGroup = RaftGroup<KvCommand, KvResult, KvQuery, KvAnswer>;

/** Settings of {@linkcode KvApp}. */
export interface KvAppOptions extends BackupLimits, BodyLimits {
  /** How long a request waits for a leader and a quorum, in milliseconds. */
  readonly timeoutMs: number;
}

type KvContext = Context<{ Bindings: RequestEnv }>;

const ITEM_METHODS = "GET, HEAD, PUT, DELETE";
const READ_METHODS = "GET, HEAD";
const READ_QUERY = ["consistency", "forward"];
const WRITE_QUERY = ["forward"];
const LIST_QUERY = [...READ_QUERY, "prefix", "after", "limit"];
const NO_QUERY: readonly string[] = [];
/** New voters receive the whole log before they vote. */
const MEMBERSHIP_MS = 60_000;

/** One member's HTTP face; until a group is attached it answers 503. */
export class KvApp {
  /** Answers a request; never throws. */
  readonly fetch: FetchHandler;
  readonly #timeoutMs: number;
  readonly #metrics = new Metrics();
  readonly #backups: Backups;
  readonly #bodies: BodyReader;
  #group: KvGroup | undefined;
  #draining = false;

  /** Makes the routes. */
  constructor(options: KvAppOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#backups = new Backups(options);
    this.#bodies = new BodyReader(options);
    const app = new Hono<{ Bindings: RequestEnv }>({
      // The path as it was sent: keys are decoded here, once and strictly.
      getPath: (request, options) =>
        pathOf(targetOf(request, envOf(options?.env))),
    });
    // One handler for all methods of a key: with two that match, Hono would
    // compose a chain for each request. "/kv/*" matches "/kv" as well.
    app.all("/kv", (context) => this.#list(context));
    app.all("/kv/*", (context) => this.#item(context));
    app.all("/backup", (context) => this.#backup(context));
    app.all("/members", (context) => this.#members(context));
    this.#route(
      app,
      "/status",
      () => jsonResponse(statusBody(this.#attached().status())),
    );
    this.#route(app, "/healthz", () => jsonResponse({ alive: true }));
    this.#route(app, "/readyz", () => this.#ready());
    this.#route(app, "/metrics", () => this.#render());
    app.notFound((context) =>
      errorResponse(
        404,
        "unknownRoute",
        `Cannot find ${context.req.path}: there is no such route`,
      )
    );
    app.onError((error, context) =>
      failureResponse(error, context.req.raw.method)
    );
    this.fetch = async (request, env) => {
      const start = performance.now();
      const response = await app.fetch(request, env);
      const ms = performance.now() - start;
      this.#metrics.count(request.method, response.status, ms);
      return response;
    };
  }

  /** Serves requests by `group` from now on. */
  attach(group: KvGroup): void {
    this.#group = group;
  }

  /** Answers `/readyz` with 503 from now on; everything else goes on. */
  drain(): void {
    this.#draining = true;
  }

  /** Lets go of its timers; for when nothing is served any more. */
  close(): void {
    this.#backups.close();
    this.#bodies.close();
  }

  /** A route that only reads and takes no parameters. */
  #route(
    app: Hono<{ Bindings: RequestEnv }>,
    path: string,
    answer: () => Response,
  ): void {
    app.all(path, (context) => {
      const { method } = context.req.raw;
      if (method !== "GET" && method !== "HEAD") throw wrongMethod(context);
      queryOf(targetOf(context.req.raw, context.env), NO_QUERY);
      return answer();
    });
  }

  async #item(context: KvContext): Promise<Response> {
    switch (context.req.raw.method) {
      case "GET":
      case "HEAD":
        return await this.#get(context);
      case "PUT":
        return await this.#put(context);
      case "DELETE":
        return await this.#delete(context);
      default:
        throw wrongMethod(context, ITEM_METHODS);
    }
  }

  async #get(context: KvContext): Promise<Response> {
    const request = context.req.raw;
    const target = targetOf(request, context.env);
    const key = keyOf(pathOf(target));
    const query = queryOf(target, READ_QUERY);
    const consistency = consistencyOf(query);
    return await this.#read(target, consistency, forwardOf(query), async (
      group,
      options,
      headers,
    ) => {
      const answer = await group.read({ type: "get", key }, options);
      if (answer.type !== "get") throw unexpected(answer.type);
      if (answer.item === null) throw noSuchKey(key);
      const match = headerOf(request, context.env, "if-none-match");
      // A HEAD is sent without the body, and would say a length of 0.
      const length = request.method === "HEAD"
        ? { "content-length": `${answer.item.value.length}` }
        : {};
      return itemResponse(answer.item, match, { ...length, ...headers });
    });
  }

  async #list(context: KvContext): Promise<Response> {
    const { method } = context.req.raw;
    if (method !== "GET" && method !== "HEAD") throw wrongMethod(context);
    const target = targetOf(context.req.raw, context.env);
    const query = queryOf(target, LIST_QUERY);
    const consistency = consistencyOf(query);
    const list: KvQuery = {
      type: "list",
      prefix: prefixOf(query, "prefix"),
      after: prefixOf(query, "after"),
      limit: limitOf(query),
    };
    return await this.#read(target, consistency, forwardOf(query), async (
      group,
      options,
      headers,
    ) => {
      const answer = await group.read(list, options);
      if (answer.type !== "list") throw unexpected(answer.type);
      return jsonResponse(listBody(answer), { headers });
    });
  }

  /** Reads with the given freshness, or sends the client to the leader. */
  async #read(
    target: string,
    consistency: ReadConsistency,
    forward: boolean,
    answer: (
      group: KvGroup,
      options: ReadOptions,
      headers: Readonly<Record<string, string>>,
    ) => Promise<Response>,
  ): Promise<Response> {
    const group = this.#attached();
    // Taken before the read: the answer is at least as new as they say.
    const headers = consistency === "linearizable"
      ? {}
      : freshnessHeaders(group.status());
    const options = { consistency, forward, timeoutMs: this.#timeoutMs };
    if (forward || consistency === "stale") {
      return await answer(group, options, headers);
    }
    return await this.#orRedirect(
      group,
      target,
      () => answer(group, options, headers),
    );
  }

  async #put(context: KvContext): Promise<Response> {
    const request = context.req.raw;
    const { env } = context;
    const target = targetOf(request, env);
    const key = keyOf(pathOf(target));
    const forward = forwardOf(queryOf(target, WRITE_QUERY));
    const expect = conditionOf(
      headerOf(request, env, "if-match"),
      headerOf(request, env, "if-none-match"),
    );
    const propose = async () => {
      const value = await this.#bodies.read(request, env);
      refuseImpossible(expect);
      return await this.#write(
        { type: "put", key, value, expect },
        context,
        forward,
      );
    };
    return forward
      ? await propose()
      : await this.#orRedirect(this.#attached(), target, propose);
  }

  async #delete(context: KvContext): Promise<Response> {
    const request = context.req.raw;
    const { env } = context;
    const target = targetOf(request, env);
    const key = keyOf(pathOf(target));
    const forward = forwardOf(queryOf(target, WRITE_QUERY));
    const expect = conditionOf(
      headerOf(request, env, "if-match"),
      headerOf(request, env, "if-none-match"),
    );
    refuseImpossible(expect);
    const command: KvCommand = { type: "delete", key, expect };
    const propose = () => this.#write(command, context, forward);
    return forward
      ? await propose()
      : await this.#orRedirect(this.#attached(), target, propose);
  }

  async #write(
    command: KvCommand,
    context: KvContext,
    forward: boolean,
  ): Promise<Response> {
    const group = this.#attached();
    const repeat = idempotencyKeyOf(
      headerOf(context.req.raw, context.env, "idempotency-key"),
    );
    const timeoutMs = this.#timeoutMs;
    const { result } = repeat === undefined
      ? await group.propose(command, { forward, timeoutMs })
      : await group.session(repeat.client).propose(command, {
        sequence: repeat.sequence,
        forward,
        timeoutMs,
      });
    return writtenResponse(result);
  }

  /** Carries `work` out if this member leads, else redirects to who does. */
  async #orRedirect(
    group: KvGroup,
    target: string,
    work: () => Promise<Response>,
  ): Promise<Response> {
    refuseFollower(group.status(), target);
    try {
      return await work();
    } catch (error) {
      // A redirect says that the write was not appended: it must be so.
      if (isRaftError(error, "notLeader") && error.outcome !== "unknown") {
        refuseFollower(group.status(), target);
      }
      throw error;
    }
  }

  async #backup(context: KvContext): Promise<Response> {
    const request = context.req.raw;
    if (request.method !== "GET") throw wrongMethod(context, "GET");
    const query = queryOf(targetOf(request, context.env), ["consistency"]);
    const consistency = consistencyOf(query) === "stale"
      ? "stale"
      : "linearizable";
    const timeoutMs = this.#timeoutMs;
    const group = this.#attached();
    return await this.#backups.respond(group, { consistency, timeoutMs });
  }

  async #members(context: KvContext): Promise<Response> {
    const request = context.req.raw;
    if (request.method !== "POST") throw wrongMethod(context, "POST");
    const target = targetOf(request, context.env);
    queryOf(target, NO_QUERY);
    const group = this.#attached();
    refuseFollower(group.status(), target);
    const body = await this.#bodies.read(request, context.env);
    const change = membershipChangeOf(body);
    return await changeMembers(group, change, MEMBERSHIP_MS);
  }

  #ready(): Response {
    if (this.#draining) {
      throw new Problem(503, "stopping", "Cannot serve: the member stops");
    }
    const status = this.#attached().status();
    if (status.ready) return jsonResponse({ ready: true });
    throw new Problem(
      503,
      "notReady",
      status.leader === null
        ? "Cannot serve: no leader is known"
        : `Cannot serve: applied ${status.appliedIndex}, committed ${status.commitIndex}`,
    );
  }

  #render(): Response {
    return textResponse(
      this.#metrics.render(this.#group?.status()),
      "text/plain; version=0.0.4",
    );
  }

  #attached(): KvGroup {
    if (this.#group !== undefined) return this.#group;
    throw new Problem(503, "starting", "Cannot serve: the member starts", {
      "retry-after": RETRY_AFTER_SECONDS,
    });
  }
}

function envOf(env: unknown): RequestEnv | undefined {
  return typeof env === "object" && env !== null ? env : undefined;
}

function itemResponse(
  { value, revision }: KvItem,
  ifNoneMatch: string | undefined,
  headers: Readonly<Record<string, string>>,
): Response {
  const etag = `"${revision}"`;
  if (hasRevision(ifNoneMatch, revision)) {
    return new Response(null, { status: 304, headers: { etag, ...headers } });
  }
  return new Response(new Uint8Array(value), {
    headers: { "content-type": "application/octet-stream", etag, ...headers },
  });
}

function listBody({ items, next }: KvListAnswer): unknown {
  return {
    items: items.map(({ key, value, revision }) => ({
      key,
      value: Buffer.from(value.buffer, value.byteOffset, value.length)
        .toString("base64"),
      revision,
    })),
    next,
  };
}

function writtenResponse(result: KvResult): Response {
  switch (result.type) {
    case "put":
      return new Response(`{"revision":${result.revision}}`, {
        headers: {
          "content-type": "application/json",
          etag: `"${result.revision}"`,
        },
      });
    case "delete":
      return jsonResponse({
        revision: result.revision,
        deleted: result.deleted,
      });
    case "conflict":
      throw conflict(result.revision);
    default: {
      const unreachable: never = result;
      return unreachable;
    }
  }
}

/** Sends the client to the leader, if another member leads and says where. */
function refuseFollower(status: GroupStatus, target: string): void {
  if (status.role === "leader") return;
  const leader = status.members.find(({ id }) => id === status.leader);
  const address = leader?.clientAddress ?? null;
  if (leader === undefined || address === null) return;
  throw new Problem(
    307,
    "notLeader",
    `Cannot serve: member ${leader.id} leads`,
    { location: `http://${address}${target}` },
  );
}

function freshnessHeaders(status: GroupStatus): Record<string, string> {
  const headers: Record<string, string> = {
    "balsa-applied": `${status.appliedIndex}`,
  };
  if (status.staleMs !== null) {
    headers["balsa-age-ms"] = `${Math.ceil(status.staleMs)}`;
  }
  return headers;
}

/** Revisions count from 1: what asks for 0 can be refused unasked. */
function refuseImpossible(expect: KvExpectation | undefined): void {
  if (expect?.type === "revision" && expect.revision === 0) throw conflict();
}

function conflict(revision?: number): Problem {
  const found = revision === undefined
    ? "no key has revision 0"
    : revision === 0
    ? "the key is not there"
    : `the key is at revision ${revision}`;
  return new Problem(
    412,
    "preconditionFailed",
    `Cannot write: the condition does not hold, ${found}`,
    revision === undefined || revision === 0 ? {} : { etag: `"${revision}"` },
  );
}

function noSuchKey(key: string): Problem {
  return new Problem(
    404,
    "noSuchKey",
    `Cannot read ${JSON.stringify(key)}: the key is not there`,
  );
}

function wrongMethod(context: KvContext, allow = READ_METHODS): Problem {
  return new Problem(
    405,
    "wrongMethod",
    `Cannot ${context.req.raw.method} ${
      pathOf(context.req.path)
    }: wanted ${allow}`,
    { allow },
  );
}

function unexpected(type: string): Error {
  return new Error(`Cannot answer: the store answered with a ${type}`);
}
