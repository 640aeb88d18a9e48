import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connect, type Socket } from "node:net";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { KvApp } from "../../../examples/kv/app.ts";
import { BodyReader } from "../../../examples/kv/body.ts";
import {
  type FetchHandler,
  type HttpServer,
  listen,
} from "../../../examples/kv/listen.ts";
import { failureResponse, Problem } from "../../../examples/kv/replies.ts";

const MINUTE_MS = 60_000;
/** Deno keeps a connection until the client says more, or ends it. */
const CLOSES_AT_ONCE = !("Deno" in globalThis);

/** A client that sends a request bit by bit. */
class SlowClient {
  /** The answer, once it is whole or the connection is closed. */
  readonly answer: Promise<string>;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;

  constructor({ address }: HttpServer) {
    const socket = connect(address.port, address.host);
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      socket.on("close", () => resolve());
    });
    this.answer = new Promise((resolve) => {
      let text = "";
      socket.on("data", (more: string) => {
        text += more;
        if (isWhole(text)) resolve(text);
      });
      socket.on("close", () => resolve(text));
    });
  }

  /** Sends the head of a PUT; without a length the body comes in chunks. */
  head(length?: number): this {
    const framing = length === undefined
      ? "Transfer-Encoding: chunked"
      : `Content-Length: ${length}`;
    return this.send(`PUT /kv/a HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n`);
  }

  send(text: string): this {
    this.#socket.write(text);
    return this;
  }

  async end(): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }
}

/** Answers with the body. */
function echo(bodies: BodyReader): FetchHandler {
  return async (request, env) => {
    try {
      const body = await bodies.read(request, env);
      return new Response(new TextDecoder().decode(body));
    } catch (error) {
      return failureResponse(error, request.method);
    }
  };
}

describe("a request body that does not come", () => {
  // Without a group, a PUT whose body came is answered with "starting".
  const app = new KvApp({ timeoutMs: MINUTE_MS, bodyTimeoutMs: 30 });
  let server: HttpServer;
  before(async () => {
    server = await listen({ host: "127.0.0.1", port: 0 }, app.fetch);
  });
  after(() => {
    app.close();
    return server.close(0);
  });

  const stalled: readonly [string, number | undefined, string][] = [
    ["nothing of a small one", 3, ""],
    ["half of a small one", 100, "x".repeat(50)],
    ["half of a large one", 100_000, "x".repeat(50_000)],
    ["nothing of a large one", 1 << 20, ""],
    ["half of one without length", undefined, "5\r\nhello\r\n"],
  ];
  for (const [what, length, sent] of stalled) {
    it(`is answered with 408, notAppended, and a close: ${what}`, async () => {
      const client = new SlowClient(server).head(length).send(sent);
      const answer = await client.answer;
      assertStringIncludes(answer, "HTTP/1.1 408 ");
      assertStringIncludes(answer, `"code":"bodyTimeout"`);
      assertStringIncludes(answer, `"outcome":"notAppended"`);
      assertMatch(answer, /^connection: close\r$/im);
      if (CLOSES_AT_ONCE) await client.closed;
      await client.end();
      const next = new SlowClient(server).head(3).send("abc");
      assertStringIncludes(await next.answer, `"code":"starting"`);
      await next.end();
    });
  }
});

describe("request bodies under way", () => {
  const bodies = new BodyReader({
    bodyBudgetBytes: 200_000,
    bodyTimeoutMs: MINUTE_MS,
  });
  let server: HttpServer;
  before(async () => {
    server = await listen({ host: "127.0.0.1", port: 0 }, echo(bodies));
  });
  after(() => {
    bodies.close();
    return server.close(0);
  });

  async function held(isSo: (bytes: number) => boolean): Promise<void> {
    while (!isSo(bodies.heldBytes)) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  const most = "0123456789".repeat(6_000);
  const rest = "abcdefghij".repeat(2_000);
  // Beside the first one there is no room for it, however that has grown.
  const surplus = "x".repeat(150_000);

  for (const announced of [true, false]) {
    const lengthOf = (text: string) => announced ? text.length : undefined;
    const framed = (text: string) =>
      announced ? text : `${text.length.toString(16)}\r\n${text}\r\n`;
    const last = announced ? "" : "0\r\n\r\n";
    const how = announced ? "with" : "without";

    it(`hold a bounded sum, ${how} a length: who goes beyond gets 503`, async () => {
      const first = new SlowClient(server).head(lengthOf(most + rest))
        .send(framed(most));
      await held((bytes) => bytes >= most.length);
      const second = new SlowClient(server).head(lengthOf(surplus))
        .send(framed(surplus));
      const refusal = await second.answer;
      assertStringIncludes(refusal, "HTTP/1.1 503 ");
      assertStringIncludes(refusal, `"code":"overloaded"`);
      assertStringIncludes(refusal, `"outcome":"notAppended"`);
      assertMatch(refusal, /^retry-after: 1\r$/im);
      assertMatch(refusal, /^connection: close\r$/im);
      if (CLOSES_AT_ONCE) await second.closed;
      await second.end();
      // Small ones find room, and the first one is none the worse.
      const small = new SlowClient(server).head(3).send("abc");
      assertMatch(await small.answer, /\r\n\r\nabc$/);
      await small.end();
      first.send(framed(rest) + last);
      assert((await first.answer).endsWith(`\r\n\r\n${most}${rest}`));
      await first.end();
      assertEquals(bodies.heldBytes, 0);
    });
  }

  it("give back what they held when they break off", async () => {
    const client = new SlowClient(server).head(80_000).send(most);
    await held((bytes) => bytes >= most.length);
    await client.end();
    await held((bytes) => bytes === 0);
    const again = new SlowClient(server).head(60_000).send(most);
    assert((await again.answer).endsWith(most));
    await again.end();
  });

  it("refuse a small one, too, when there is no room for it", async () => {
    const none = new BodyReader({ bodyBudgetBytes: 2 });
    const full = await listen({ host: "127.0.0.1", port: 0 }, echo(none));
    const client = new SlowClient(full).head(3).send("abc");
    assertStringIncludes(await client.answer, `"code":"overloaded"`);
    await client.end();
    none.close();
    await full.close(0);
  });
});

describe("BodyReader", () => {
  it("holds no more than it counts, however a body is cut up", async () => {
    const bodies = new BodyReader({ bodyTimeoutMs: MINUTE_MS });
    const incoming = incomingRequest();
    const body = bodies.read(PUT, { incoming });
    const sent = new Uint8Array(1_000).map((_, i) => i);
    for (let i = 0; i < sent.length; i += 1) {
      // One byte, in a buffer as large as a socket's.
      const chunk = new Uint8Array(65_536);
      chunk.set(sent.subarray(i, i + 1));
      incoming.push(chunk.subarray(0, 1));
      await new Promise((resolve) => setImmediate(resolve));
      assert(bodies.heldBytes > i && bodies.heldBytes <= 2 * (i + 1));
    }
    incoming.push(null);
    const received = await body;
    assertEquals(new Uint8Array(received), sent);
    assertEquals(received.buffer.byteLength, sent.length);
    assertEquals(bodies.heldBytes, 0);
    bodies.close();
  });

  it("keeps an eighth for small bodies when large ones fill the rest", async () => {
    const bodies = new BodyReader({ bodyBudgetBytes: 80_000 });
    const incoming = [10_000, 66_000, 60_000].map((bytes) => {
      const request = incomingRequest();
      request.push(new Uint8Array(bytes));
      return request;
    });
    const [first, large, small] = incoming.map((request) =>
      bodies.read(PUT, { incoming: request })
    );
    await assertRejects(async () => await large, Problem, "than 70000 bytes");
    for (const request of incoming) request.push(null);
    assertEquals((await first)?.length, 10_000);
    assertEquals((await small)?.length, 60_000);
    bodies.close();
  });
});

const PUT = new Request("http://x/kv/a", { method: "PUT" });

/** A request on Node or Bun whose body is what the test pushes. */
function incomingRequest() {
  return Object.assign(new Readable({ read() {} }), {
    headers: {},
    complete: true,
  });
}

/** Whether an answer has as many bytes as it announces. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf("\r\n\r\n");
  const length = /^content-length: (\d+)\r$/im.exec(answer)?.[1];
  return end >= 0 && length !== undefined &&
    answer.length >= end + 4 + Number(length);
}
