/**
 * `quorum/*.txt`: commit index and vote result of majority and joint quorums
 * (section 2 of `kit/README.md`), with the checks that the reference makes
 * besides.
 *
 * @module
 */
import {
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
  type VoteResult,
} from "../../src/core/quorum.ts";
import type { TxtCase } from "./txt.ts";

const RESULTS: Readonly<Record<VoteResult, string>> = {
  won: "VoteWon",
  pending: "VotePending",
  lost: "VoteLost",
};

interface QuorumCase {
  readonly voters: readonly number[];
  /** `undefined`: not joint; joint with nobody is another case. */
  readonly outgoing: readonly number[] | undefined;
  /** Distinct ids, in the order in which they first appear. */
  readonly ids: readonly number[];
  /** What is known of each of `ids`; `_` for nothing. */
  readonly values: readonly string[];
}

/** Runs one case. @throws {TypeError} If it cannot be read. */
export function runQuorumCase(txt: TxtCase): string {
  const name = txt.command === "vote" ? "votes" : "idx";
  const one = readCase(txt, name);
  if (one.ids.length !== one.values.length) {
    return `error: mismatched input (explicit or _) for voters [${
      one.ids.join(" ")
    }]: [${one.values.join(" ")}]\n`;
  }
  switch (txt.command) {
    case "committed":
      return runCommitted(one);
    case "vote":
      return runVote(one);
    default:
      throw new TypeError(`there is no command "${txt.command}"`);
  }
}

function readCase(txt: TxtCase, valueName: string): QuorumCase {
  let voters: number[] = [];
  let outgoing: number[] | undefined;
  let values: readonly string[] = [];
  for (const argument of txt.args) {
    switch (argument.name) {
      case "cfg":
        voters = idsOf(argument.values);
        break;
      case "cfgj":
        outgoing = argument.values[0] === "zero" ? [] : idsOf(argument.values);
        break;
      case valueName:
        values = argument.values;
        break;
      default:
        throw new TypeError(`there is no argument "${argument.name}"`);
    }
  }
  const unique = (list: readonly number[]) => [...new Set(list)];
  return {
    voters: unique(voters),
    outgoing: outgoing === undefined ? undefined : unique(outgoing),
    ids: unique([...voters, ...outgoing ?? []]),
    values,
  };
}

function idsOf(values: readonly string[]): number[] {
  return values.filter((value) => value !== "").map(idOf);
}

function idOf(text: string): number {
  const id = Number(text);
  if (text !== "" && Number.isSafeInteger(id)) return id;
  throw new TypeError(`"${text}" is no id`);
}

function runCommitted({ voters, outgoing, ids, values }: QuorumCase): string {
  const acked = new Map<number, number>();
  ids.forEach((id, i) => {
    const value = values[i] ?? "_";
    if (value !== "_") acked.set(id, idOf(value));
  });
  const get = (id: number) => acked.get(id);
  const index = outgoing === undefined
    ? majorityIndex(voters, get)
    : jointIndex(voters, outgoing, get);
  const problems = checkCommitted({ voters, outgoing, acked, index });
  return picture(ids, acked) + problems +
    `${index === Infinity ? "∞" : index}\n`;
}

interface CommittedCheck {
  readonly voters: readonly number[];
  readonly outgoing: readonly number[] | undefined;
  readonly acked: ReadonlyMap<number, number>;
  readonly index: number;
}

/** What must give the same answer; each that does not is a line. */
function checkCommitted(check: CommittedCheck): string {
  const { voters, outgoing, acked, index } = check;
  const get = (id: number) => acked.get(id);
  const others: [string, number][] = [];
  if (outgoing === undefined) {
    others.push(
      ["joint with nobody", jointIndex(voters, [], get)],
      ["joint with itself", jointIndex(voters, voters, get)],
    );
  } else {
    others.push(["halves exchanged", jointIndex(outgoing, voters, get)]);
  }
  for (const [id, value] of acked) {
    if (value >= index) continue;
    // What a voter below the answer has does not matter.
    for (const lower of [value - 1, 0]) {
      const lowered = (other: number) => other === id ? lower : get(other);
      others.push([
        `${id} lowered to ${lower}`,
        outgoing === undefined
          ? majorityIndex(voters, lowered)
          : jointIndex(voters, outgoing, lowered),
      ]);
    }
  }
  return others.filter(([, other]) => other !== index)
    .map(([what, other]) => `${other} <-- ${what}\n`).join("");
}

/** The bars that the reference draws. */
function picture(
  ids: readonly number[],
  acked: ReadonlyMap<number, number>,
): string {
  const count = ids.length;
  if (count === 0) return "<empty majority quorum>";
  const indexOf = (id: number) => acked.get(id) ?? 0;
  const sorted = [...ids].sort((a, b) => indexOf(a) - indexOf(b) || a - b);
  const ranks = new Map<number, number>();
  sorted.forEach((id, i) => {
    const before = sorted[i - 1];
    const isHigher = before !== undefined && indexOf(id) > indexOf(before);
    ranks.set(id, isHigher ? i : ranks.get(before ?? 0) ?? 0);
  });
  const rows = [...ids].sort((a, b) => a - b).map((id) => {
    const rank = ranks.get(id) ?? 0;
    const bar = acked.has(id)
      ? `${"x".repeat(rank)}>${" ".repeat(count - rank)}`
      : `?${" ".repeat(count)}`;
    const index = String(indexOf(id)).padStart(5);
    return `${bar} ${index}    (id=${id.toString(16)})\n`;
  });
  return `${" ".repeat(count)}    idx\n${rows.join("")}`;
}

function runVote({ voters, outgoing, ids, values }: QuorumCase): string {
  const votes = new Map<number, boolean>();
  ids.forEach((id, i) => {
    const value = values[i] ?? "_";
    if (!["y", "n", "_"].includes(value)) {
      throw new TypeError(`"${value}" is no vote`);
    }
    if (value !== "_") votes.set(id, value === "y");
  });
  const get = (id: number) => votes.get(id);
  const others: [string, VoteResult][] = [];
  let result: VoteResult;
  if (outgoing === undefined) {
    result = majorityVote(voters, get);
    others.push(
      ["joint with nobody", jointVote(voters, [], get)],
      ["joint with itself", jointVote(voters, voters, get)],
    );
  } else {
    result = jointVote(voters, outgoing, get);
    others.push(["halves exchanged", jointVote(outgoing, voters, get)]);
  }
  return others.filter(([, other]) => other !== result)
    .map(([what, other]) => `${RESULTS[other]} <-- ${what}\n`).join("") +
    `${RESULTS[result]}\n`;
}
