import { assertEquals, assertThrows } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type ConfigSources,
  formatHostPort,
  parseHostPort,
  readClusterConfig,
  readServeConfig,
} from "../../../examples/kv/config.ts";
import { EXIT, ExitError } from "../../../examples/kv/exit.ts";

const MEMBERS = "1=127.0.0.1:9001,2=127.0.0.1:9002,3=127.0.0.1:9003";

function sources(
  flags: Record<string, string>,
  env: Record<string, string> = {},
): ConfigSources {
  return { flags: new Map(Object.entries(flags)), env };
}

function assertUsage(read: () => unknown, message: string): void {
  const error = assertThrows(read, ExitError, message);
  assertEquals(error.exitCode, EXIT.usage);
}

describe("readServeConfig()", () => {
  it("fills in every default from the id and the members", () => {
    assertEquals(readServeConfig(sources({ id: "2", members: MEMBERS })), {
      id: 2,
      members: [
        { id: 1, address: "127.0.0.1:9001" },
        { id: 2, address: "127.0.0.1:9002" },
        { id: 3, address: "127.0.0.1:9003" },
      ],
      http: { host: "127.0.0.1", port: 8002 },
      advertise: null,
      raft: "127.0.0.1:9002",
      data: join("data", "member-2"),
      transport: "tcp",
      timeoutMs: 5_000,
      deployment: "kv",
      leaseReads: false,
      snapshotEntries: 100_000,
      snapshotTrailing: 10_000,
      segmentBytes: 64 << 20,
      join: false,
      exitWithStdin: false,
    });
  });

  it("takes every setting from the environment", () => {
    const config = readServeConfig(sources({}, {
      BALSA_ID: "7",
      BALSA_MEMBERS: "7=[::1]:9007,3=node-3.example:9003",
      BALSA_HTTP: "0.0.0.0:0",
      BALSA_ADVERTISE: "node-7.example:80",
      BALSA_RAFT: "[::1]:9007",
      BALSA_DATA: "/srv/kv",
      BALSA_TRANSPORT: "http",
      BALSA_TIMEOUT: "250ms",
      BALSA_DEPLOYMENT: "orders",
      BALSA_LEASE_READS: "true",
      BALSA_SNAPSHOT_ENTRIES: "500",
      BALSA_SNAPSHOT_TRAILING: "0",
      BALSA_SEGMENT_BYTES: "65536",
      BALSA_JOIN: "true",
      BALSA_EXIT_WITH_STDIN: "true",
    }));
    assertEquals(config, {
      id: 7,
      members: [
        { id: 3, address: "node-3.example:9003" },
        { id: 7, address: "[::1]:9007" },
      ],
      http: { host: "0.0.0.0", port: 0 },
      advertise: "node-7.example:80",
      raft: "[::1]:9007",
      data: "/srv/kv",
      transport: "http",
      timeoutMs: 250,
      deployment: "orders",
      leaseReads: true,
      snapshotEntries: 500,
      snapshotTrailing: 0,
      segmentBytes: 65_536,
      join: true,
      exitWithStdin: true,
    });
  });

  it("counts an empty variable as unset", () => {
    const config = readServeConfig(
      sources({ id: "1", members: MEMBERS }, { BALSA_TIMEOUT: "" }),
    );
    assertEquals(config.timeoutMs, 5_000);
  });

  const times: readonly [string, number][] = [
    ["2s", 2_000],
    ["750ms", 750],
    ["1m", 60_000],
    ["1500", 1_500],
  ];
  for (const [text, timeoutMs] of times) {
    it(`reads --timeout ${text} as ${timeoutMs} ms`, () => {
      const flags = { id: "1", members: MEMBERS, timeout: text };
      assertEquals(readServeConfig(sources(flags)).timeoutMs, timeoutMs);
    });
  }

  const missing: readonly [Record<string, string>, string][] = [
    [{ members: MEMBERS }, "--id is missing (also BALSA_ID"],
    [{ id: "1" }, "--members is missing (also BALSA_MEMBERS"],
  ];
  for (const [flags, message] of missing) {
    it(`says that ${message}…)`, () => {
      assertUsage(() => readServeConfig(sources(flags)), message);
    });
  }

  const wrong: readonly [Record<string, string>, string][] = [
    [{ id: "0" }, `Cannot use --id: it is "0", wanted`],
    [{ id: "-1" }, `Cannot use --id: it is "-1"`],
    [{ id: "1.5" }, `Cannot use --id: it is "1.5"`],
    [{ id: "one" }, `Cannot use --id: it is "one"`],
    [{ id: "9007199254740993" }, "Cannot use --id"],
    [{ id: "4" }, "this member, --id 4, is not among them"],
    [{ members: "" }, "Cannot use --members"],
    [{ members: "1" }, "Cannot use --members"],
    [{ members: "1=127.0.0.1" }, "Cannot use --members"],
    [{ members: "1=127.0.0.1:0" }, "Cannot use --members"],
    [{ members: "1=127.0.0.1:65536" }, "Cannot use --members"],
    [{ members: "0=127.0.0.1:9001" }, "Cannot use --members"],
    [{ members: `${MEMBERS},` }, "Cannot use --members"],
    [{ members: `${MEMBERS},1=h:1` }, "id 1 is there twice"],
    [
      { members: `${MEMBERS},4=127.0.0.1:9001` },
      `members 1 and 4 share the address "127.0.0.1:9001"`,
    ],
    [{ raft: "127.0.0.1:9002" }, `--members reaches member 1 at`],
    [{ raft: "9001" }, "Cannot use --raft"],
    [{ http: "8001" }, `Cannot use --http: it is "8001", wanted HOST:PORT`],
    [{ http: "http://127.0.0.1:8001" }, "Cannot use --http"],
    [{ http: "127.0.0.1:99999" }, "Cannot use --http"],
    [{ http: "::1:8001" }, "Cannot use --http"],
    [{ advertise: "h:0" }, "Cannot use --advertise"],
    [{ data: "" }, "Cannot use --data"],
    [{ transport: "udp" }, `--transport: it is "udp", wanted tcp or http`],
    [{ timeout: "soon" }, `Cannot use --timeout: it is "soon"`],
    [{ timeout: "5" }, `Cannot use --timeout: it is "5", wanted a time`],
    [{ timeout: "11m" }, "Cannot use --timeout"],
    [{ "snapshot-entries": "0" }, "Cannot use --snapshot-entries"],
    [{ "snapshot-trailing": "-1" }, "Cannot use --snapshot-trailing"],
    [{ "segment-bytes": "100" }, "wanted a whole number from 4096"],
    [{ deployment: "two words" }, "Cannot use --deployment"],
    [{ "exit-with-stdin": "perhaps" }, "Cannot use --exit-with-stdin"],
  ];
  for (const [flags, message] of wrong) {
    it(`refuses ${JSON.stringify(flags)} by name`, () => {
      const all = { id: "1", members: MEMBERS, ...flags };
      assertUsage(() => readServeConfig(sources(all)), message);
    });
  }

  it("names the variable a wrong setting came from", () => {
    assertUsage(
      () =>
        readServeConfig(
          sources({ id: "1", members: MEMBERS }, { BALSA_HTTP: "nowhere" }),
        ),
      `Cannot use --http from BALSA_HTTP: it is "nowhere", wanted HOST:PORT`,
    );
  });
});

describe("the configuration file", () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "balsa-config-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  function file(contents: unknown): string {
    const path = join(directory, "kv.json");
    const text = typeof contents === "string"
      ? contents
      : JSON.stringify(contents);
    writeFileSync(path, text);
    return path;
  }

  it("takes numbers, switches and members as JSON has them", () => {
    const config = file({
      id: 3,
      members: { 1: "a:1", 3: "c:3" },
      timeout: 400,
      "exit-with-stdin": true,
    });
    const read = readServeConfig(sources({ config }));
    assertEquals(read.id, 3);
    assertEquals(read.members, [
      { id: 1, address: "a:1" },
      { id: 3, address: "c:3" },
    ]);
    assertEquals(read.timeoutMs, 400);
    assertEquals(read.exitWithStdin, true);
  });

  it("yields to the environment, and that to flags", () => {
    const config = file({
      id: 1,
      members: MEMBERS,
      data: "file",
      timeout: "1s",
      deployment: "file",
    });
    const read = readServeConfig(
      sources(
        { data: "flag" },
        { BALSA_CONFIG: config, BALSA_DATA: "env", BALSA_TIMEOUT: "2s" },
      ),
    );
    assertEquals(read.data, "flag");
    assertEquals(read.timeoutMs, 2_000);
    assertEquals(read.deployment, "file");
  });

  const wrong: readonly [string, unknown, string][] = [
    ["is no JSON", "{", "Cannot read the configuration file"],
    ["is no object", [1], "wanted one JSON object"],
    ["has an unknown setting", { idd: 1 }, `unknown setting "idd"`],
    ["names a file itself", { config: "x" }, `unknown setting "config"`],
    ["has a wrong value", { id: true }, "kv.json: it is true, wanted"],
    ["has hostile keys", `{"__proto__": 1}`, `unknown setting "__proto__"`],
  ];
  for (const [what, contents, message] of wrong) {
    it(`is refused by name if it ${what}`, () => {
      const config = file(contents);
      assertUsage(
        () => readServeConfig(sources({ members: MEMBERS, config })),
        message,
      );
    });
  }

  it("is refused by name if it is not there", () => {
    assertUsage(
      () => readServeConfig(sources({ config: join(directory, "absent") })),
      "Cannot read the configuration file",
    );
  });
});

describe("readClusterConfig()", () => {
  it("defaults to the ports and the directory of the guide", () => {
    assertEquals(readClusterConfig(sources({})), {
      data: "data",
      httpPort: 8001,
      raftPort: 9001,
      transport: "tcp",
      timeoutMs: 5_000,
      deployment: "kv",
      leaseReads: false,
      snapshotEntries: 100_000,
      snapshotTrailing: 10_000,
      segmentBytes: 64 << 20,
    });
  });

  const wrong: readonly [Record<string, string>, string][] = [
    [{ "http-port": "0" }, "Cannot use --http-port"],
    [{ "http-port": "65534" }, "wanted a port from 1 to 65533"],
    [{ "raft-port": "9001x" }, "Cannot use --raft-port"],
    [
      { "http-port": "9000", "raft-port": "9002" },
      "each needs 3 ports of its own",
    ],
  ];
  for (const [flags, message] of wrong) {
    it(`refuses ${JSON.stringify(flags)} by name`, () => {
      assertUsage(() => readClusterConfig(sources(flags)), message);
    });
  }
});

describe("parseHostPort()", () => {
  for (const text of ["127.0.0.1:1", "name:65535", "[::1]:0", "a-b.c:80"]) {
    it(`round-trips ${text}`, () => {
      const parsed = parseHostPort(text);
      assertEquals(parsed && formatHostPort(parsed), text);
    });
  }
  for (
    const text of ["", ":1", "h:", "h", "h:65536", "h:-1", "a b:1", "h:1/"]
  ) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assertEquals(parseHostPort(text), undefined);
    });
  }
});
