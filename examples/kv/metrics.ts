/**
 * Counters of the HTTP server and gauges of its member, as Prometheus reads
 * them.
 *
 * @module
 */
import process from "node:process";
import type { GroupStatus, Role } from "@balsa/raft";

/** Upper bounds of the duration buckets, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

const ROLES: readonly Role[] = [
  "follower",
  "preCandidate",
  "candidate",
  "leader",
];

/** Methods with a label of their own; clients can send any word. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "PUT", "DELETE"]);

interface MethodCounts {
  /** Answers by status. */
  readonly statuses: Map<number, number>;
  /** Answers by bucket; the last one has no bound. */
  readonly buckets: number[];
  seconds: number;
}

/** Counts requests; cheap enough for each of them. */
export class Metrics {
  readonly #methods = new Map<string, MethodCounts>();

  /** Counts an answer. */
  count(method: string, status: number, ms: number): void {
    const label = METHODS.has(method) ? method : "other";
    let counts = this.#methods.get(label);
    if (counts === undefined) {
      counts = {
        statuses: new Map(),
        buckets: new Array<number>(BUCKETS.length + 1).fill(0),
        seconds: 0,
      };
      this.#methods.set(label, counts);
    }
    counts.statuses.set(status, (counts.statuses.get(status) ?? 0) + 1);
    const seconds = ms / 1_000;
    counts.seconds += seconds;
    let bucket = 0;
    while (seconds > (BUCKETS[bucket] ?? Infinity)) bucket += 1;
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
  }

  /** Everything in the Prometheus text format. */
  render(status: GroupStatus | undefined): string {
    const lines = [
      ...this.#requestLines(),
      ...this.#durationLines(),
      ...processLines(),
      ...(status === undefined ? [] : memberLines(status)),
    ];
    return `${lines.join("\n")}\n`;
  }

  #requestLines(): string[] {
    const lines = head(
      "balsa_kv_http_requests_total",
      "counter",
      "Answers to HTTP requests.",
    );
    for (const [method, { statuses }] of this.#methods) {
      for (const [status, count] of statuses) {
        lines.push(
          `balsa_kv_http_requests_total{method="${method}",status="${status}"} ${count}`,
        );
      }
    }
    return lines;
  }

  #durationLines(): string[] {
    const name = "balsa_kv_http_request_duration_seconds";
    const lines = head(name, "histogram", "Time until the answer.");
    for (const [method, { buckets, seconds }] of this.#methods) {
      let total = 0;
      for (const [i, count] of buckets.entries()) {
        total += count;
        const bound = BUCKETS[i] ?? "+Inf";
        lines.push(
          `${name}_bucket{method="${method}",le="${bound}"} ${total}`,
        );
      }
      lines.push(`${name}_sum{method="${method}"} ${seconds}`);
      lines.push(`${name}_count{method="${method}"} ${total}`);
    }
    return lines;
  }
}

function memberLines(status: GroupStatus): string[] {
  const lines = [
    ...gauge("balsa_raft_term", "Current term.", status.term),
    ...gauge(
      "balsa_raft_leader",
      "Id of the leader as far as known; 0 for none.",
      status.leader ?? 0,
    ),
    ...gauge(
      "balsa_raft_ready",
      "1 if caught up and a leader is known.",
      status.ready ? 1 : 0,
    ),
    ...gauge("balsa_raft_first_index", "First retained.", status.firstIndex),
    ...gauge("balsa_raft_last_index", "Last in the log.", status.lastIndex),
    ...gauge("balsa_raft_stable_index", "Last on disk.", status.stableIndex),
    ...gauge(
      "balsa_raft_commit_index",
      "Last known to be committed.",
      status.commitIndex,
    ),
    ...gauge(
      "balsa_raft_applied_index",
      "Last applied to the store.",
      status.appliedIndex,
    ),
    ...head("balsa_raft_role", "gauge", "1 for the member's role."),
    ...ROLES.map((role) =>
      `balsa_raft_role{role="${role}"} ${role === status.role ? 1 : 0}`
    ),
    ...head(
      "balsa_raft_match_index",
      "gauge",
      "On a leader: last index known to be on the member.",
    ),
  ];
  for (const { id, matchIndex } of status.members) {
    if (matchIndex === null) continue;
    lines.push(`balsa_raft_match_index{member="${id}"} ${matchIndex}`);
  }
  return lines;
}

function processLines(): string[] {
  const { user, system } = process.cpuUsage();
  return [
    ...head("process_cpu_seconds_total", "counter", "Processor time used."),
    `process_cpu_seconds_total ${(user + system) / 1e6}`,
    ...gauge(
      "process_resident_memory_bytes",
      "Memory in use.",
      process.memoryUsage().rss,
    ),
  ];
}

function gauge(name: string, help: string, value: number): string[] {
  return [...head(name, "gauge", help), `${name} ${value}`];
}

function head(name: string, type: string, help: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}
