import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { Sha256 } from "../src/sha256.ts";

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** Bytes that differ at every place. */
function sample(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 167 + (i >> 8)) & 0xff);
}

describe("Sha256", () => {
  it("gives the digests of the standard", () => {
    const text = new TextEncoder();
    assertEquals(
      hex(new Sha256().digest()),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    assertEquals(
      hex(new Sha256().update(text.encode("abc")).digest()),
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  it("agrees with the runtime at every length around a block", () => {
    for (let length = 0; length <= 200; length++) {
      const bytes = sample(length);
      const wanted = createHash("sha256").update(bytes).digest("hex");
      assertEquals(hex(new Sha256().update(bytes).digest()), wanted);
    }
  });

  it("does not care where a stream is cut", () => {
    const bytes = sample(1_000);
    const wanted = createHash("sha256").update(bytes).digest("hex");
    for (const step of [1, 3, 63, 64, 65, 127, 999]) {
      const hash = new Sha256();
      for (let at = 0; at < bytes.length; at += step) {
        hash.update(bytes.subarray(at, at + step));
      }
      assertEquals(hex(hash.digest()), wanted);
    }
  });
});
