/**
 * The shapes of commands and queries of the key-value machine.
 *
 * @module
 */
import * as z from "zod";
import { isKvKey } from "./key_order.ts";
import {
  type KvCommand,
  type KvQuery,
  MAX_KEY_BYTES,
  MAX_LIST_BYTES,
  MAX_LIST_LIMIT,
  MAX_VALUE_BYTES,
} from "./types.ts";

const key = z.string().refine(isKvKey, {
  error: `must be well-formed text of 1 to ${MAX_KEY_BYTES} bytes`,
});

const value = z.instanceof(Uint8Array).refine(
  (bytes) => bytes.length <= MAX_VALUE_BYTES,
  { error: `must have at most ${MAX_VALUE_BYTES} bytes` },
);

const expectation = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("any") }),
  z.strictObject({ type: z.literal("revision"), revision: z.int().min(1) }),
  z.strictObject({ type: z.literal("present") }),
  z.strictObject({ type: z.literal("absent") }),
]).optional();

const command = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("put"),
    key,
    value,
    expect: expectation,
  }),
  z.strictObject({ type: z.literal("delete"), key, expect: expectation }),
]) satisfies z.ZodType<KvCommand>;

const prefix = z.string().max(MAX_KEY_BYTES).refine(
  (text) => text === "" || isKvKey(text),
  { error: `must be well-formed text of at most ${MAX_KEY_BYTES} bytes` },
);

const query = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("get"), key }),
  z.strictObject({
    type: z.literal("list"),
    prefix: prefix.optional(),
    after: prefix.optional(),
    limit: z.int().min(1).max(MAX_LIST_LIMIT).optional(),
    maxBytes: z.int().min(1).max(MAX_LIST_BYTES).optional(),
  }),
]) satisfies z.ZodType<KvQuery>;

/** Checks a command; throws if it is none. */
export function parseKvCommand(input: unknown): KvCommand {
  return command.parse(input);
}

/** Checks a query; throws if it is none. */
export function parseKvQuery(input: unknown): KvQuery {
  return query.parse(input);
}
