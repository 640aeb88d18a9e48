/**
 * Balsa replicates a state machine over several processes by the Raft
 * protocol, so that it survives crashes and stays consistent, on Deno, Bun
 * and Node alike.
 *
 * You write the state as a {@linkcode StateMachine}: commands that change it,
 * queries that read it. Every member of a *group* applies the same commands in
 * the same order. A *host* is one process's part: it owns one storage, one
 * transport and one timer, and runs a member of any number of groups.
 *
 * ## Three members in one process
 *
 * @example
 * ```ts
 * import { RaftHost, type StateMachine } from "@balsa/raft";
 * import { MemoryStorage } from "@balsa/raft/storage/memory";
 * import { MemoryNetwork } from "@balsa/raft/transports/memory";
 * import { assertEquals } from "@std/assert";
 * import * as z from "zod";
 *
 * class Counter implements StateMachine<number, number, null, number> {
 *   readonly command = z.int();
 *   #total = 0;
 *
 *   apply(entries: readonly { command: number }[]): number[] {
 *     return entries.map(({ command }) => this.#total += command);
 *   }
 *   query(): number {
 *     return this.#total;
 *   }
 *   snapshot() {
 *     const bytes = new TextEncoder().encode(String(this.#total));
 *     return {
 *       async *chunks() {
 *         yield bytes;
 *       },
 *     };
 *   }
 *   async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
 *     let text = "";
 *     for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
 *     this.#total = Number(text);
 *   }
 * }
 *
 * const network = new MemoryNetwork();
 * const members = [1, 2, 3].map((id) => ({ id, address: `host-${id}:1` }));
 * const hosts = await Promise.all(members.map(({ address }) =>
 *   RaftHost.start({
 *     deployment: "example",
 *     address,
 *     storage: new MemoryStorage(),
 *     transport: network.transport(),
 *     tickMs: 10,
 *   })
 * ));
 * const groups = await Promise.all(hosts.map((host, position) =>
 *   host.startGroup({
 *     group: 1,
 *     node: position + 1,
 *     members,
 *     machine: new Counter(),
 *   })
 * ));
 *
 * // Any member takes commands and queries; the first wait for a leader.
 * const [first, second, third] = groups;
 * const { result } = await first!.propose(20);
 * assertEquals(result, 20);
 * await second!.propose(22);
 * assertEquals(await third!.read(null), 42);
 *
 * await Promise.all(hosts.map((host) => host.stop()));
 * ```
 *
 * For one group per process {@linkcode startNode} starts host and group in one
 * call. On real machines the storage is `@balsa/raft/storage/wal`, and the
 * transport `@balsa/raft/transports/tcp` or `@balsa/raft/transports/http`.
 *
 * ## Your duties
 *
 * 1. Write a deterministic machine. `apply` reads no clock, draws no random
 *    numbers and looks at nothing but its state and the command; what depends
 *    on the moment goes into the command. Errors of your domain are results.
 *    What `apply` throws stops that member for good, since nobody can tell
 *    what state it is in.
 * 2. Give every member an id that is never used again, and an address under
 *    which the other members reach its host. All founding members are started
 *    with the same list. From then on what is stored counts.
 * 3. Keep one data directory per host, and keep it. A member whose disk was
 *    lost might vote twice: it is recognised and refused. Remove it and add
 *    one under a new id.
 * 4. Look at the {@linkcode RaftError} when a proposal fails. `outcome` says
 *    `notAppended` (it will never be applied, propose it again) or `unknown`
 *    (it may still be applied). To retry without doubling, propose through a
 *    {@linkcode Session}.
 * 5. Stop the host when the process ends: it lets pending proposals finish and
 *    hands the leadership over, which spares the others an election.
 *
 * ## What you can rely on
 *
 * - A proposal that resolved is on the disks of a quorum, survives every
 *   crash of fewer members than that, and is applied once on every member, in
 *   the same place.
 * - A read sees every write that was acknowledged anywhere before the read was
 *   called, unless you ask for a `stale` one.
 * - Every promise settles: by its deadline (10 s unless you say otherwise), or
 *   when the member stops. An `AbortSignal` ends the wait, not the work.
 * - Nothing from outside ends your process. A member that cannot go on stops
 *   by itself and says why, in its {@linkcode GroupStatus} and as the last of
 *   its events. A storage that fails stops every member of its host, and none
 *   of their promises is taken as kept.
 *
 * @example Watching who leads
 * ```ts
 * import { startNode } from "@balsa/raft";
 * import { MemoryStorage } from "@balsa/raft/storage/memory";
 * import { MemoryNetwork } from "@balsa/raft/transports/memory";
 * import { KvMachine } from "@balsa/raft/machines/kv";
 * import { assertEquals } from "@std/assert";
 *
 * const group = await startNode({
 *   deployment: "example",
 *   address: "only:1",
 *   storage: new MemoryStorage(),
 *   transport: new MemoryNetwork().transport(),
 *   tickMs: 10,
 *   group: 1,
 *   node: 1,
 *   members: [{ id: 1, address: "only:1" }],
 *   machine: new KvMachine(),
 * });
 * for await (const event of group.events()) {
 *   // Elected, and everything committed before is applied.
 *   if (event.type === "leading") break;
 * }
 * assertEquals(group.status().leader, 1);
 * await group.stop();
 * ```
 *
 * @example Changing who takes part
 * ```ts
 * import { RaftHost } from "@balsa/raft";
 * import { MemoryStorage } from "@balsa/raft/storage/memory";
 * import { MemoryNetwork } from "@balsa/raft/transports/memory";
 * import { KvMachine } from "@balsa/raft/machines/kv";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const startHost = (address: string) =>
 *   RaftHost.start({
 *     deployment: "example",
 *     address,
 *     storage: new MemoryStorage(),
 *     transport: network.transport(),
 *     tickMs: 10,
 *   });
 * const first = await startHost("a:1");
 * const group = await first.startGroup({
 *   group: 1,
 *   node: 1,
 *   members: [{ id: 1, address: "a:1" }],
 *   machine: new KvMachine(),
 * });
 * for await (const event of group.events()) {
 *   if (event.type === "leading") break;
 * }
 *
 * // Two more members join; they vote once they have caught up.
 * const others = await Promise.all(["b:1", "c:1"].map(startHost));
 * for (const [at, host] of others.entries()) {
 *   const machine = new KvMachine();
 *   await host.startGroup({ group: 1, node: 2 + at, join: true, machine });
 * }
 * const { conf } = await group.changeMembership({
 *   add: [{ id: 2, address: "b:1" }, { id: 3, address: "c:1" }],
 * });
 * assertEquals(conf.voters, [1, 2, 3]);
 * await Promise.all([first, ...others].map((host) => host.stop()));
 * ```
 *
 * ## Deviations from the thesis
 *
 * Section numbers are those of Diego Ongaro's dissertation, "Consensus:
 * Bridging Theory and Practice".
 *
 * - **A configuration takes effect when its entry is applied**, not when it is
 *   appended (§4.1). Nothing has to be undone when a suffix of the log is
 *   dropped. In return a leader proposes no change while an earlier one may be
 *   unapplied, and nobody campaigns with a committed change unapplied. When
 *   one of two members is removed and dies at the wrong moment, the other one
 *   cannot go on alone.
 * - **Pre-vote and check-quorum are on** (§9.6, §6.2, §4.2.3): a member that
 *   was cut off does not disturb, a leader that hears of no quorum steps down.
 * - **The leader writes to its disk in parallel with its followers** (§10.2.1)
 *   and counts itself only once its own write is durable.
 * - **Heartbeats are messages of their own**, not empty appends (§3.5): they
 *   carry a commit index the follower is known to have, and the round of the
 *   reads they confirm (§6.4).
 * - **Followers forward proposals and ask for read indexes** for their own
 *   clients; with `forward: false` they say who leads instead.
 *
 * @module
 */
export { RaftHost } from "./src/host/raft_host.ts";
export type { HostStatus } from "./src/host/raft_host.ts";
export type { RaftGroup } from "./src/host/raft_group.ts";
export type { GroupBackup } from "./src/host/backup.ts";
export type { BackupManifest } from "./src/backup_format.ts";
export type { Session, SessionProposeOptions } from "./src/host/session.ts";
export type {
  MembershipChange,
  MembershipOptions,
  NewMember,
} from "./src/host/membership_change.ts";
export type { MembershipOutcome } from "./src/host/memberships.ts";
export { startNode } from "./src/host/start_node.ts";
export { type Clock, systemClock } from "./src/host/clock.ts";
export type {
  BackupOptions,
  Committed,
  GroupOptions,
  HostEvent,
  IgnoredReason,
  ProposeOptions,
  RaftHostOptions,
  ReadConsistency,
  ReadOptions,
  WaitOptions,
} from "./src/host/options.ts";
export {
  isRaftError,
  type ProposalOutcome,
  RaftError,
  type RaftErrorCode,
  type RaftErrorOptions,
} from "./src/errors.ts";
export type * from "./src/status.ts";
export type * from "./src/state_machine.ts";
export type * from "./src/storage.ts";
export type * from "./src/transport.ts";
export type * from "./src/core/message.ts";
export type * from "./src/core/types.ts";
export { type CoreConfig, DEFAULT_CONFIG } from "./src/core/config.ts";
