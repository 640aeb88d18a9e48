/**
 * What the key-value machine is told, asked, and answers.
 *
 * @module
 */

/** Longest key, in bytes of UTF-8; the shortest has one byte. */
export const MAX_KEY_BYTES: number = 1024;

/** Longest value, in bytes; the shortest has none. */
export const MAX_VALUE_BYTES: number = 1024 * 1024;

/** Most items of one list. */
export const MAX_LIST_LIMIT: number = 1_000;

/** Most bytes of one list. */
export const MAX_LIST_BYTES: number = 16 * 1024 * 1024;

/** What must hold of a key for a command to be applied. */
export type KvExpectation =
  /** Nothing. */
  | { readonly type: "any" }
  /** The key is there, and this was its last write. At least 1. */
  | { readonly type: "revision"; readonly revision: number }
  /** The key is there, whatever its last write was. */
  | { readonly type: "present" }
  /** The key is not there. */
  | { readonly type: "absent" };

/** Writes a value. */
export interface KvPut {
  /** The kind of command. */
  readonly type: "put";
  /** Well-formed text of 1 to {@linkcode MAX_KEY_BYTES} bytes. */
  readonly key: string;
  /** At most {@linkcode MAX_VALUE_BYTES}; belongs to the machine once applied. */
  readonly value: Uint8Array;
  /** Default: any. */
  readonly expect?: KvExpectation | undefined;
}

/** Removes a key; no error if it is not there. */
export interface KvDelete {
  /** The kind of command. */
  readonly type: "delete";
  /** Well-formed text of 1 to {@linkcode MAX_KEY_BYTES} bytes. */
  readonly key: string;
  /** Default: any. */
  readonly expect?: KvExpectation | undefined;
}

/** A change of the store. */
export type KvCommand = KvPut | KvDelete;

/** What a command did. */
export type KvResult =
  /** The value was written; `revision` is the store's and the key's. */
  | { readonly type: "put"; readonly revision: number }
  /** The key is not there any more; `deleted` tells whether it was. */
  | {
    readonly type: "delete";
    readonly revision: number;
    readonly deleted: boolean;
  }
  /**
   * The expectation does not hold, nothing changed; `revision` is that of the
   * key, 0 if it is not there.
   */
  | { readonly type: "conflict"; readonly revision: number };

/** Asks for one key. */
export interface KvGet {
  /** The kind of question. */
  readonly type: "get";
  /** The key, word for word. */
  readonly key: string;
}

/** Asks for the keys that begin alike, in the order of their UTF-8 bytes. */
export interface KvList {
  /** The kind of question. */
  readonly type: "list";
  /** What the keys begin with. Default: nothing, which is all keys. */
  readonly prefix?: string | undefined;
  /** Only keys behind this one; the `next` of the page before. */
  readonly after?: string | undefined;
  /** Most items, 1 to {@linkcode MAX_LIST_LIMIT}. Default 100. */
  readonly limit?: number | undefined;
  /**
   * Stop before keys and values take more bytes; one item is given anyhow. 1
   * to {@linkcode MAX_LIST_BYTES}, default 1 MiB.
   */
  readonly maxBytes?: number | undefined;
}

/** A question to the store. */
export type KvQuery = KvGet | KvList;

/** A key with its value. */
export interface KvItem {
  /** The key. */
  readonly key: string;
  /** A copy. */
  readonly value: Uint8Array;
  /** That of the key's last write. */
  readonly revision: number;
}

/** Answer to {@linkcode KvGet}. */
export interface KvGetAnswer {
  /** The kind of answer. */
  readonly type: "get";
  /** `null` if the key is not there. */
  readonly item: KvItem | null;
}

/** Answer to {@linkcode KvList}. */
export interface KvListAnswer {
  /** The kind of answer. */
  readonly type: "list";
  /** Ascending by key. */
  readonly items: readonly KvItem[];
  /** The `after` of the next page; `null` on the last one. */
  readonly next: string | null;
}

/** An answer; its type is the query's. */
export type KvAnswer = KvGetAnswer | KvListAnswer;
