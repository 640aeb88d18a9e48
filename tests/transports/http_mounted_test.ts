/** The HTTP transport mounted on a server that is not its own. */
import { createServer } from "node:http2";
import { describe, it } from "node:test";
import { getRequestListener } from "@hono/node-server";
import { assertEquals } from "@std/assert";
import { transportCases } from "../../src/testing/mod.ts";
import { HttpTransport } from "../../transports/http/mod.ts";
import { actRaw, PATH } from "./http_peer.ts";
import { freeAddress } from "./ports.ts";
import type {
  Transport,
  TransportHandler,
  TransportIdentity,
} from "../../src/transport.ts";

interface Server {
  close(): Promise<void>;
}

type Serve = (
  address: string,
  fetch: (request: Request) => Promise<Response>,
) => Promise<Server>;

/** `Deno.serve`, which speaks HTTP/2 with prior knowledge. */
// deno-lint-ignore require-await -- one signature for all servers
const denoServe: Serve = async (address, fetch) => {
  const [hostname = "", port = ""] = address.split(":");
  const onListen = () => {};
  const options = { hostname, port: Number(port), onListen };
  const server = Deno.serve(options, fetch);
  return { close: () => server.shutdown() };
};

/** Hono's adapter over `node:http2`. */
const nodeServe: Serve = (address, fetch) => {
  const [host = "", port = ""] = address.split(":");
  const server = createServer(getRequestListener(fetch));
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const session of sessions) session.destroy();
    });
  return new Promise((resolve) => {
    server.listen({ host, port: Number(port) }, () => resolve({ close }));
  });
};

/** A transport with the server that it is mounted on. */
class Mounted implements Transport {
  readonly #transport: HttpTransport;
  readonly #serve: Serve;
  #server: Server | undefined;

  constructor(serve: Serve, setup: object) {
    this.#transport = new HttpTransport({ ...setup, mounted: true });
    this.#serve = serve;
  }

  async start(
    identity: TransportIdentity,
    handler: TransportHandler,
  ): Promise<void> {
    await this.#transport.start(identity, handler);
    this.#server = await this.#serve(
      identity.address,
      (request) => this.#transport.fetch(request),
    );
  }

  send(...args: Parameters<Transport["send"]>): boolean {
    return this.#transport.send(...args);
  }

  sendSnapshot(...args: Parameters<Transport["sendSnapshot"]>): Promise<void> {
    return this.#transport.sendSnapshot(...args);
  }

  disconnect(address: string): void {
    this.#transport.disconnect(address);
  }

  async close(): Promise<void> {
    await this.#transport.close();
    await this.#server?.close();
    this.#server = undefined;
  }
}

function cases(serve: Serve): void {
  const create = (setup: object) => new Mounted(serve, setup);
  for (const { name, run } of transportCases({ create, freeAddress, actRaw })) {
    it(name, run);
  }
}

if ("Deno" in globalThis) {
  describe("HttpTransport mounted on Deno.serve", () => cases(denoServe));
}
describe("HttpTransport mounted on @hono/node-server", () => cases(nodeServe));

describe("HttpTransport.fetch()", () => {
  it("answers unknown routes, wrong methods and a transport at rest", async () => {
    const transport = new HttpTransport({ mounted: true });
    const status = async (path: string, init?: RequestInit) => {
      const request = new Request(`http://host${path}`, init);
      const response = await transport.fetch(request);
      await response.body?.cancel();
      return [response.status, response.headers.get("allow")];
    };
    assertEquals(await status("/elsewhere"), [404, null]);
    assertEquals(await status(PATH), [405, "POST"]);
    assertEquals(await status(PATH, { method: "POST" }), [400, null]);
    const body = new Uint8Array([1]);
    assertEquals(await status(PATH, { method: "POST", body }), [503, null]);
  });
});
