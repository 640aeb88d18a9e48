/**
 * A storage over any ordered key-value engine that has atomic commits.
 *
 * Bindings are modules of their own: `@balsa/raft/storage/kv/sqlite`,
 * `@balsa/raft/storage/kv/deno` and `@balsa/raft/storage/kv/durable-object`.
 * For another engine implement {@linkcode OrderedKv}.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { KvStorage, MemoryKv } from "@balsa/raft/storage/kv";
 *
 * const engine = new MemoryKv();
 * const storage = new KvStorage({ open: () => engine.open() });
 * const { groups } = await storage.open({ deployment: "orders" });
 * assertEquals(groups, []);
 * await storage.close();
 * ```
 *
 * @module
 */
export { KvStorage, type KvStorageOptions } from "./kv_storage.ts";
export { MemoryKv, type MemoryKvOptions } from "./memory.ts";
export type * from "./ordered_kv.ts";
