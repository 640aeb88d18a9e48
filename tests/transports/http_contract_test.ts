/** The HTTP transport keeps the contract on its own port. */
import { describe, it } from "node:test";
import { transportCases } from "../../src/testing/mod.ts";
import { HttpTransport } from "../../transports/http/mod.ts";
import { actRaw } from "./http_peer.ts";
import { freeAddress } from "./ports.ts";

describe("HttpTransport", () => {
  const create = (setup: object) => new HttpTransport(setup);
  for (const { name, run } of transportCases({ create, freeAddress, actRaw })) {
    it(name, run);
  }
});
