/**
 * Tools for data directories of `storage/wal` and for backups: to look, to
 * check, and to recover. Each is a function with a typed result; the command
 * line is `deno task balsa`, described in `docs/operations.md`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { mkdtempSync, rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { WalStorage } from "@balsa/raft/storage/wal";
 * import { inspect } from "@balsa/raft/tools";
 *
 * const directory = mkdtempSync(join(tmpdir(), "balsa-"));
 * const storage = new WalStorage({ directory });
 * await storage.open({ deployment: "orders" });
 * // Also while somebody uses it.
 * const { deployment, groups } = await inspect(directory);
 * assertEquals([deployment, groups], ["orders", []]);
 * await storage.close();
 * rmSync(directory, { recursive: true });
 * ```
 *
 * @module
 */
export type { Progress } from "./copy_group.ts";
export { dump, type DumpedEntry, type DumpOptions } from "./dump.ts";
export { fetchBackup, type FetchBackupOptions } from "./fetch_backup.ts";
export {
  type ForcedGroup,
  type ForcedGroupPlan,
  forceNewCluster,
  type ForceOptions,
  type ForceOutcome,
  type ForcePlan,
  planForceNewCluster,
} from "./force_new_cluster.ts";
export {
  type FileInspection,
  type GroupInspection,
  inspect,
  type Inspection,
  type SnapshotInspection,
} from "./inspect.ts";
export { Refusal } from "./refusal.ts";
export {
  planRepair,
  repair,
  type RepairOutcome,
  type RepairPlan,
  type SavedGroup,
} from "./repair.ts";
export {
  type CheckedBackup,
  restore,
  type RestoreOptions,
  type RestoreOutcome,
  verifyBackup,
} from "./restore.ts";
export type { Problem } from "./check_segment.ts";
export type { Dropped } from "./salvage.ts";
export { type Verdict, type Verification, verify } from "./verify.ts";
