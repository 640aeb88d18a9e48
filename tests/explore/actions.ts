/**
 * What may happen to a member.
 *
 * @module
 */
import type { Entry, Message, NodeId } from "../../src/core/mod.ts";

/** What happens to one member at one moment. */
export type Input =
  /** Its election timeout passes. */
  | { readonly type: "campaign" }
  /** As leader, its heartbeat is due. */
  | { readonly type: "heartbeat" }
  /** As leader, it is handed a command. */
  | { readonly type: "propose" }
  /** As leader, it is handed the membership change of the scenario. */
  | { readonly type: "change" }
  /** Its oldest write becomes durable. */
  | { readonly type: "persist" }
  /** It stops, loses what is not durable, and starts again. */
  | { readonly type: "crash" }
  /** A message reaches it. */
  | { readonly type: "deliver"; readonly message: Message };

/** An input and whom it is for. */
export interface Action {
  readonly node: NodeId;
  readonly input: Input;
  /** Whether what it writes is durable at once; see `Member.perform`. */
  readonly disk: "works" | "stalls";
}

/** Inputs that need no message. */
export type PlainInput = Exclude<Input, { type: "deliver" }>;

/** All of them, in the order of their numbers. */
export const PLAIN_INPUTS: readonly PlainInput[] = [
  { type: "campaign" },
  { type: "heartbeat" },
  { type: "propose" },
  { type: "change" },
  { type: "persist" },
  { type: "crash" },
];

/** For people: `2 deliver appendEntries 1->2 term 1 …`. */
export function describeAction({ node, input, disk }: Action): string {
  const what = input.type === "deliver"
    ? `deliver ${describeMessage(input.message)}`
    : input.type;
  return `${node} ${what}${disk === "stalls" ? " (its disk stalls)" : ""}`;
}

function describeMessage(message: Message): string {
  const { type, from, to, term, ...fields } = message;
  const words = Object.entries(fields).map(([name, value]) =>
    name === "entries" && message.type === "appendEntries"
      ? `entries=[${message.entries.map(describeEntry).join(" ")}]`
      : `${name}=${JSON.stringify(value)}`
  );
  return `${type} ${from}->${to} term ${term} ${words.join(" ")}`;
}

/** For people and keys: term, kind and contents; the index goes without. */
export function describeEntry(entry: Entry): string {
  switch (entry.type) {
    case "command":
      return `${entry.term}:${entry.data.join(".")}`;
    case "noop":
    case "omitted":
      return `${entry.term}:${entry.type}`;
    case "confChange":
      return `${entry.term}:${
        entry.change.steps.map(({ type, node }) => type + node).join("+")
      }(${entry.change.transition})`;
    default: {
      const unreachable: never = entry;
      return unreachable;
    }
  }
}

/** Actions as lines of JSON, for `--replay`. */
export function writeActions(actions: readonly Action[]): string {
  return actions.map((action) => `${JSON.stringify(action, replacer)}\n`)
    .join("");
}

/**
 * Reads what {@linkcode writeActions} wrote.
 *
 * @throws {SyntaxError} If a line is no JSON.
 */
export function readActions(text: string): Action[] {
  return text.split("\n").filter((line) => line.trim() !== "")
    .map((line): Action => JSON.parse(line, reviver));
}

function replacer(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { bytes: [...value] } : value;
}

function reviver(_: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && "bytes" in value &&
      Array.isArray(value.bytes)
    ? Uint8Array.from(value.bytes)
    : value;
}
