/**
 * The HTTP port under attack: each attacker gets a status of its own or is
 * thrown out, is reported, and a good peer notices nothing. Hazards H128,
 * H132-H136.
 */
import { connect, createServer, type ServerHttp2Stream } from "node:http2";
import { after, before, describe, it } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { helloToArray } from "../../src/schema.ts";
import { eventually, Host } from "../../src/testing/transport_host.ts";
import {
  encodeControlFrame,
  encodeFrame,
  FRAME_KIND,
  PROTOCOL_VERSIONS,
} from "../../src/wire.ts";
import { HttpTransport } from "../../transports/http/mod.ts";
import type { HttpTransportOptions } from "../../transports/http/mod.ts";
import { damagedFrame, drawFrom } from "../wire_fuzz.ts";
import { SAMPLES } from "../wire_samples.ts";
import { leave, openStream, PATH } from "./http_peer.ts";
import { freeAddress, RawListener, RawSocket } from "./ports.ts";
import { helloOf } from "./tcp_peer.ts";

const DEPLOYMENT = "d";
const CONTENT_TYPE = "application/vnd.balsa.frames";
const MAX_FRAME_BYTES = 4_096;
const FROM = "attacker:1";
const BEAT = [{ group: 1, message: SAMPLES.heartbeat }];

async function host(options: HttpTransportOptions = {}): Promise<Host> {
  const address = await freeAddress();
  const made = new Host(new HttpTransport(options), {
    deployment: DEPLOYMENT,
    address,
    clientAddress: undefined,
  });
  await made.start();
  return made;
}

describe("the HTTP port", () => {
  let target: Host;
  let good: Host;
  before(async () => {
    target = await host({
      handshakeTimeoutMs: 500,
      maxHalfOpen: 8,
      maxFrameBytes: MAX_FRAME_BYTES,
    });
    good = await host();
    await good.connect(target);
  });
  after(() => Promise.all([target.transport.close(), good.transport.close()]));

  async function unharmed(): Promise<void> {
    await good.connect(target);
    const states = good.states(target.address);
    assertEquals(states.map(({ type }) => type), ["connected"]);
  }

  function codesSince(count: number): string[] {
    return target.refusals.slice(count).map(({ code }) => code);
  }

  /** Posts `bytes` as the first words; status and report. */
  async function post(
    bytes: Uint8Array,
  ): Promise<{ status: number; code: string | undefined }> {
    const count = target.refusals.length;
    const { session, stream, status, closed } = openStream(target.address);
    stream.write(bytes);
    const answered = await status;
    await eventually("a refusal", () => target.refusals.length > count);
    await closed;
    await leave(session);
    return { status: answered, code: codesSince(count)[0] };
  }

  it("answers a refused handshake with a status of its own", async () => {
    const hello = {
      versions: PROTOCOL_VERSIONS,
      deployment: DEPLOYMENT,
      address: FROM,
      clientAddress: null,
      incarnation: null,
      target: target.address,
      purpose: "messages",
    } as const;
    const frame = (value: Parameters<typeof helloToArray>[0]) =>
      encodeControlFrame(FRAME_KIND.hello, helloToArray(value));
    const forged = new Uint8Array([255, 255, 255, 255, FRAME_KIND.hello]);
    const cases = [
      [frame({ ...hello, deployment: "D" }), 403, "wrongDeployment"],
      [
        frame({ ...hello, versions: { min: 90, max: 91 } }),
        409,
        "wrongVersion",
      ],
      [frame({ ...hello, target: "elsewhere:1" }), 421, "wrongTarget"],
      [encodeFrame(BEAT), 400, "malformedFrame"],
      [forged, 413, "frameTooLarge"],
    ] as const;
    for (const [bytes, status, code] of cases) {
      assertEquals(await post(bytes), { status, code });
    }
    await unharmed();
  });

  it("throws out who opens a stream and says nothing", async () => {
    const count = target.refusals.length;
    const { session, closed } = openStream(target.address);
    await closed;
    await leave(session);
    await eventually("a report", () => target.refusals.length > count);
    assertEquals(codesSince(count), ["handshakeTimeout"]);
    await unharmed();
  });

  it("throws out who connects and opens no stream", async () => {
    const count = target.refusals.length;
    const socket = await RawSocket.open(target.address);
    await socket.closed();
    await eventually("a report", () => target.refusals.length > count);
    await unharmed();
  });

  it("throws out who does not speak HTTP/2", async () => {
    const draw = drawFrom(5);
    for (let i = 0; i < 20; i++) {
      const count = target.refusals.length;
      const socket = await RawSocket.open(target.address);
      socket.write(Uint8Array.from({ length: 100 }, () => draw(256)));
      await socket.closed();
      await eventually("a report", () => target.refusals.length > count);
    }
    await unharmed();
  });

  it("answers requests that are none of its business", async () => {
    const cases = [
      [{ ":method": "GET", ":path": "/" }, [404]],
      [{ ":method": "GET", ":path": "//[" }, [404]],
      [{ ":method": "GET", ":path": PATH }, [405]],
      [{ ":method": "TRACE", ":path": "/" }, [400, 404]],
      [{ ":method": "POST", ":path": "/else" }, [404]],
    ] as const;
    for (const [headers, statuses] of cases) {
      const session = connect(`http://${target.address}`);
      const stream = session.request(headers);
      const answered = await new Promise<number>((resolve) => {
        stream.once("response", (it) => resolve(it[":status"] ?? 0));
        stream.once("close", () => resolve(0));
        stream.on("error", () => {});
        stream.resume();
        stream.end();
      });
      await leave(session);
      const wanted: readonly number[] = statuses;
      assert(wanted.includes(answered), `${headers[":path"]}: ${answered}`);
    }
    await unharmed();
  });

  it("lets silent connections give way to new ones", async () => {
    const silent: RawSocket[] = [];
    for (let i = 0; i < 30; i++) {
      silent.push(await RawSocket.open(target.address));
    }
    const late = await host();
    await late.connect(target);
    await late.transport.close();
    for (const socket of silent) await socket.destroy();
    await unharmed();
  });

  it("keeps up 2 000 damaged frames, several per stream", async () => {
    const draw = drawFrom(99);
    const count = target.refusals.length;
    for (let sent = 0; sent < 2_000;) {
      const peer = { target: target.address, from: FROM, deployment: "d" };
      const { session, stream, status, closed } = openStream(target.address);
      stream.write(helloOf(peer));
      assertEquals(await status, 200);
      for (let i = 0; i < 10; i++, sent++) stream.write(damagedFrame(draw));
      // Completes whatever is under way and is then certainly bad.
      stream.write(new Uint8Array(2 * MAX_FRAME_BYTES).fill(255));
      await closed;
      await leave(session);
    }
    assert(codesSince(count).length >= 200);
    const others = target.received.filter(({ address }) =>
      address !== good.address && address !== FROM
    );
    target.received.length = 0;
    assert(others.every(({ envelopes }) => envelopes.length === 1));
    await unharmed();
  });
});

interface Server {
  readonly address: string;
  close(): Promise<void>;
}

/** An HTTP/2 server of the test's own. */
async function serve(
  onStream: (stream: ServerHttp2Stream) => void,
): Promise<Server> {
  const address = await freeAddress();
  const [hostname = "", port = ""] = address.split(":");
  const server = createServer();
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    session.on("error", () => {});
    sessions.add(session);
  });
  server.on("stream", onStream);
  await new Promise<void>((resolve) => {
    server.listen({ host: hostname, port: Number(port) }, resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const session of sessions) session.destroy();
    });
  return { address, close };
}

describe("a peer that the HTTP transport dials", () => {
  async function stateAfter(
    address: string,
    wanted: string,
    options: HttpTransportOptions = {},
  ): Promise<string> {
    const dialler = await host(options);
    const found = () =>
      dialler.states(address).find(({ type }) => type === wanted);
    await eventually(`it is ${wanted}`, () => {
      dialler.transport.send(address, BEAT);
      return found() !== undefined;
    });
    await dialler.transport.close();
    const state = found();
    return state !== undefined && "reason" in state ? state.reason : "";
  }

  it("is unreachable when it accepts and stays silent (H128)", async () => {
    const listener = await RawListener.open();
    const options = { dialTimeoutMs: 100 };
    const reason = await stateAfter(listener.address, "unreachable", options);
    assert(reason.includes("timed out"), reason);
    await listener.close();
  });

  it("is unreachable when its streams get no answer (H128)", async () => {
    const silent = await serve(() => {});
    const options = { dialTimeoutMs: 100 };
    const reason = await stateAfter(silent.address, "unreachable", options);
    assert(reason.includes("timed out"), reason);
    await silent.close();
  });

  it("is unreachable when a stream ends without a status (H128)", async () => {
    const rude = await serve((stream) => {
      stream.on("error", () => {});
      stream.close();
    });
    await stateAfter(rude.address, "unreachable");
    await rude.close();
  });

  it("is rejected when it is somebody else's server", async () => {
    const other = await serve(
      (stream) => {
        stream.respond({ ":status": 404, "content-type": "text/html" });
        stream.end("<html>");
      },
    );
    const reason = await stateAfter(other.address, "rejected");
    assert(reason.includes("404"), reason);
    await other.close();
  });

  it("costs a bounded queue when it does not read (H36, H126)", async () => {
    const deaf = await serve((stream) => {
      stream.on("error", () => {});
      stream.once("data", () => {
        stream.pause();
        stream.respond({ ":status": 200, "content-type": CONTENT_TYPE });
        stream.write(encodeControlFrame(FRAME_KIND.accept, [1, null]));
      });
    });
    const options = { maxFrameBytes: 1 << 20, maxQueueBytes: 2 << 20 };
    const dialler = await host(options);
    const data = new Uint8Array(256 << 10);
    const message = {
      ...SAMPLES.appendEntries,
      entries: [{ type: "command", term: 1, index: 8, data } as const],
    };
    let taken = 0;
    await eventually("the queue is full", () => {
      const { length } = dialler.states(deaf.address);
      const frame = [{ group: 1, message }];
      const sent = dialler.transport.send(deaf.address, frame);
      if (sent) taken++;
      return length > 0 && !sent;
    });
    assert(taken * data.length < 64 << 20, `${taken} frames were taken`);
    await dialler.transport.close();
    await deaf.close();
  });

  it("is dialled anew after GOAWAY (H128)", async () => {
    let streams = 0;
    const leaving = await serve((stream) => {
      streams++;
      stream.on("error", () => {});
      stream.on("data", () => {});
      stream.respond({
        ":status": 200,
        "content-type": CONTENT_TYPE,
      });
      stream.write(encodeControlFrame(FRAME_KIND.accept, [1, null]));
      setTimeout(() => stream.session?.goaway(), 5);
    });
    const dialler = await host();
    await eventually("a new connection", () => {
      dialler.transport.send(leaving.address, BEAT);
      return streams >= 2;
    });
    await dialler.transport.close();
    await leaving.close();
  });
});
