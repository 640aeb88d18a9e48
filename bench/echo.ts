/**
 * The first yardstick: an HTTP server that takes a write and answers at once.
 *
 * @module
 */
import { Hono } from "hono";
import { serveHttp } from "./sockets.ts";

/** Serves until the process ends; tells the port. */
export function startEcho(): Promise<number> {
  let revision = 0;
  const app = new Hono();
  app.put("/kv/:key", async (context) => {
    await context.req.arrayBuffer();
    revision++;
    context.header("ETag", `"${revision}"`);
    return context.json({ revision });
  });
  return serveHttp(app.fetch);
}
