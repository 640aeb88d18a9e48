/** The parts of a connection: back-off, addresses, options, checksums. */
import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { formatAddress, parseAddress } from "../../transports/link/channel.ts";
import { crc32 } from "../../transports/link/crc32.ts";
import { Backoff } from "../../transports/link/timing.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";

describe("Backoff", () => {
  const range = { minMs: 50, maxMs: 250 };

  it("doubles from the least to the most, and stays there", () => {
    const backoff = new Backoff(range, () => 1);
    const pauses = [1, 2, 3, 4, 5].map(() => backoff.next());
    assertEquals(pauses, [50, 100, 200, 250, 250]);
  });

  it("starts over after a success (H33)", () => {
    const backoff = new Backoff(range, () => 1);
    for (let i = 0; i < 5; i++) backoff.next();
    backoff.reset();
    assertEquals(backoff.next(), 50);
  });

  it("draws from the upper half of its ceiling", () => {
    const low = new Backoff(range, () => 0);
    assertEquals([low.next(), low.next()], [25, 50]);
  });

  it("stays a finite number after a million failures (H120)", () => {
    const backoff = new Backoff(range, () => 0.5);
    let pause = 0;
    for (let i = 0; i < 1_000_000; i++) pause = backoff.next();
    assertEquals(pause, 187.5);
  });
});

describe("parseAddress()", () => {
  it("takes names, IPv4, and IPv6 in brackets, and back", () => {
    for (
      const [address, host, port] of [
        ["127.0.0.1:9000", "127.0.0.1", 9000],
        ["raft-1.example.org:1", "raft-1.example.org", 1],
        ["[::1]:65535", "::1", 65535],
        ["[fe80::1%eth0]:9000", "fe80::1%eth0", 9000],
      ] as const
    ) {
      assertEquals(parseAddress(address), { host, port });
      assertEquals(formatAddress({ host, port }), address);
    }
  });

  it("refuses everything else, naming it", () => {
    for (
      const address of [
        "",
        "host",
        "host:",
        ":9000",
        "::1:9000",
        "host:65536",
        "host:-1",
        "host:9000/path",
        "a b:1",
        "[::1]",
      ]
    ) {
      assertThrows(() => parseAddress(address), RangeError, `"${address}"`);
    }
  });
});

describe("crc32()", () => {
  it("agrees with the published check value", () => {
    assertEquals(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
  });

  it("covers pieces as it covers the whole", () => {
    const bytes = Uint8Array.from({ length: 1_000 }, (_, at) => at * 7);
    const pieces = crc32(bytes.subarray(300), crc32(bytes.subarray(0, 300)));
    assertEquals(pieces, crc32(bytes));
    assert(crc32(bytes.subarray(1)) !== crc32(bytes));
  });
});

describe("the options of a network transport", () => {
  it("are refused when out of range or in contradiction", () => {
    for (
      const options of [
        { maxFrameBytes: 0 },
        { maxFrameBytes: 2 ** 31 },
        { maxFrameBytes: 1 << 20, maxQueueBytes: 1 << 19 },
        { maxFrameBytes: 1 << 20, maxReceiveBytes: 1 << 19 },
        { keepaliveMs: 0 },
        { keepaliveMs: 1.5 },
        { minBackoffMs: 300 },
        { maxHalfOpen: NaN },
        { protocol: { min: 2, max: 1 } },
        { protocol: { min: 0, max: 1 } },
      ]
    ) assertThrows(() => new TcpTransport(options), RangeError, "Cannot");
    new TcpTransport({ maxFrameBytes: 1 << 20, maxQueueBytes: 1 << 20 });
  });
});
