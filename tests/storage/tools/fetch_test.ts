import { describe, it } from "node:test";
import { createServer, type ServerResponse } from "node:http";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { isRaftError } from "@balsa/raft";
import { fetchBackup, Refusal, verifyBackup } from "@balsa/raft/tools";
import { backupChunks } from "../../../src/backup_format.ts";
import { EMPTY_CONF } from "../../../src/core/types.ts";
import { type Site, withSite } from "./support.ts";

const manifest = {
  deployment: "orders",
  group: 1,
  index: 5,
  term: 2,
  conf: { ...EMPTY_CONF, voters: [1] },
  takenAtMs: 1_700_000_000_000,
};

async function* state(): AsyncGenerator<Uint8Array, void, undefined> {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve();
    yield new Uint8Array(50_000).fill(i);
  }
}

/** Serves one kind of answer for the length of a test. */
async function serving(
  answer: (response: ServerResponse) => Promise<void> | void,
  test: (url: string) => Promise<void>,
): Promise<void> {
  const server = createServer((_, response) => void answer(response));
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const bound = server.address();
      resolve(typeof bound === "object" && bound !== null ? bound.port : 0);
    });
  });
  try {
    await test(`http://127.0.0.1:${port}/backup`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** The error, and that it left nothing behind. */
async function failure(site: Site, url: string): Promise<unknown> {
  const file = site.path("file");
  const error = await assertRejects(() => fetchBackup({ url, file }));
  assertEquals(readdirSync(site.directory), []);
  return error;
}

describe("fetchBackup", () => {
  it("leaves a file that is whole and checked", () =>
    withSite(async (site) => {
      const sent: number[] = [];
      await serving(async (response) => {
        for await (const chunk of backupChunks(manifest, state())) {
          sent.push(...chunk);
          response.write(chunk);
        }
        response.end();
      }, async (url) => {
        const file = site.path("file");
        const checked = await fetchBackup({ url, file });
        assertEquals([checked.manifest, checked.bytes], [manifest, 1_000_000]);
        assertEquals([...readFileSync(file)].length, sent.length);
        assertEquals(readdirSync(site.directory), ["file"]);
      });
    }));

  it("leaves nothing of a stream that breaks off", () =>
    withSite((site) =>
      serving(async (response) => {
        let count = 0;
        for await (const chunk of backupChunks(manifest, state())) {
          if (count++ === 5) return void response.destroy();
          response.write(chunk);
        }
      }, async (url) => {
        const error = await failure(site, url);
        assert(
          isRaftError(error, "unreachable") || isRaftError(error, "corrupt"),
          String(error),
        );
      })
    ));

  it("leaves nothing of what ends early, though in an orderly way", () =>
    withSite((site) =>
      serving(async (response) => {
        let count = 0;
        for await (const chunk of backupChunks(manifest, state())) {
          if (count++ < 5) response.write(chunk);
        }
        response.end();
      }, async (url) => {
        const error = await failure(site, url);
        assert(isRaftError(error, "corrupt"), String(error));
      })
    ));

  it("says what a server answers that gives none, and that nobody answers", () =>
    withSite((site) =>
      serving((response) => {
        response.writeHead(503);
        response.end("no leader is known");
      }, async (url) => {
        const error = await failure(site, url);
        assert(isRaftError(error, "unreachable"));
        assertMatch(error.message, /it answers 503: no leader is known/);
        const nobody = await failure(site, "http://127.0.0.1:1/backup");
        assert(isRaftError(nobody, "unreachable"));
      })
    ));

  it("never writes over a file", () =>
    withSite(async (site) => {
      const file = site.path("file");
      writeFileSync(file, "precious");
      const error = await assertRejects(() =>
        fetchBackup({ url: "http://127.0.0.1:1/", file })
      );
      assert(error instanceof Refusal);
      assertEquals(readFileSync(file, "utf8"), "precious");
      assert(!existsSync(`${file}.part`));
    }));

  it("twice at once to one file leaves one that is whole", () =>
    withSite((site) =>
      serving(async (response) => {
        for await (const chunk of backupChunks(manifest, state())) {
          response.write(chunk);
        }
        response.end();
      }, async (url) => {
        const file = site.path("file");
        const results = await Promise.allSettled(
          [1, 2, 3].map(() => fetchBackup({ url, file })),
        );
        const whole = results.filter(({ status }) => status === "fulfilled");
        assertEquals(whole.length, 1);
        for (const result of results) {
          if (result.status === "fulfilled") continue;
          assert(result.reason instanceof Refusal, String(result.reason));
        }
        assertEquals((await verifyBackup(file)).manifest, manifest);
        assertEquals(readdirSync(site.directory), ["file"]);
      })
    ));
});
