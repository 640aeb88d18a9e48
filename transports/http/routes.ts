/**
 * The routes of the transport, as a Hono app behind a plain handler: mounts
 * on any server that passes bodies on as they arrive.
 *
 * @module
 */
import { Hono } from "hono";
import { FetchChannel } from "./fetch_channel.ts";
import type { ByteChannel } from "../link/channel.ts";

/** Where the routes lie and what they lead to. */
export interface RouteOptions {
  /** Where frames are posted to. */
  readonly path: string;
  /** Takes a connection over; `false` if nobody is there to do so. */
  readonly accept: (channel: ByteChannel) => boolean;
}

/** A handler of requests, as servers want it. */
export type RequestHandler = (request: Request) => Promise<Response>;

/** Builds the routes. */
export function createRaftRoutes(options: RouteOptions): RequestHandler {
  const app = new Hono();
  app.post(options.path, (context) => {
    const { body } = context.req.raw;
    if (body === null) return problem(400, "Cannot connect: no body");
    const channel = new FetchChannel(body);
    if (!options.accept(channel)) {
      channel.destroy();
      return problem(503, "Cannot connect: the transport is not running");
    }
    return channel.response;
  });
  app.all(
    options.path,
    () => problem(405, "Cannot connect: wanted POST", { allow: "POST" }),
  );
  app.notFound(() => problem(404, "Cannot find the route"));
  return async (request) => await app.fetch(request);
}

function problem(
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json({ error: { code: "http", message } }, {
    status,
    headers,
  });
}
