/**
 * The operations of a step.
 *
 * @module
 */
import type { NodeId } from "../../src/core/mod.ts";
import type { KitChange, KitError, KitId, Operation } from "./kit_types.ts";
import type { StorageWork } from "./storage_work.ts";
import { proposeInItsPlace, stepAll, type World } from "./world.ts";
import { commandOf } from "./translate.ts";

/** Rounds after which a world that does not come to rest is given up. */
const MAX_ROUNDS = 10_000;

type OperationOf<Op extends Operation["op"]> = Extract<
  Operation,
  { readonly op: Op }
>;

/** Carries out one operation; what it did is in the world's trace. */
export function perform(
  world: World,
  work: StorageWork,
  operation: Operation,
): void {
  switch (operation.op) {
    case "start":
      for (const id of operation.nodes) world.start(id, operation);
      return;
    case "restart":
      work.forget(operation.node);
      world.member(operation.node).restart();
      return;
    case "tick": {
      const member = world.member(operation.node);
      for (let i = 0; i < operation.count; i++) member.tick();
      return;
    }
    case "propose":
      world.trace.error = propose(world, operation);
      return;
    case "propose-conf-change":
      world.trace.error = proposeConfChange(world, operation);
      return;
    case "deliver":
      for (const id of operation.to ?? []) world.deliver(id, operation.type);
      for (const id of operation.drop ?? []) world.drop(id, operation.type);
      return;
    case "process-ready":
      for (const id of operation.nodes) work.processReady(id);
      return;
    case "process-append":
      for (const id of operation.nodes) work.processAppend(id);
      return;
    case "process-apply":
      for (const id of operation.nodes) work.processApply(id);
      return;
    case "stabilize":
      stabilize(world, work, operation.nodes ?? world.ids);
      return;
    case "step": {
      const { message } = operation;
      const receiver = world.member(message.to);
      world.trace.error = stepAll(receiver, world.translator, message);
      return;
    }
    case "compact":
      world.member(operation.node).compact(operation.upTo);
      return;
    case "send-snapshot":
      sendSnapshot(world, operation);
      return;
    case "read-index":
      readIndex(world, work, operation);
      return;
    default:
      askCore(world, operation);
  }
}

/** Operations that are one call of the core. */
function askCore(
  world: World,
  operation: OperationOf<
    | "campaign"
    | "forget-leader"
    | "transfer-leader"
    | "report-unreachable"
    | "report-snapshot"
    | "set-election-timeout"
  >,
): void {
  const member = world.member(operation.node);
  const { node } = member;
  switch (operation.op) {
    case "campaign":
      return node.campaign();
    case "forget-leader":
      return node.forgetLeader();
    case "transfer-leader":
      node.transferLeadership(operation.to);
      return;
    case "report-unreachable":
      return node.reportUnreachable(operation.peer);
    case "report-snapshot":
      return node.reportSnapshot(
        operation.peer,
        operation.status === "finish",
      );
    case "set-election-timeout":
      return member.setElectionTimeout(operation.ticks);
    default: {
      const unreachable: never = operation;
      return unreachable;
    }
  }
}

function propose(
  world: World,
  { node, data }: OperationOf<"propose">,
): KitError | undefined {
  const outcome = world.member(node).node.propose([commandOf(data)]);
  return outcome.type === "dropped" ? "proposal-dropped" : undefined;
}

function proposeConfChange(
  world: World,
  { node, version, transition, changes }: OperationOf<"propose-conf-change">,
): KitError | undefined {
  const member = world.member(node);
  const change: KitChange = transition === undefined
    ? { version, changes }
    : { version, transition, changes };
  const outcome = member.node.proposeConfChange(
    world.translator.changeFromKit(change),
  );
  return outcome.type === "dropped" ? proposeInItsPlace(member) : undefined;
}

/** A lease is asked of the core and used by the host, here the runner. */
function readIndex(
  world: World,
  work: StorageWork,
  { node: id, context }: OperationOf<"read-index">,
): void {
  const member = world.member(id);
  const { node } = member;
  if (member.holdsLease) work.answer(id, { index: node.commitIndex, context });
  else node.readIndex(world.translator.contextFromKit(context));
}

/** Works until a whole round did nothing. */
function stabilize(
  world: World,
  work: StorageWork,
  ids: readonly KitId[],
): void {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let done = 0;
    for (const id of ids) done += Number(work.processReady(id));
    for (const id of ids) done += world.deliver(id);
    for (const id of ids) while (work.processAppend(id)) done++;
    for (const id of ids) while (work.processApply(id)) done++;
    if (done === 0) return;
  }
  throw new Error(`no rest after ${MAX_ROUNDS} rounds`);
}

/** A snapshot that the core was not asked for. */
function sendSnapshot(
  world: World,
  { from, to }: { readonly from: NodeId; readonly to: NodeId },
): void {
  const sender = world.member(from);
  world.send([{
    type: "installSnapshot",
    from,
    to,
    term: sender.node.term,
    snapshot: sender.snapshot(),
  }]);
}
