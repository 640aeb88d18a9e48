/** The TCP transport keeps the contract, over every kind of socket here. */
import { describe, it } from "node:test";
import { transportCases } from "../../src/testing/mod.ts";
import { TcpTransport } from "../../transports/tcp/mod.ts";
import { nodeSockets } from "../../transports/tcp/sockets_node.ts";
import { freeAddress } from "./ports.ts";
import { actRaw } from "./tcp_peer.ts";

describe("TcpTransport with the runtime's own sockets", () => {
  const create = (setup: object) => new TcpTransport(setup);
  for (const { name, run } of transportCases({ create, freeAddress, actRaw })) {
    it(name, run);
  }
});

if ("Deno" in globalThis) {
  describe("TcpTransport with the sockets of node:net on Deno", () => {
    const create = (setup: object) =>
      new TcpTransport({ ...setup, sockets: nodeSockets });
    const options = { create, freeAddress, actRaw };
    for (const { name, run } of transportCases(options)) it(name, run);
  });
}
