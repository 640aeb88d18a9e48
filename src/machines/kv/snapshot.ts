/**
 * The key-value store as bytes, in frames.
 *
 * ```text
 * ["balsa.kv", 1, revision]
 * [1, [key, value, revision, key, value, revision…]]   keys ascending
 * [2, keys, digest]                                    the end
 * ```
 *
 * The bytes follow from the content alone, not from how it came about (H127).
 *
 * @module
 */
import * as z from "zod";
import { RaftError } from "../../errors.ts";
import {
  FRAME_TARGET_BYTES,
  frameChunks,
  FrameReader,
  FrameWriter,
} from "../../snapshot_frames.ts";
import { fromSortKey, isKvKey, toSortKey } from "./key_order.ts";
import { Store, type StoreCapture } from "./store.ts";
import { MAX_VALUE_BYTES } from "./types.ts";

const NAME = "balsa.kv";
const VERSION = 1;
const KIND = { items: 1, end: 2 } as const;

/** Bytes an item counts for besides key and value. */
const ITEM_OVERHEAD_BYTES = 16;

const count = z.int().min(0);
const header = z.tuple([z.literal(NAME), z.literal(VERSION), count]);
const bodyFrame = z.union([
  z.tuple([z.literal(KIND.items), z.array(z.unknown())]),
  z.tuple([z.literal(KIND.end), count, count]),
]);
const item = z.tuple([
  z.string().refine(isKvKey),
  z.instanceof(Uint8Array).refine(({ length }) => length <= MAX_VALUE_BYTES),
  z.int().min(1),
]);

/** The bytes of a captured store, in chunks. */
export async function* snapshotChunks(
  capture: StoreCapture,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* frameChunks(snapshotFrames(capture));
}

function* snapshotFrames(
  { revision, digest, values }: StoreCapture,
): Generator<Uint8Array, void, undefined> {
  const writer = new FrameWriter();
  yield writer.frame([NAME, VERSION, revision]);
  let items: unknown[] = [];
  let bytes = 0;
  for (const [sortKey, stored] of values.entries()) {
    const key = fromSortKey(sortKey);
    items.push(key, stored.value, stored.revision);
    bytes += key.length + stored.value.length + ITEM_OVERHEAD_BYTES;
    if (bytes >= FRAME_TARGET_BYTES) {
      yield writer.frame([KIND.items, items]);
      items = [];
      bytes = 0;
    }
  }
  if (items.length > 0) {
    yield writer.frame([KIND.items, items]);
  }
  yield writer.frame([KIND.end, values.size, digest]);
}

/**
 * Reads a store from its bytes, cut anywhere.
 *
 * @throws {RaftError} `corrupt` if they are damaged, cut short or followed by
 * others; `unsupportedFormat` if they are of another version.
 */
export async function readStore(
  chunks: AsyncIterable<Uint8Array>,
): Promise<Store> {
  const reader = new FrameReader(chunks);
  try {
    const store = new Store(parseHeader(await reader.next()));
    let last = "";
    for (;;) {
      const frame = parse(bodyFrame, await reader.next());
      if (frame[0] === KIND.end) {
        assertComplete(store, frame);
        await reader.end();
        return store;
      }
      last = restoreItems(store, frame[1], last);
    }
  } finally {
    await reader.close();
  }
}

/** Adds the items of a frame, which follow `last`; returns the new last. */
function restoreItems(
  store: Store,
  items: readonly unknown[],
  last: string,
): string {
  let previous = last;
  for (let at = 0; at < items.length; at += 3) {
    const [key, value, revision] = parse(item, items.slice(at, at + 3));
    const sortKey = toSortKey(key);
    if (sortKey <= previous) {
      throw corrupt(`key ${JSON.stringify(key)} is not in order`);
    }
    if (revision > store.revision) {
      throw corrupt(
        `key ${JSON.stringify(key)} is at revision ${revision}, the store ` +
          `at ${store.revision}`,
      );
    }
    // The copy does not keep the whole frame alive.
    store.put(sortKey, new Uint8Array(value), revision);
    previous = sortKey;
  }
  return previous;
}

function assertComplete(
  store: Store,
  [, size, digest]: readonly [unknown, number, number],
): void {
  if (store.size !== size || store.digest !== digest) {
    throw corrupt(
      `its end says ${size} keys with digest ${digest}, its content has ` +
        `${store.size} with ${store.digest}`,
    );
  }
}

function parseHeader(content: readonly unknown[]): number {
  if (content[0] !== NAME) {
    throw corrupt("it does not begin like a key-value store");
  }
  if (content[1] !== VERSION) {
    throw new RaftError(
      "unsupportedFormat",
      `Cannot restore a key-value store: its format is ${content[1]}, known ` +
        `is ${VERSION}`,
    );
  }
  return parse(header, content)[2];
}

function parse<T>(schema: z.ZodType<T>, content: unknown): T {
  const parsed = schema.safeParse(content);
  if (!parsed.success) {
    throw corrupt("a frame has a wrong shape", parsed.error);
  }
  return parsed.data;
}

function corrupt(what: string, cause?: unknown): RaftError {
  return new RaftError(
    "corrupt",
    `Cannot restore a key-value store: ${what}`,
    cause === undefined ? {} : { cause },
  );
}
