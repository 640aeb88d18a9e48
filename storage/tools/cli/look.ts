/**
 * The commands that only look: `inspect`, `verify`, `dump`.
 *
 * @module
 */
import { dump } from "../dump.ts";
import {
  filesOf,
  type GroupInspection,
  inspect,
  type Inspection,
} from "../inspect.ts";
import { type Verification, verify } from "../verify.ts";
import type { Arguments } from "./arguments.ts";
import { count, EXIT, type ExitCode, formatBytes, type ToolIo } from "./io.ts";
import { startBar } from "./progress.ts";

/** `inspect DIR` */
export async function runInspect(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const found = await inspect(args.positionals[0] ?? "");
  if (args.has("json")) await io.out(JSON.stringify(found));
  else for (const line of describeInspection(found)) await io.out(line);
  return EXIT.ok;
}

function* describeInspection(found: Inspection): Generator<string> {
  const { deployment, directory, heldBy, incarnation } = found;
  yield `${directory}: deployment "${deployment}", data directory ${incarnation}`;
  if (heldBy !== null) {
    yield `  in use by process ${heldBy}: this is how it was at one moment`;
  }
  const sizes = ({ length }: { readonly length: number }) => length;
  yield `  ${formatBytes(found.bytes)} in ${
    count(sizes(found.segments), "segment")
  }, ${count(sizes(found.snapshots), "snapshot")}, ${
    count(sizes(found.others), "other file")
  }`;
  for (const { file, bytes } of [...found.segments, ...found.snapshots]) {
    yield `  ${file} ${formatBytes(bytes)}`;
  }
  for (const { type, file, offset } of found.repairs) {
    yield `  opening will repair ${file}:${offset} (${type})`;
  }
  for (const group of found.groups) yield* describeGroup(group);
}

function* describeGroup(found: GroupInspection): Generator<string> {
  const { conf, group, hardState, node, snapshot } = found;
  const { firstIndex, lastIndex, lastTerm } = found;
  yield `group ${group}, member ${node}`;
  yield `  term ${hardState.term}, vote ${
    hardState.vote ?? "none"
  }, commit ${hardState.commit}`;
  yield lastIndex < firstIndex
    ? `  log empty behind ${lastIndex} of term ${lastTerm}`
    : `  log ${firstIndex} to ${lastIndex} of term ${lastTerm}`;
  for (const { term, firstIndex: from } of found.termRuns) {
    yield `    term ${term} from ${from}`;
  }
  yield snapshot === null
    ? "  no snapshot"
    : `  snapshot at ${snapshot.index} of term ${snapshot.term}, ${
      formatBytes(snapshot.bytes)
    }`;
  const where = new Map(conf.addresses.map(({ id, address }) => [id, address]));
  const list = (ids: readonly number[]) =>
    ids.map((id) => `${id}=${where.get(id) ?? "?"}`).join(",");
  yield `  configuration ${conf.version}, as of ${found.confIndex}: voters ${
    list(conf.voters)
  }`;
  if (conf.votersOutgoing.length > 0) {
    yield `    joint with ${list(conf.votersOutgoing)}`;
  }
  if (conf.learners.length > 0) yield `    learners ${list(conf.learners)}`;
  if (conf.removed.length > 0) yield `    removed ${conf.removed.join(",")}`;
}

/** `verify DIR` */
export async function runVerify(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const directory = args.positionals[0] ?? "";
  const total = filesOf(directory).reduce((sum, { bytes }) => sum + bytes, 0);
  const bar = startBar(io, "verify", total);
  let found: Verification;
  try {
    found = await verify(directory, bar.progress);
  } finally {
    bar.end();
  }
  if (args.has("json")) await io.out(JSON.stringify(found));
  else for (const line of describeVerification(found)) await io.out(line);
  const isDamaged = found.verdict.type === "refused" ||
    found.problems.some(({ type }) => type === "damage");
  return isDamaged ? EXIT.damage : EXIT.ok;
}

/** A verification as text. */
export function* describeVerification(found: Verification): Generator<string> {
  const { directory, heldBy, verdict } = found;
  for (const { file, offset, type, what } of found.problems) {
    yield `${type} ${file}:${offset}: ${what}`;
  }
  yield `${directory}: ${count(found.segments, "segment")}, ${
    count(found.frames, "frame")
  }, ${count(found.records, "record")}, ${
    count(found.entries, "entry", "entries")
  }, ${count(found.snapshots, "snapshot")}, ${formatBytes(found.bytes)} read`;
  if (heldBy !== null) {
    yield `in use by process ${heldBy}: this is how it was at one moment`;
  }
  if (verdict.type === "refused") {
    yield `it will not open: ${verdict.code}: ${verdict.message}`;
    return;
  }
  for (const { type, file, offset } of verdict.repairs) {
    yield `opening will repair ${file}:${offset} (${type})`;
  }
  yield found.problems.some(({ type }) => type === "damage")
    ? "it opens, but not all of it can be read"
    : "nothing is wrong with it";
}

/** `dump DIR --group G [--from A] [--to B]` */
export async function runDump(args: Arguments, io: ToolIo): Promise<ExitCode> {
  const entries = dump(args.positionals[0] ?? "", {
    group: args.requiredInteger("group"),
    from: args.integer("from"),
    through: args.integer("to"),
  });
  for await (const entry of entries) await io.out(JSON.stringify(entry));
  return EXIT.ok;
}
