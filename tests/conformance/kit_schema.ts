/**
 * Checks that JSON files have the shape of `kit/schema.json`. Strict: a key
 * that nobody knows would be an expectation that nobody checks.
 *
 * @module
 */
import * as z from "zod";
import {
  type KitConf,
  type KitConfig,
  type KitEntry,
  type KitExpectation,
  type KitMessage,
  type KitNode,
  type KitProgress,
  type KitSnapshot,
  MESSAGE_TYPES,
  type ScenarioFile,
  type Step,
  type TableFile,
} from "./kit_types.ts";

const count = z.int().min(0);
const ids = z.array(count);
const byId = <T extends z.ZodType>(value: T) =>
  z.record(z.string().regex(/^[0-9]+$/), value);
const changes = z.array(z.string().regex(/^[vlru][0-9]+$/));
const version = z.union([z.literal(1), z.literal(2)]);
const transition = z.enum(["auto", "implicit", "explicit"]);

const config = z.strictObject({
  electionTicks: count,
  heartbeatTicks: count,
  preVote: z.boolean().optional(),
  checkQuorum: z.boolean().optional(),
  asyncStorageWrites: z.boolean().optional(),
  stepDownOnRemoval: z.boolean().optional(),
  disableConfChangeValidation: z.boolean().optional(),
  disableProposalForwarding: z.boolean().optional(),
  readOnly: z.enum(["safe", "lease-based"]).optional(),
  maxInflightMessages: count.optional(),
  maxMessageBytes: count.optional(),
  maxCommittedBytesPerReady: count.optional(),
  maxUncommittedBytes: count.optional(),
}) satisfies z.ZodType<KitConfig>;

const conf = z.strictObject({
  voters: ids,
  outgoing: ids.optional(),
  learners: ids.optional(),
  learnersNext: ids.optional(),
  autoLeave: z.boolean().optional(),
}) satisfies z.ZodType<KitConf>;

const entry = z.strictObject({
  index: count.optional(),
  term: count.optional(),
  data: z.string().optional(),
  confChange: z.strictObject({
    version,
    transition: transition.optional(),
    changes,
  }).transform((change) =>
    change.version === 2 ? { transition: "auto" as const, ...change } : change
  ).optional(),
}) satisfies z.ZodType<KitEntry>;

const snapshot = z.strictObject({
  index: count,
  term: count,
  conf,
  data: z.string().optional(),
}) satisfies z.ZodType<KitSnapshot>;

const message = z.strictObject({
  type: z.enum(MESSAGE_TYPES),
  from: z.union([count, z.literal("storage")]),
  to: count,
  term: count.optional(),
  prevIndex: count.optional(),
  prevTerm: count.optional(),
  commit: count.optional(),
  entries: z.array(entry).optional(),
  index: count.optional(),
  reject: z.boolean().optional(),
  hintIndex: count.optional(),
  hintTerm: count.optional(),
  lastIndex: count.optional(),
  lastTerm: count.optional(),
  force: z.boolean().optional(),
  snapshot: snapshot.optional(),
  context: z.string().optional(),
  logTerm: count.optional(),
  appliedTo: count.optional(),
}) satisfies z.ZodType<KitMessage>;

const hardState = z.strictObject({ term: count, vote: count, commit: count });

const node = z.strictObject({
  role: z.enum(["follower", "pre-candidate", "candidate", "leader"]).optional(),
  term: count.optional(),
  vote: count.optional(),
  leader: count.optional(),
  transferee: count.optional(),
  commit: count.optional(),
  applied: count.optional(),
  settled: z.boolean().optional(),
  conf: conf.optional(),
  log: z.strictObject({
    offset: count,
    offsetTerm: count,
    terms: z.array(count),
  }).optional(),
  stable: hardState.extend({ terms: z.array(count) }).optional(),
  appendWork: count.optional(),
  applyWork: count.optional(),
}) satisfies z.ZodType<KitNode>;

const progress = z.strictObject({
  match: count,
  next: count,
  state: z.enum(["probe", "replicate", "snapshot"]),
  paused: z.boolean().optional(),
  active: z.boolean().optional(),
  inflight: count.optional(),
  pendingSnapshot: count.optional(),
  learner: z.boolean().optional(),
}) satisfies z.ZodType<KitProgress>;

const kitError = z.enum(["proposal-dropped", "unknown-peer"]);

const expectation = z.strictObject({
  error: kitError.optional(),
  nodes: byId(node).optional(),
  progress: byId(z.union([z.null(), byId(progress)])).optional(),
  applied: byId(z.array(entry)).optional(),
  installed: byId(snapshot).optional(),
  readStates: byId(
    z.array(z.strictObject({ index: count, context: z.string() })),
  ).optional(),
  sent: z.array(message).optional(),
  delivered: count.optional(),
  dropped: count.optional(),
  stepErrors: z.array(z.strictObject({
    node: count,
    from: count,
    type: z.string(),
    error: kitError,
  })).optional(),
}) satisfies z.ZodType<KitExpectation>;

const everyStep = {
  note: z.string().optional(),
  expect: expectation.optional(),
};

const step = z.discriminatedUnion("op", [
  z.strictObject({
    op: z.literal("start"),
    nodes: ids,
    config,
    conf,
    snapshot: z.strictObject({
      index: count,
      term: count,
      data: z.string().optional(),
    }).optional(),
    entries: z.array(entry).optional(),
    hardState: hardState.optional(),
    applied: count.optional(),
    ...everyStep,
  }),
  z.strictObject({
    op: z.enum(["campaign", "forget-leader", "restart"]),
    node: count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("propose"),
    node: count,
    data: z.string(),
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("propose-conf-change"),
    node: count,
    version,
    transition: transition.optional(),
    changes,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("tick"),
    node: count,
    count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("deliver"),
    to: ids.optional(),
    drop: ids.optional(),
    type: z.string().optional(),
    ...everyStep,
  }),
  z.strictObject({
    op: z.enum(["process-ready", "process-append", "process-apply"]),
    nodes: ids,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("stabilize"),
    nodes: ids.optional(),
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("compact"),
    node: count,
    upTo: count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("transfer-leader"),
    node: count,
    to: count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("report-unreachable"),
    node: count,
    peer: count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("report-snapshot"),
    node: count,
    peer: count,
    status: z.enum(["finish", "failure"]),
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("read-index"),
    node: count,
    context: z.string(),
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("set-election-timeout"),
    node: count,
    ticks: count,
    ...everyStep,
  }),
  z.strictObject({
    op: z.literal("send-snapshot"),
    from: count,
    to: count,
    ...everyStep,
  }),
  z.strictObject({ op: z.literal("step"), message, ...everyStep }),
]) satisfies z.ZodType<Step>;

const scenarioFile = z.strictObject({
  format: z.literal("raft-conformance/1"),
  suite: z.enum(["interaction", "paper", "protocol"]),
  family: z.string(),
  title: z.string(),
  section: z.string().optional(),
  description: z.string().optional(),
  source: z.record(z.string(), z.string()),
  scenarios: z.array(z.strictObject({
    name: z.string(),
    description: z.string(),
    complete: z.boolean().optional(),
    requires: z.array(z.string()).optional(),
    steps: z.array(step).min(1),
  })).min(1),
}) satisfies z.ZodType<ScenarioFile>;

const tableFile = z.strictObject({
  format: z.literal("raft-tables/1"),
  name: z.string(),
  title: z.string(),
  source: z.record(z.string(), z.string()),
  tables: z.array(z.strictObject({
    name: z.string(),
    description: z.string(),
    rows: z.array(z.record(z.string(), z.unknown())),
  })),
}) satisfies z.ZodType<TableFile>;

/** Reads a scenario file. @throws {TypeError} If its shape is another. */
export function parseScenarioFile(value: unknown): ScenarioFile {
  const file = parse(scenarioFile, value);
  const names = file.scenarios.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new TypeError(`two scenarios are called "${twice}"`);
  }
  return file;
}

/** Reads a table file. @throws {TypeError} If its shape is another. */
export function parseTableFile(value: unknown): TableFile {
  return parse(tableFile, value);
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.map(String).join(".") ?? "";
  throw new TypeError(`at "${path}": ${issue?.message ?? "wrong shape"}`);
}
