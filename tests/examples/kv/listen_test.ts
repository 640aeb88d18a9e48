import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { EXIT, ExitError } from "../../../examples/kv/exit.ts";
import {
  type HttpServer,
  listen,
  type RequestEnv,
} from "../../../examples/kv/listen.ts";
import { failureResponse } from "../../../examples/kv/replies.ts";
import { BodyReader } from "../../../examples/kv/body.ts";
import { keyOf, pathOf, targetOf } from "../../../examples/kv/request.ts";

const LIMIT = 1 << 20;
const bodies = new BodyReader();

/** Answers with the key, and how long the body was. */
async function echo(request: Request, env?: RequestEnv): Promise<Response> {
  if (request.method === "HEAD") {
    return new Response(null, { headers: { "content-length": "5" } });
  }
  try {
    const key = keyOf(pathOf(targetOf(request, env)));
    const body = request.method === "PUT"
      ? await bodies.read(request, env)
      : "";
    return Response.json({ key, bytes: body.length });
  } catch (error) {
    return failureResponse(error, request.method);
  }
}

describe("an HTTP server of this runtime", () => {
  let server: HttpServer;
  before(async () => {
    server = await listen({ host: "127.0.0.1", port: 0 }, echo);
  });
  after(() => {
    bodies.close();
    return server.close(0);
  });

  /** Sends bytes as they are, and returns the one answer. */
  function raw(...parts: (string | Uint8Array)[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(server.address.port, "127.0.0.1");
      let answer = "";
      socket.setEncoding("latin1");
      socket.on("data", (text: string) => {
        answer += text;
        // Some servers keep the connection to see the body they refused.
        if (isWhole(answer)) socket.destroy();
      });
      // A server that has answered may cut off what the client still sends.
      socket.on("error", (error) => {
        if (answer === "") reject(error);
      });
      socket.on("close", () => resolve(answer));
      for (const part of parts) socket.write(part);
    });
  }

  const head = "Host: x\r\nConnection: close\r\n";

  const targets: readonly [string, string][] = [
    ["/kv/plain", "plain"],
    ["/kv/a/../b", "a/../b"],
    ["/kv/..", ".."],
    ["/kv/%2e%2e/x", "../x"],
    ["/kv/a//b", "a//b"],
    ["http://x/kv/absolute", "absolute"],
  ];
  for (const [target, key] of targets) {
    it(`sees the target ${target} as it was sent`, async () => {
      const answer = await raw(`GET ${target} HTTP/1.1\r\n${head}\r\n`);
      assertStringIncludes(answer, `{"key":${JSON.stringify(key)},"bytes":0}`);
    });
  }

  it("takes no part of the path from the Host header", async () => {
    for (const host of ["x/kv/b?", "x/kv/b#", "x\\kv\\b?", "/kv/b?"]) {
      const answer = await raw(
        `GET /kv/a HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
      );
      assert(!answer.includes(`"key":"b"`), `${host}: ${answer}`);
    }
  });

  it("answers HEAD with the length it was given, and without a body", async () => {
    const answer = await raw(`HEAD /kv/a HTTP/1.1\r\n${head}\r\n`);
    assertMatch(answer, /^content-length: 5\r$/im);
    assertMatch(answer, /\r\n\r\n$/);
  });

  it("reads a body that comes in pieces, with or without its length", async () => {
    const half = "x".repeat(LIMIT / 2);
    const whole = await raw(
      `PUT /kv/a HTTP/1.1\r\n${head}Content-Length: ${LIMIT}\r\n\r\n`,
      half,
      half,
    );
    assertStringIncludes(whole, `"bytes":${LIMIT}}`);
    const size = half.length.toString(16);
    const chunked = await raw(
      `PUT /kv/a HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n`,
      `${size}\r\n${half}\r\n`,
      `${size}\r\n${half}\r\n0\r\n\r\n`,
    );
    assertStringIncludes(chunked, `"bytes":${LIMIT}}`);
  });

  it("answers 413 to a length beyond the limit before the body is sent", async () => {
    const answer = await raw(
      `PUT /kv/a HTTP/1.1\r\n${head}Content-Length: ${LIMIT + 1}\r\n\r\n`,
    );
    assertStringIncludes(answer, "HTTP/1.1 413 ");
    assertStringIncludes(answer, `"code":"tooLarge"`);
  });

  it("answers 413 to an endless body once it is beyond the limit", async () => {
    const chunk = new Uint8Array(LIMIT);
    const answer = await raw(
      `PUT /kv/a HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n`,
      `${LIMIT.toString(16)}\r\n`,
      chunk,
      `\r\n1\r\nx\r\n`,
    );
    assertStringIncludes(answer, "HTTP/1.1 413 ");
  });

  it("serves others after a body that broke off", async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(server.address.port, "127.0.0.1", () => {
        socket.write(
          `PUT /kv/a HTTP/1.1\r\n${head}Content-Length: 100\r\n\r\nhalf`,
          () => socket.destroy(),
        );
      });
      socket.on("close", () => resolve());
    });
    const answer = await raw(`GET /kv/after HTTP/1.1\r\n${head}\r\n`);
    assertStringIncludes(answer, `{"key":"after","bytes":0}`);
  });

  it("refuses an address that is taken, with exit code 4", async () => {
    const error = await assertRejects(
      () => listen(server.address, echo),
      ExitError,
      `Cannot listen on 127.0.0.1:${server.address.port} for HTTP`,
    );
    assertEquals(error.exitCode, EXIT.address);
  });
});

describe("HttpServer.close()", () => {
  it("lets a running request end, then refuses connections", async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => release = resolve);
    let begun: () => void = () => {};
    const running = new Promise<void>((resolve) => begun = resolve);
    const server = await listen({ host: "127.0.0.1", port: 0 }, async () => {
      begun();
      await released;
      return new Response("late");
    });
    const url = `http://127.0.0.1:${server.address.port}/`;
    const answer = fetch(url);
    await running;
    const closed = server.close(20_000);
    release();
    assertEquals(await (await answer).text(), "late");
    await closed;
    await assertRejects(() => fetch(url));
  });

  it("does not wait for a request beyond its grace", async () => {
    let begun: () => void = () => {};
    const running = new Promise<void>((resolve) => begun = resolve);
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => release = resolve);
    const server = await listen({ host: "127.0.0.1", port: 0 }, async () => {
      begun();
      await released;
      return new Response("too late");
    });
    const answer = fetch(`http://127.0.0.1:${server.address.port}/`)
      .then((response) => response.text(), () => "cut off");
    await running;
    // Without the grace this waits for what is only released below.
    await server.close(10);
    release();
    await answer;
  });
});

/** Whether an answer has as many bytes as it announces. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf("\r\n\r\n");
  const length = /^content-length: (\d+)\r$/im.exec(answer)?.[1];
  return end >= 0 && length !== undefined &&
    answer.length >= end + 4 + Number(length);
}
