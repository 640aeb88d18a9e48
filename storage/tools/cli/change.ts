/**
 * The commands that change a data directory: `repair`, `force-new-cluster`.
 * Without `--yes` they say what they would do, and do nothing.
 *
 * @module
 */
import {
  type ForcedGroup,
  forceNewCluster,
  type ForceOptions,
  type ForcePlan,
  planForceNewCluster,
} from "../force_new_cluster.ts";
import { planRepair, repair, type RepairPlan } from "../repair.ts";
import { addressOf, type Arguments } from "./arguments.ts";
import {
  EXIT,
  type ExitCode,
  formatBytes,
  type ToolIo,
  UsageError,
} from "./io.ts";
import { describeVerification } from "./look.ts";
import { startBar } from "./progress.ts";

const NOTHING_DONE = "Nothing was done. With --yes it will be.";

/** `repair DIR [--yes]` */
export async function runRepair(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const directory = args.positionals[0] ?? "";
  const plan = await planRepair(directory);
  const isJson = args.has("json");
  if (!plan.isNeeded) {
    if (isJson) await io.out(JSON.stringify(plan));
    else {
      for (const line of describeVerification(plan.verification)) {
        await io.out(line);
      }
      await io.out("all that is wanted of it can be read: nothing to repair");
    }
    return EXIT.ok;
  }
  if (!isJson) { for (const line of describeRepair(plan)) await io.out(line); }
  if (!args.has("yes")) {
    await io.out(isJson ? JSON.stringify(plan) : NOTHING_DONE);
    return EXIT.refused;
  }
  const bar = startBar(io, "repair");
  try {
    const outcome = await repair(directory, bar.progress);
    bar.end();
    if (isJson) await io.out(JSON.stringify(outcome));
    else {
      await io.out(
        `repaired: data directory ${outcome.incarnation}; the damaged one is ${outcome.kept}, the report ${outcome.report}`,
      );
    }
  } finally {
    bar.end();
  }
  return EXIT.ok;
}

function* describeRepair(plan: RepairPlan): Generator<string> {
  yield* describeVerification(plan.verification);
  for (const { file, offset, bytes, why } of plan.dropped) {
    yield bytes === 0
      ? `would leave out what cannot be read: ${why}`
      : `would leave out ${file} from ${offset} on, ${formatBytes(bytes)}`;
  }
  for (const { group, node, lastIndex, others } of plan.groups) {
    yield `would save group ${group}, member ${node}, through entry ${lastIndex}`;
    yield others.length === 0
      ? "  acknowledged writes behind that entry are lost"
      : `  acknowledged writes behind that entry may be with members ${
        others.join(",")
      }: if these are a quorum, replace this member instead`;
  }
  for (const group of plan.lostGroups) {
    yield `would lose group ${group} altogether: its log begins behind a damaged snapshot`;
  }
  yield "What is left out may be what this member has voted for or acknowledged. The repaired directory gets a new incarnation, so a group that knows this member by its old one turns it away.";
}

/** `force-new-cluster DIR --group G --node N --deployment NAME …` */
export async function runForce(
  args: Arguments,
  io: ToolIo,
): Promise<ExitCode> {
  const bar = startBar(io, "force-new-cluster");
  const options: ForceOptions = {
    directory: args.positionals[0] ?? "",
    groups: forcedGroups(args),
    deployment: args.required("deployment"),
    others: args.texts("other"),
    progress: bar.progress,
  };
  const isJson = args.has("json");
  if (!args.has("yes")) {
    const plan = await planForceNewCluster(options);
    if (isJson) await io.out(JSON.stringify(plan));
    else {
      for (const line of describeForce(plan)) await io.out(line);
      await io.out(NOTHING_DONE);
    }
    return EXIT.refused;
  }
  try {
    const outcome = await forceNewCluster(options);
    bar.end();
    if (isJson) await io.out(JSON.stringify(outcome));
    else {
      for (const line of describeForce(outcome)) await io.out(line);
      await io.out(
        `done: data directory ${outcome.incarnation}; the old one is ${outcome.kept}`,
      );
      for (const { node, address } of outcome.groups) {
        await io.out(
          `start member ${node} at ${address} for deployment "${outcome.deployment}"`,
        );
      }
    }
  } finally {
    bar.end();
  }
  return EXIT.ok;
}

function forcedGroups(args: Arguments): ForcedGroup[] {
  const groups = args.integers("group");
  const nodes = args.integers("node");
  const addresses = args.texts("address")
    .map((text) => addressOf("address", text));
  const isMatched = groups.length > 0 && nodes.length === groups.length &&
    (addresses.length === 0 || addresses.length === groups.length);
  if (!isMatched) {
    throw new UsageError(
      `Cannot force a new cluster: --group is given ${groups.length} times, --node ${nodes.length} and --address ${addresses.length}, wanted one --node for each --group, and --address for each or none`,
    );
  }
  return groups.map((group, i) => ({
    group,
    node: nodes[i] ?? 0,
    address: addresses[i],
  }));
}

function* describeForce(plan: ForcePlan): Generator<string> {
  yield `${plan.directory}: deployment "${plan.formerDeployment}" is left, "${plan.deployment}" begins`;
  for (const group of plan.groups) {
    const { commit, lastIndex, lastTerm } = group;
    yield `group ${group.group}: member ${group.formerNode} becomes member ${group.node} at ${group.address}, the only one`;
    yield `  its log through entry ${lastIndex} of term ${lastTerm} counts from now on`;
    if (lastIndex > commit) {
      yield `  of that, entries ${
        commit + 1
      } to ${lastIndex} may never have been acknowledged`;
    }
    yield "  writes acknowledged by the others that did not reach it are lost";
    yield `  members ${
      group.removed.join(",")
    } are refused for ever; fresh ones may join`;
  }
  for (const group of plan.leftOut) {
    yield `group ${group} is left out: nothing of it is there yet`;
  }
}
