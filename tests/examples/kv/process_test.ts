import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, afterEach, before, describe, it } from "node:test";
import { freePorts, isPortFree } from "../../chaos/cluster.ts";
import { freeRange, occupy, ServerProcess } from "./server_process.ts";

/** Every process of the test that runs; killed after it. */
let running: ServerProcess[] = [];
let directory = "";

function start(
  args: readonly string[],
  env: Record<string, string> = {},
): ServerProcess {
  const server = new ServerProcess(args, env);
  running.push(server);
  return server;
}

/** The arguments of a member that is its own cluster. */
function alone(http: number, raft: number, data = "alone"): string[] {
  return [
    "serve",
    ...["--id", "1", "--members", `1=127.0.0.1:${raft}`],
    ...["--http", `127.0.0.1:${http}`, "--data", join(directory, data)],
  ];
}

/** Exactly once: its outcome is known even if a leader dies under it. */
async function put(url: string, body: string): Promise<number> {
  const headers = { "idempotency-key": `process-test/${++lastSequence}` };
  const response = await fetch(url, { method: "PUT", body, headers });
  await response.arrayBuffer();
  return response.status;
}

let lastSequence = 0;

async function get(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

function hooks(): void {
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "balsa-process-"));
  });
  afterEach(async () => {
    await Promise.all(running.map((server) => server.signal("SIGKILL")));
    running = [];
  });
  after(() => rmSync(directory, { recursive: true, force: true }));
}

describe("the program's usage", () => {
  hooks();

  it("is shown by --help, on standard output, with code 0", async () => {
    for (const args of [["--help"], ["serve", "-h"], ["help"]]) {
      const { code, out, err } = await start(args).end();
      assertEquals(code, 0, err);
      for (
        const flag of ["--members", "--http-port", "--timeout", "--config"]
      ) {
        assertStringIncludes(out, flag);
      }
    }
  });

  const wrong: readonly [readonly string[], string][] = [
    [["--bogus"], "unknown flag --bogus"],
    [["sevre"], `Cannot run "sevre": unknown command`],
    [["serve"], "--id is missing"],
    [["serve", "--id", "x"], "Cannot use --id"],
    [["serve", "--id"], "--id lacks its value"],
    [["serve", "7"], `"7" is no flag`],
    [["serve", "--config", "/nowhere/kv.json"], "configuration file"],
    [["--http-port", "0"], "Cannot use --http-port"],
    [["get"], "Cannot get: 0 arguments"],
  ];
  for (const [args, message] of wrong) {
    it(`is code 2 and a message for: ${args.join(" ")}`, async () => {
      const { code, out, err } = await start(args).end();
      assertEquals(code, 2);
      assertEquals(out, "");
      assertStringIncludes(err, message);
    });
  }
});

describe("serve", () => {
  hooks();

  it("says ready in the one form, serves, and ends with 0 on SIGTERM and SIGINT", async () => {
    const [http = 0, raft = 0] = await freePorts(2);
    for (const [i, signal] of (["SIGTERM", "SIGINT"] as const).entries()) {
      const server = start(alone(http, raft));
      const { input: line } = await server.line(/^ready/);
      assertEquals(
        line,
        `ready id=1 http=127.0.0.1:${http} raft=127.0.0.1:${raft}`,
      );
      const url = `http://127.0.0.1:${http}/kv/key-${i}`;
      assertEquals(await put(url, signal), 200);
      const { code, err } = await server.signal(signal);
      assertEquals(code, 0, err);
    }
    // What was written before each stop is there after the next start.
    const again = start(alone(http, raft));
    await again.line(/^ready/);
    const base = `http://127.0.0.1:${http}/kv`;
    assertEquals(await get(`${base}/key-0`), "SIGTERM");
    assertEquals(await get(`${base}/key-1`), "SIGINT");
  });

  it("keeps what was acknowledged through SIGKILL", async () => {
    const [http = 0, raft = 0] = await freePorts(2);
    const first = start(alone(http, raft, "killed"));
    await first.line(/^ready/);
    const url = `http://127.0.0.1:${http}/kv/kept`;
    assertEquals(await put(url, "kept"), 200);
    assertEquals((await first.signal("SIGKILL")).signal, "SIGKILL");
    await start(alone(http, raft, "killed")).line(/^ready/);
    assertEquals(await get(url), "kept");
  });

  it("takes settings from a file and the environment, and a free port", async () => {
    const [raft = 0] = await freePorts(1);
    const config = join(directory, "kv.json");
    writeFileSync(
      config,
      JSON.stringify({
        id: 1,
        members: { 1: `127.0.0.1:${raft}` },
        http: "127.0.0.1:0",
      }),
    );
    const server = start(["serve", "--config", config], {
      BALSA_DATA: join(directory, "by-env"),
    });
    const [, http = ""] = await server.line(/^ready id=1 http=(\S+) raft=/);
    assertEquals(await put(`http://${http}/kv/a`, "x"), 200);
  });

  it("ends with --exit-with-stdin when standard input does", async () => {
    const [http = 0, raft = 0] = await freePorts(2);
    const args = alone(http, raft, "stdin");
    const server = start([...args, "--exit-with-stdin"]);
    await server.line(/^ready/);
    server.closeStdin();
    assertEquals((await server.end()).code, 0);
  });

  it("ends with 3 and a message if the data directory is in use", async () => {
    const [http = 0, raft = 0, otherHttp = 0, otherRaft = 0] = await freePorts(
      4,
    );
    const first = start(alone(http, raft, "shared"));
    await first.line(/^ready/);
    const { code, err } = await start(alone(otherHttp, otherRaft, "shared"))
      .end();
    assertEquals(code, 3, err);
    assertStringIncludes(err, "Cannot use the data directory");
    // The one that holds it goes on.
    assertEquals(await put(`http://127.0.0.1:${http}/kv/a`, "x"), 200);
  });

  const foreign: readonly [string, readonly string[]][] = [
    ["another member", ["--id", "2"]],
    ["another deployment", ["--id", "1", "--deployment", "other"]],
  ];
  for (const [whose, flags] of foreign) {
    it(`ends with 3 and a message if the data are ${whose}'s`, async () => {
      const [http = 0, raft = 0, other = 0] = await freePorts(3);
      const data = join(directory, `of-${flags.join("")}`);
      const shared = [
        "serve",
        ...["--members", `1=127.0.0.1:${raft},2=127.0.0.1:${other}`],
        ...["--http", `127.0.0.1:${http}`, "--data", data],
      ];
      const first = start([...shared, "--id", "1"]);
      await first.line(/^ready/);
      assertEquals((await first.signal("SIGTERM")).code, 0);
      const { code, err } = await start([...shared, ...flags]).end();
      assertEquals(code, 3, err);
      assertStringIncludes(err, "Cannot use the data directory");
      // Nothing was changed: the owner starts again.
      await start([...shared, "--id", "1"]).line(/^ready/);
    });
  }

  it("ends with 4 and a message if an address is taken", async () => {
    const [http = 0, raft = 0] = await freePorts(2);
    for (const [port, what] of [[http, "HTTP"], [raft, "members"]] as const) {
      const free = await occupy(port);
      try {
        const { code, err } = await start(alone(http, raft, "busy")).end();
        assertEquals(code, 4, err);
        assertStringIncludes(err, `Cannot listen on 127.0.0.1:${port}`);
        assertStringIncludes(err, what);
      } finally {
        await free();
      }
    }
  });
});

describe("the cluster of `deno task kv`", () => {
  hooks();

  async function startCluster(data: string, ports?: number) {
    const base = ports ?? await freeRange(6);
    const cluster = start([
      ...["--data", join(directory, data)],
      ...["--http-port", `${base}`, "--raft-port", `${base + 3}`],
    ]);
    const pids: number[] = [];
    for (const id of [1, 2, 3]) {
      const [, http, pid] = await cluster.line(
        new RegExp(`^member ${id}: http://(\\S+) \\(pid (\\d+)\\)$`),
      );
      assertEquals(http, `127.0.0.1:${base + id - 1}`);
      pids.push(Number(pid));
    }
    const url = (id: number, path: string) =>
      `http://127.0.0.1:${base + id - 1}${path}`;
    return { cluster, base, pids, url };
  }

  it("serves through every member, outlives one, stops as a whole", async () => {
    const { cluster, pids, url, base } = await startCluster("whole");
    assertEquals(await put(url(2, "/kv/a"), "hello"), 200);
    assertEquals(await get(url(3, "/kv/a")), "hello");
    process.kill(pids[1] ?? 0, "SIGKILL");
    const { input: line } = await cluster.errorLine(/^member 2 ended/);
    assertMatch(line, /signal SIGKILL; the others go on$/);
    const { input: command } = await cluster.errorLine(/^to start it again: /);
    assertStringIncludes(command, "serve --id 2");
    assertEquals(await put(url(1, "/kv/a"), "again"), 200);
    assertEquals(await get(url(3, "/kv/a")), "again");
    const { code, err } = await cluster.signal("SIGINT");
    assertStringIncludes(err, "cluster stops: SIGINT");
    assertEquals(code, 0, err);
    await assertGone(base);
  });

  it("ends with 1 when no member is left", async () => {
    const { cluster, pids } = await startCluster("gone");
    for (const pid of pids) process.kill(pid, "SIGKILL");
    const { code, err } = await cluster.end();
    assertStringIncludes(err, "Cannot go on: no member is left");
    assertEquals(code, 1);
  });

  it("ends with 0 when nothing went wrong, and starts again with its data", async () => {
    const first = await startCluster("twice");
    assertEquals(await put(first.url(1, "/kv/a"), "kept"), 200);
    const { code, err } = await first.cluster.signal("SIGTERM");
    assertEquals(code, 0, err);
    await assertGone(first.base);
    const second = await startCluster("twice", first.base);
    assertEquals(await get(second.url(2, "/kv/a")), "kept");
  });

  it("leaves no member behind when it is killed itself", async () => {
    const { cluster, pids } = await startCluster("killed");
    await cluster.signal("SIGKILL");
    const deadline = performance.now() + 20_000;
    while (pids.some(isAlive) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(pids.filter(isAlive), []);
  });

  it("keeps its own environment from its members", async () => {
    const base = await freeRange(6);
    const config = join(directory, "cluster.json");
    writeFileSync(
      config,
      JSON.stringify({
        "data": join(directory, "environment"),
        "http-port": base,
        "raft-port": base + 3,
      }),
    );
    const advertise = { BALSA_ADVERTISE: "127.0.0.1:2", BALSA_ID: "9" };
    const cluster = start([], { BALSA_CONFIG: config, ...advertise });
    await cluster.line(/^member 3/);
    const url = (id: number) => `http://127.0.0.1:${base + id - 1}/kv/a`;
    assertEquals(await put(url(1), "x"), 200);
    const init: RequestInit = { method: "PUT", body: "y", redirect: "follow" };
    for (const id of [1, 2, 3]) {
      const response = await fetch(`${url(id)}?forward=no`, init);
      assertEquals(response.status, 200, await response.text());
    }
  });

  it("ends with 4, naming the address, if a port is taken", async () => {
    const base = await freeRange(6);
    const free = await occupy(base + 1);
    try {
      const { code, err } = await start([
        ...["--data", join(directory, "busy")],
        ...["--http-port", `${base}`, "--raft-port", `${base + 3}`],
      ]).end();
      assertEquals(code, 4, err);
      assertStringIncludes(err, `Cannot listen on 127.0.0.1:${base + 1}`);
      assertStringIncludes(err, "Cannot start the cluster: member 2");
    } finally {
      await free();
    }
    await assertGone(base);
  });
});

describe("the client commands", () => {
  hooks();

  it("put, get, list, delete and status talk to a member", async () => {
    const [http = 0, raft = 0] = await freePorts(2);
    await start(alone(http, raft, "client")).line(/^ready/);
    const at = ["--endpoint", `127.0.0.1:${http}`];
    const run = (...args: string[]) => start([...args, ...at]).end();
    assertEquals((await run("put", "a/b c", "hello")).code, 0);
    assertEquals((await run("get", "a/b c")).out, "hello");
    assertEquals((await run("list", "a/")).out, "1\ta/b c\thello");
    assertStringIncludes((await run("status")).out, `"role":"leader"`);
    assertStringIncludes((await run("delete", "a/b c")).out, `"deleted":true`);
    const gone = await run("get", "a/b c");
    assertEquals(gone.code, 1);
    assertStringIncludes(gone.err, "noSuchKey");
  });

  it("say so with code 1 if nobody answers", async () => {
    const [port = 0] = await freePorts(1);
    const args = ["get", "a", "--endpoint", `127.0.0.1:${port}`];
    const { code, err } = await start(args).end();
    assertEquals(code, 1);
    assertStringIncludes(err, `Cannot reach 127.0.0.1:${port}`);
  });
});

async function assertGone(base: number): Promise<void> {
  for (let port = base; port < base + 6; port += 1) {
    assert(await isPortFree(port), `port ${port} is still taken`);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
