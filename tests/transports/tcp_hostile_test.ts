/**
 * The TCP port under attack: each attacker is refused and reported, and a good
 * peer notices nothing. Hazards H126, H128, H131-H136.
 */
import { memoryUsage } from "node:process";
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
import { TcpTransport } from "../../transports/tcp/mod.ts";
import type { TcpTransportOptions } from "../../transports/tcp/mod.ts";
import { damagedFrame, drawFrom } from "../wire_fuzz.ts";
import { SAMPLES } from "../wire_samples.ts";
import { freeAddress, RawListener, RawSocket } from "./ports.ts";
import { helloOf, shakeHands } from "./tcp_peer.ts";

const DEPLOYMENT = "d";
const FROM = "attacker:1";

async function host(options: TcpTransportOptions = {}): Promise<Host> {
  const address = await freeAddress();
  const made = new Host(new TcpTransport(options), {
    deployment: DEPLOYMENT,
    address,
    clientAddress: undefined,
  });
  await made.start();
  return made;
}

/** A target and a good peer that talks to it all the time. */
class Scene {
  readonly target: Host;
  readonly good: Host;

  constructor(target: Host, good: Host) {
    this.target = target;
    this.good = good;
  }

  static async open(options: TcpTransportOptions = {}): Promise<Scene> {
    const scene = new Scene(await host(options), await host());
    await scene.good.connect(scene.target);
    return scene;
  }

  get peer(): { target: string; from: string; deployment: string } {
    return { target: this.target.address, from: FROM, deployment: DEPLOYMENT };
  }

  codes(): string[] {
    return this.target.refusals.map(({ code }) => code);
  }

  /** The good peer's first connection still stands and carries. */
  async unharmed(): Promise<void> {
    await this.good.connect(this.target);
    const states = this.good.states(this.target.address);
    assertEquals(states.map(({ type }) => type), ["connected"]);
    const strangers = this.target.received.filter(({ address }) =>
      address !== this.good.address
    );
    assertEquals(strangers, []);
  }

  async close(): Promise<void> {
    await Promise.all([
      this.target.transport.close(),
      this.good.transport.close(),
    ]);
  }
}

describe("the TCP port", () => {
  let scene: Scene;
  before(async () => {
    scene = await Scene.open();
  });
  after(() => scene.close());

  /** Sends `bytes` first thing; what was answered, and why it was refused. */
  async function refusal(
    bytes: Uint8Array,
  ): Promise<{ code: string | undefined; answer: Uint8Array }> {
    const count = scene.codes().length;
    const socket = await RawSocket.open(scene.target.address);
    socket.write(bytes);
    await socket.closed();
    await eventually("a refusal", () => scene.codes().length > count);
    return { code: scene.codes()[count], answer: await socket.read(5) };
  }

  it("refuses a hello with a forged length, and allocates nothing", async () => {
    const forged = new Uint8Array([255, 255, 255, 255, FRAME_KIND.hello]);
    const earlier = memoryUsage().rss;
    for (let i = 0; i < 20; i++) {
      const { code } = await refusal(forged);
      assertEquals(code, "frameTooLarge");
    }
    assert(memoryUsage().rss - earlier < 256 << 20);
    const above = new Uint8Array([0, 0, 0x10, 1, FRAME_KIND.hello]);
    assertEquals((await refusal(above)).code, "frameTooLarge");
    await scene.unharmed();
  });

  it("refuses what is no hello, and says so to the peer", async () => {
    const http = new TextEncoder().encode("\0\0\0\x10GET / HTTP/1.1\r\n\r\n");
    const beat = encodeFrame([{ group: 1, message: SAMPLES.heartbeat }]);
    const odd = encodeControlFrame(FRAME_KIND.hello, ["balsa", 1]);
    for (const bytes of [http, beat, odd]) {
      const { code, answer } = await refusal(bytes);
      assertEquals(code, "malformedFrame");
      assertEquals(answer[4], FRAME_KIND.refusal);
    }
    await scene.unharmed();
  });

  it("refuses a hello for another target, version or deployment", async () => {
    const hello = {
      versions: PROTOCOL_VERSIONS,
      deployment: DEPLOYMENT,
      address: FROM,
      clientAddress: null,
      incarnation: null,
      target: scene.target.address,
      purpose: "messages",
    } as const;
    const cases = [
      [{ ...hello, target: "elsewhere:1" }, "wrongTarget"],
      [{ ...hello, address: scene.target.address }, "wrongTarget"],
      [{ ...hello, versions: { min: 90, max: 91 } }, "wrongVersion"],
      [{ ...hello, deployment: "D" }, "wrongDeployment"],
    ] as const;
    for (const [value, expected] of cases) {
      const array = helloToArray(value);
      const frame = encodeControlFrame(FRAME_KIND.hello, array);
      const { code, answer } = await refusal(frame);
      assertEquals(code, expected);
      assertEquals(answer[4], FRAME_KIND.refusal);
    }
    await scene.unharmed();
  });

  it("keeps up 3 000 damaged frames, several per connection", async () => {
    const draw = drawFrom(77);
    let sent = 0;
    while (sent < 3_000) {
      const socket = await shakeHands(scene.peer);
      for (let i = 0; i < 10; i++, sent++) socket.write(damagedFrame(draw));
      await socket.destroy();
    }
    assert(scene.codes().length > 0);
    const others = scene.target.received.filter(({ address }) =>
      address === FROM
    );
    scene.target.received.length = 0;
    // Some damage leaves a valid frame: it is delivered under its sender's
    // proven address and nobody else's (H131).
    assert(others.length > 0);
    await scene.unharmed();
  });

  it("takes a hello and a frame that come byte by byte", async () => {
    const socket = await RawSocket.open(scene.target.address);
    const from = "slow:1";
    for (const byte of helloOf({ ...scene.peer, from })) {
      socket.write(new Uint8Array([byte]));
    }
    await socket.read(5);
    const frame = encodeFrame([{ group: 1, message: SAMPLES.appendEntries }]);
    for (const byte of frame) socket.write(new Uint8Array([byte]));
    const heard = () =>
      scene.target.received.filter(({ address }) => address === from);
    await eventually("the frame", () => heard().length === 1);
    assertEquals(heard()[0]?.envelopes, [
      { group: 1, message: SAMPLES.appendEntries },
    ]);
    scene.target.received.length = 0;
    await socket.destroy();
    await scene.unharmed();
  });
});

describe("the limits of the TCP port", () => {
  async function withScene(
    options: TcpTransportOptions,
    body: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const scene = await Scene.open(options);
    try {
      await body(scene);
    } finally {
      await scene.close();
    }
  }

  it("end a handshake that trickles in too slowly", () =>
    withScene({ handshakeTimeoutMs: 100 }, async (scene) => {
      const socket = await RawSocket.open(scene.target.address);
      socket.write(helloOf(scene.peer).subarray(0, 9));
      await socket.closed();
      assertEquals(scene.codes(), ["handshakeTimeout"]);
      await scene.unharmed();
    }));

  it("let silent connections give way to new ones, oldest first", () =>
    withScene({ maxHalfOpen: 3 }, async (scene) => {
      const silent: RawSocket[] = [];
      for (let i = 0; i < 10; i++) {
        silent.push(await RawSocket.open(scene.target.address));
      }
      await eventually("room", () => scene.codes().length === 7);
      assertEquals(new Set(scene.codes()), new Set(["tooManyConnections"]));
      for (const socket of silent.slice(0, 7)) await socket.closed();
      const honest = await shakeHands(scene.peer);
      for (const socket of [...silent, honest]) await socket.destroy();
      await scene.unharmed();
    }));

  it("bound the connections in all", () =>
    withScene({ maxInbound: 3 }, async (scene) => {
      const peers = [
        await shakeHands(scene.peer),
        await shakeHands(scene.peer),
      ];
      const fourth = await RawSocket.open(scene.target.address);
      await fourth.closed();
      assertEquals(scene.codes(), ["tooManyConnections"]);
      for (const socket of peers) await socket.destroy();
      await scene.unharmed();
    }));

  it("bound the memory of frames under way over all connections", () =>
    withScene({ maxReceiveBytes: 16 << 20 }, async (scene) => {
      const header = new Uint8Array([0, 0xf0, 0, 0, FRAME_KIND.messages]);
      const half = new Uint8Array(8 << 20);
      const sockets: RawSocket[] = [];
      for (let i = 0; i < 3; i++) {
        const socket = await shakeHands(scene.peer);
        socket.write(header);
        socket.write(half);
        sockets.push(socket);
      }
      await eventually("a refusal", () => scene.codes().length > 0);
      assertEquals(scene.codes()[0], "frameTooLarge");
      for (const socket of sockets) await socket.destroy();
      await scene.unharmed();
    }));

  it("let go of a peer that vanished without a word", () =>
    withScene({ keepaliveMs: 20, maxMissedPings: 1 }, async (scene) => {
      await scene.target.transport.close();
      const target = await host({ keepaliveMs: 20, maxMissedPings: 1 });
      const silent = await shakeHands({
        ...scene.peer,
        target: target.address,
      });
      await silent.closed();
      await target.transport.close();
    }));
});

describe("a peer that the transport dials", () => {
  it("is given up when it takes everything and answers nothing (H128)", async () => {
    const options = { keepaliveMs: 20, maxMissedPings: 2 };
    const dialler = await host(options);
    const listener = await RawListener.open();
    listener.onData = (socket, bytes) => {
      // Consent to the hello, and not one pong after it.
      if (bytes[4] === FRAME_KIND.hello) {
        socket.write(encodeControlFrame(FRAME_KIND.accept, [1, null]));
      }
    };
    const beat = [{ group: 1, message: SAMPLES.heartbeat }];
    await eventually("it is found out", () => {
      dialler.transport.send(listener.address, beat);
      return dialler.states(listener.address).some((state) =>
        state.type === "unreachable" && state.reason === "no answer to pings"
      );
    });
    await dialler.transport.close();
    await listener.close();
  });

  it("costs a bounded queue when it does not read (H36, H126)", async () => {
    const dialler = await host({
      maxFrameBytes: 1 << 20,
      maxQueueBytes: 2 << 20,
    });
    const listener = await RawListener.open();
    listener.onData = (socket, bytes) => {
      if (bytes[4] !== FRAME_KIND.hello) return;
      socket.write(encodeControlFrame(FRAME_KIND.accept, [1, null]));
      socket.pause();
    };
    const data = new Uint8Array(256 << 10);
    const message = {
      ...SAMPLES.appendEntries,
      entries: [{ type: "command", term: 1, index: 8, data } as const],
    };
    let taken = 0;
    await eventually("the queue is full", () => {
      const { length } = dialler.states(listener.address);
      const sent = dialler.transport.send(listener.address, [
        { group: 1, message },
      ]);
      if (sent) taken++;
      return length > 0 && !sent;
    });
    // The queue, what waited for the connection, and the system's buffers.
    assert(taken * data.length < 64 << 20, `${taken} frames were taken`);
    await dialler.transport.close();
    await listener.close();
  });

  it("is told apart when it refuses, and tried again with pauses", async () => {
    const dialler = await host({ minBackoffMs: 5, maxBackoffMs: 10 });
    const listener = await RawListener.open();
    listener.onData = (socket) => {
      const refusal = ["wrongDeployment", "not yours"];
      socket.write(encodeControlFrame(FRAME_KIND.refusal, refusal));
    };
    dialler.transport.send(listener.address, []);
    await eventually("it is tried again", () => listener.accepted >= 3);
    const states = dialler.states(listener.address);
    assert(states.length > 0);
    for (const state of states) {
      assertEquals(state.type, "rejected");
      assert("reason" in state && state.reason.includes("not yours"));
    }
    await dialler.transport.close();
    await listener.close();
  });
});

describe("a host that fails in receive", () => {
  it("loses that connection, and the report says so (H125)", async () => {
    const scene = await Scene.open();
    const socket = await shakeHands(scene.peer);
    const { target } = scene;
    const receive = target.receive.bind(target);
    target.receive = (address, envelopes, incarnation) => {
      if (address === FROM) throw new Error("Cannot step: broken");
      receive(address, envelopes, incarnation);
    };
    socket.write(encodeFrame([{ group: 1, message: SAMPLES.heartbeat }]));
    await socket.closed();
    assertEquals(scene.codes(), ["handlerFailed"]);
    await scene.unharmed();
    await scene.close();
  });
});
