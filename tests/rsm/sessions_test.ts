import { describe, it } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type SessionLimits, Sessions } from "../../src/rsm/sessions.ts";
import { below, seededRandom } from "./support.ts";

const small: SessionLimits = {
  maxClients: 2,
  maxRetiredClients: 2,
  maxResultsPerClient: 3,
  maxResults: 5,
};

function admit(table: Sessions, client: string, ...sequences: number[]) {
  return sequences.map((sequence) => table.admit({ client, sequence }).type);
}

describe("Sessions.admit()", () => {
  it("applies a sequence once and repeats it afterwards (H102)", () => {
    const table = new Sessions(small);
    const first = table.admit({ client: "a", sequence: 7 });
    const second = table.admit({ client: "a", sequence: 7 });
    assert(first.type === "apply" && second.type === "repeat");
    assert(first.slot === second.slot);
  });

  it("takes sequences in any order, with gaps, within the window", () => {
    const table = new Sessions(small);
    assertEquals(admit(table, "a", 100, 5, 50), ["apply", "apply", "apply"]);
    assertEquals(admit(table, "a", 5, 100, 50), ["repeat", "repeat", "repeat"]);
  });

  it("refuses what is not above the window's floor", () => {
    const table = new Sessions(small);
    admit(table, "a", 1, 2, 3, 4);
    assertEquals(admit(table, "a", 1, 0, 2, 4), [
      "expired",
      "expired",
      "repeat",
      "repeat",
    ]);
    // Below a full window but never seen: certainly new, applied, not kept.
    admit(table, "b", 10, 20, 30);
    assertEquals(admit(table, "b", 5, 5), ["apply", "expired"]);
  });

  it("tells clients apart, also by hostile names (H133)", () => {
    const limits = { ...small, maxClients: 10, maxResults: 30 };
    const table = new Sessions(limits);
    for (const client of ["__proto__", "constructor", "toString", "a"]) {
      assertEquals(admit(table, client, 0, 0), ["apply", "repeat"]);
    }
    assertEquals(table.clientCount, 4);
  });

  it("retires the client least recently used in the log (H106)", () => {
    const table = new Sessions(small);
    admit(table, "a", 1);
    admit(table, "b", 1);
    admit(table, "a", 1); // A repeat is a use, too.
    admit(table, "c", 1);
    assertEquals([table.clientCount, table.retiredCount], [2, 1]);
    assertEquals(admit(table, "a", 1), ["repeat"]);
    assertEquals(admit(table, "b", 1), ["expired"]);
  });

  it("never applies a retired client's commands again, but new ones (H103)", () => {
    const table = new Sessions(small);
    admit(table, "a", 5, 9);
    admit(table, "b", 1);
    admit(table, "c", 1);
    // 7 was never applied, but who can tell? 10 certainly was not.
    assertEquals(admit(table, "a", 5, 9, 7, 10, 10, 9), [
      "expired",
      "expired",
      "expired",
      "apply",
      "repeat",
      "expired",
    ]);
  });

  it("forgets who retired longest ago once too many have", () => {
    const table = new Sessions(small);
    for (const client of ["a", "b", "c", "d", "e"]) {
      admit(table, client, 1);
    }
    assertEquals([table.clientCount, table.retiredCount], [2, 2]);
    assertEquals(admit(table, "b", 1), ["expired"]);
    assertEquals(admit(table, "a", 1), ["apply"]);
  });

  it("bounds the results of all clients together", () => {
    const table = new Sessions({ ...small, maxClients: 100 });
    admit(table, "a", 0, 1);
    admit(table, "b", 0, 1, 2);
    assertEquals([table.resultCount, table.clientCount], [5, 2]);
    admit(table, "c", 0);
    assertEquals([table.resultCount, table.clientCount], [4, 2]);
    assertEquals(admit(table, "a", 1), ["expired"]);
  });

  it("agrees with a table that remembers everything", () => {
    for (let seed = 1; seed <= 40; seed++) {
      compareWithNaive(seed);
    }
  });
});

/**
 * The same table without any cleverness: lists, sorted anew on each command.
 */
class NaiveSessions {
  /** Least recently used first. */
  clients: { client: string; floor: number; kept: number[] }[] = [];
  retired: { client: string; floor: number }[] = [];
  readonly limits: SessionLimits;

  constructor(limits: SessionLimits) {
    this.limits = limits;
  }

  admit(client: string, sequence: number): string {
    const active = this.clients.find((each) => each.client === client);
    const idle = this.retired.find((each) => each.client === client);
    if (active !== undefined) {
      this.clients = this.clients.filter((each) => each !== active);
      this.clients.push(active);
    }
    if (active?.kept.includes(sequence) === true) {
      return "repeat";
    }
    if (sequence <= (active?.floor ?? idle?.floor ?? -1)) {
      return "expired";
    }
    this.retired = this.retired.filter((each) => each !== idle);
    const record = active ?? { client, floor: idle?.floor ?? -1, kept: [] };
    if (active === undefined) {
      this.clients.push(record);
    }
    record.kept = [...record.kept, sequence].sort((a, b) => a - b);
    if (record.kept.length > this.limits.maxResultsPerClient) {
      record.floor = record.kept.shift() ?? NaN;
    }
    this.#shrink();
    return "apply";
  }

  #shrink(): void {
    const { maxClients, maxResults, maxRetiredClients } = this.limits;
    const held = () => this.clients.flatMap(({ kept }) => kept).length;
    while (this.clients.length > maxClients || held() > maxResults) {
      const [oldest] = this.clients.splice(0, 1);
      assert(oldest !== undefined);
      const floor = Math.max(...oldest.kept);
      this.retired.push({ client: oldest.client, floor });
    }
    this.retired.splice(0, this.retired.length - maxRetiredClients);
  }
}

function compareWithNaive(seed: number): void {
  const random = seededRandom(seed);
  const limits: SessionLimits = {
    maxClients: 1 + below(random, 5),
    maxRetiredClients: below(random, 4),
    maxResultsPerClient: 1 + below(random, 5),
    maxResults: 5 + below(random, 10),
  };
  const table = new Sessions(limits);
  const naive = new NaiveSessions(limits);
  for (let step = 0; step < 500; step++) {
    const client = `client-${below(random, 8)}`;
    const sequence = Math.max(0, Math.floor(step / 20) + below(random, 9) - 4);
    assertEquals(
      table.admit({ client, sequence }).type,
      naive.admit(client, sequence),
      `seed ${seed}, step ${step}`,
    );
    if (below(random, 50) === 0) {
      table.capture();
    }
  }
  assertEquals(
    table.capture().clients.map(({ client, floor, sequences }) => ({
      client,
      floor,
      kept: sequences,
    })),
    naive.clients,
  );
  assertEquals(
    table.capture().retired.map(([client, floor]) => ({ client, floor })),
    naive.retired,
  );
  assertEquals(
    table.resultCount,
    naive.clients.flatMap(({ kept }) => kept).length,
  );
}

describe("Sessions.capture()", () => {
  it("stays as it is while the table goes on (H68)", () => {
    const table = new Sessions(small);
    admit(table, "a", 1, 2, 3);
    admit(table, "b", 1);
    const captured = table.capture();
    const before = JSON.stringify(captured);
    admit(table, "a", 4, 5);
    admit(table, "b", 2);
    admit(table, "c", 1);
    assertEquals(JSON.stringify(captured), before);
    assert(JSON.stringify(table.capture()) !== before);
  });
});

describe("Sessions.checksum()", () => {
  it("tells apart contents, order, floors and limits (H103)", () => {
    const histories: (readonly [string, number])[][] = [
      [],
      [["a", 1]],
      [["a", 2]],
      [["b", 1]],
      [["a", 1], ["a", 2]],
      [["a", 1], ["b", 1]],
      [["b", 1], ["a", 1]],
      [["a", 1], ["a", 2], ["a", 3], ["a", 4]],
      [["a", 2], ["a", 3], ["a", 4]],
      [["a", 1], ["b", 1], ["c", 1]],
    ];
    const checksums = histories.map((history) => {
      const table = new Sessions(small);
      history.forEach(([client, sequence]) => admit(table, client, sequence));
      return table.checksum();
    });
    checksums.push(new Sessions({ ...small, maxClients: 3 }).checksum());
    assertEquals(new Set(checksums).size, checksums.length);
  });
});

describe("Sessions, restored", () => {
  it("refuses what breaks an invariant", () => {
    const bytes = new Uint8Array([1]);
    const broken: ((table: Sessions) => void)[] = [
      (table) => table.addClient("a", -1, []),
      (table) => table.addClient("a", 5, [[5, bytes]]),
      (table) => table.addClient("a", -1, [[2, bytes], [1, bytes]]),
      (table) => table.addClient("a", -1, [[1, bytes], [1, bytes]]),
      (table) =>
        table.addClient("a", -1, [1, 2, 3, 4].map((at) => [at, bytes])),
      (table) => {
        for (const client of ["a", "b", "c"]) {
          table.addClient(client, -1, [[1, bytes]]);
        }
      },
      (table) => {
        table.addClient("a", -1, [[1, bytes]]);
        table.addRetired("a", 1);
      },
      (table) => {
        table.addRetired("a", 1);
        table.addRetired("a", 1);
      },
      (table) => {
        for (const client of ["a", "b", "c"]) {
          table.addRetired(client, 1);
        }
      },
    ];
    for (const attempt of broken) {
      assertThrows(() => attempt(new Sessions(small)), Error, "Cannot restore");
    }
  });
});
