/**
 * A storage in files: one write-ahead log for all groups of a host.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { mkdtempSync, rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { WalStorage } from "@balsa/raft/storage/wal";
 *
 * const directory = mkdtempSync(join(tmpdir(), "balsa-"));
 * const storage = new WalStorage({ directory });
 * const { groups } = await storage.open({ deployment: "orders" });
 * assertEquals(groups, []);
 * await storage.close();
 * rmSync(directory, { recursive: true });
 * ```
 *
 * @module
 */
export { WalStorage } from "./wal.ts";
export type { WalStorageOptions } from "./options.ts";
export type { FlushMode } from "./log_tail.ts";
export {
  type FileHandle,
  nodeFileSystem,
  type OpenMode,
  type WalFileSystem,
} from "./file_system.ts";
