/**
 * Snapshots on a connection: what a part that was kept is worth when the rest
 * never came, and how hosts of different versions get on (H65, H66).
 */
import { crc32 } from "node:zlib";
import { describe, it } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { confStateToArray } from "../../src/codec.ts";
import { RaftError } from "../../src/errors.ts";
import { sampleSnapshot } from "../../src/testing/transport_samples.ts";
import { Host } from "../../src/testing/transport_host.ts";
import { encodeControlFrame, FRAME_KIND } from "../../src/wire.ts";
import { receiveSnapshot } from "../../transports/link/bulk.ts";
import { ByteBudget, FrameReader } from "../../transports/link/frame_reader.ts";
import { resolveLinkOptions } from "../../transports/link/options.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { freeAddress } from "./ports.ts";

const SAMPLE = sampleSnapshot();
const OLD = { protocol: { min: 2, max: 2 } };
const CUT_BYTES = Math.ceil(SAMPLE.bytes.length / 40);

/** A host that takes snapshots and never connects to anybody. */
function receiver(): Host {
  const transport = new TcpTransport();
  const host = new Host(transport, { deployment: "d", address: "r:1" });
  host.keepsParts = true;
  return host;
}

function start(version: number): Uint8Array {
  const { group, from, to, term, meta, token } = SAMPLE.transfer;
  const what = [meta.index, meta.term, confStateToArray(meta.conf)];
  const head = [group, from, to, term, ...what];
  return encodeControlFrame(
    FRAME_KIND.snapshotStart,
    version === 2 ? head : [...head, token],
  );
}

function piece(...content: readonly unknown[]): Uint8Array {
  return encodeControlFrame(FRAME_KIND.snapshotChunk, content);
}

function end(offset: number, checksum: number): Uint8Array {
  return encodeControlFrame(FRAME_KIND.snapshotEnd, [offset, checksum]);
}

/** Sends frames of a version to a host; resolves to what it answers. */
async function feed(
  host: Host,
  version: number,
  frames: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const said: Uint8Array[] = [];
  const rest = [start(version), ...frames];
  const channel = {
    remote: "test",
    read: () => Promise.resolve(rest.shift() ?? null),
    write: (bytes: Uint8Array) => Promise.resolve(void said.push(bytes)),
    end: () => Promise.resolve(),
    destroy: () => {},
  };
  const budget = new ByteBudget(1 << 20);
  const reader = new FrameReader(channel, { maxBytes: 1 << 20, budget });
  await receiveSnapshot(
    { handler: host, config: resolveLinkOptions({}) },
    { channel, reader },
    { address: "s:1", incarnation: null, versions: { min: 2, max: version } },
  );
  return said;
}

const A = new Uint8Array([1, 2, 3]);
const B = new Uint8Array([4, 5]);
const AB = new Uint8Array([...A, ...B]);

describe("a snapshot of which the connection breaks", () => {
  it("leaves only what was as it was sent", async () => {
    const host = receiver();
    const spoilt = piece(3, B, crc32(AB) ^ 1);
    const error = await assertRejects(
      () => feed(host, 3, [piece(0, A, crc32(A)), spoilt]),
      RaftError,
    );
    assertEquals(error.code, "malformedFrame");
    assertEquals(host.kept, A);
  });

  it("goes on from there when it comes again, and not elsewhere", async () => {
    const host = receiver();
    await feed(host, 3, [piece(0, A, crc32(A))]);
    assertEquals(host.kept, A);
    for (const at of [0, 2, 4]) {
      const error = await assertRejects(
        () => feed(host, 3, [piece(at, B, crc32(B))]),
        RaftError,
      );
      assertEquals(error.code, "malformedFrame");
      assertEquals(host.kept, A);
    }
    const said = await feed(host, 3, [piece(3, B, crc32(B)), end(5, crc32(B))]);
    assertEquals(said, [
      encodeControlFrame(FRAME_KIND.snapshotWanted, 3),
      encodeControlFrame(FRAME_KIND.snapshotAck, [true, ""]),
    ]);
    assertEquals(host.snapshots.map(({ bytes }) => bytes), [AB]);
  });

  it("does not pass for whole without its end, or with another one (H65)", async () => {
    const ends = [[], [end(4, crc32(AB))], [end(5, crc32(AB) ^ 1)]];
    for (const last of ends) {
      const host = receiver();
      const frames = [piece(0, AB, crc32(AB)), ...last];
      await feed(host, 3, frames).catch(() => {});
      assertEquals(host.snapshots, []);
    }
  });

  it("needs a checksum in every piece since version 3", async () => {
    const host = receiver();
    await assertRejects(() => feed(host, 3, [piece(0, A)]), RaftError);
    assertEquals(host.kept.length, 0);
  });

  it("is refused when it goes on with nothing", async () => {
    for (const version of [2, 3]) {
      const host = receiver();
      const empty = version === 2
        ? piece(0, new Uint8Array(0))
        : piece(0, new Uint8Array(0), 0);
      const error = await assertRejects(
        () => feed(host, version, [empty]),
        RaftError,
      );
      assertEquals(error.code, "malformedFrame");
    }
  });

  it("comes from its start in version 2, and what is known is passed over", async () => {
    const host = receiver();
    await feed(host, 2, [piece(0, A)]);
    assertEquals(host.kept, A);
    const frames = [piece(0, AB.subarray(0, 4)), piece(4, AB.subarray(4))];
    const said = await feed(host, 2, [...frames, end(5, crc32(AB))]);
    const taken = encodeControlFrame(FRAME_KIND.snapshotAck, [true, ""]);
    assertEquals(said, [taken]);
    assertEquals(host.snapshots.map(({ bytes }) => bytes), [AB]);
  });
});

describe("hosts of different versions", () => {
  for (const [sender, taker] of [[OLD, {}], [{}, OLD]]) {
    const names = sender === OLD
      ? "an older to a newer"
      : "a newer to an older";
    it(`send snapshots from ${names} one, whole`, async () => {
      const hosts = await Promise.all(
        [sender, taker].map(async (setup) =>
          new Host(new TcpTransport(setup), {
            deployment: "d",
            address: await freeAddress(),
          })
        ),
      );
      const [a, b] = hosts;
      assert(a !== undefined && b !== undefined);
      try {
        for (const host of hosts) await host.start();
        const { transfer, bytes } = SAMPLE;
        b.kept = bytes.slice(0, 1000);
        await a.sendSnapshot(b, transfer);
        assertEquals(b.snapshots[0]?.bytes, bytes);
      } finally {
        for (const host of hosts) await host.transport.close();
      }
    });
  }
});

describe("a snapshot that takes long", () => {
  it("is not taken for a silent connection while pieces come (H66)", async () => {
    // Silence is over after 60 ms; the pieces come over 200 ms and more.
    const setup = { keepaliveMs: 20, maxMissedPings: 1 };
    const [a, b] = await Promise.all(
      [1, 2].map(async () =>
        new Host(new TcpTransport(setup), {
          deployment: "d",
          address: await freeAddress(),
        })
      ),
    );
    assert(a !== undefined && b !== undefined);
    async function* slowly(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < SAMPLE.bytes.length; at += CUT_BYTES) {
        await new Promise((go) => setTimeout(go, 5));
        yield SAMPLE.bytes.subarray(at, at + CUT_BYTES);
      }
    }
    try {
      for (const host of [a, b]) await host.start();
      await a.sendSnapshot(b, { ...SAMPLE.transfer, chunks: slowly });
      assertEquals(b.snapshots[0]?.bytes, SAMPLE.bytes);
    } finally {
      for (const host of [a, b]) await host.transport.close();
    }
  });
});
