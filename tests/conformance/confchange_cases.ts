/**
 * `confchange/*.txt`: the calculator of configurations (section 3 of
 * `kit/README.md`). The cases of a file build on each other.
 *
 * @module
 */
import {
  applySimple,
  type ConfMisfit,
  enterJoint,
  leaveJoint,
} from "../../src/core/conf_change.ts";
import { DEFAULT_CONFIG } from "../../src/core/config.ts";
import { type ConfState, EMPTY_CONF } from "../../src/core/mod.ts";
import { Tracker } from "../../src/core/tracker.ts";
import { stepsFromKit } from "./translate.ts";
import type { TxtCase } from "./txt.ts";

/** The kit's words for what the core refuses. */
function refusalOf(misfit: ConfMisfit, { command }: TxtCase): string {
  switch (misfit) {
    case "joint":
      return command === "simple"
        ? "can't apply simple config change in joint config"
        : "config is already joint";
    case "notJoint":
      return "can't leave a non-joint config";
    case "zeroVoters":
      return "can't make a zero-voter config joint";
    case "noVoters":
      return "removed all voters";
    case "manyVoters":
      return "more than one voter changed without entering joint config";
    default:
      throw new TypeError(`the kit has no word for "${misfit}"`);
  }
}

const WITH_INPUT = "this command takes no input";

/** A file's configuration and the records of its members. */
export class ConfChangeFile {
  readonly #tracker: Tracker = new Tracker(EMPTY_CONF, DEFAULT_CONFIG, 0);
  #lastIndex = 0;

  /** Runs the next case. @throws {TypeError} If it cannot be read. */
  run(txt: TxtCase): string {
    const lastIndex = this.#lastIndex++;
    if (txt.command === "leave-joint" && txt.input.trim() !== "") {
      return `${WITH_INPUT}\n`;
    }
    const conf = change(this.#tracker.conf, txt);
    if (typeof conf === "string") return `${refusalOf(conf, txt)}\n`;
    this.#tracker.switchTo(conf, lastIndex);
    return checkConf(conf, this.#tracker) + describeConf(conf) +
      describeProgress(this.#tracker);
  }
}

/** The configuration that a case makes. */
function change(
  conf: ConfState,
  { command, args, input }: TxtCase,
): ConfState | ConfMisfit {
  const steps = stepsFromKit(input.split(/\s+/).filter((word) => word !== ""));
  switch (command) {
    case "simple":
      return applySimple(conf, steps);
    case "enter-joint": {
      const autoLeave = args.find(({ name }) => name === "autoleave");
      return enterJoint(conf, steps, autoLeave?.values[0] === "true");
    }
    case "leave-joint":
      return leaveJoint(conf);
    default:
      throw new TypeError(`there is no command "${command}"`);
  }
}

/** What holds after each success; each that does not is a line. */
function checkConf(conf: ConfState, tracker: Tracker): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = conf;
  const all = [...voters, ...votersOutgoing, ...learners, ...learnersNext];
  const isJoint = votersOutgoing.length > 0;
  const rules: [string, boolean][] = [
    [
      "a learner votes",
      !learners.some((id) =>
        voters.includes(id) || votersOutgoing.includes(id)
      ),
    ],
    [
      "a next learner does not vote yet",
      learnersNext.every((id) => votersOutgoing.includes(id)),
    ],
    ["a member has no record", all.every((id) => tracker.progress.has(id))],
    [
      "a configuration that is not joint waits to leave",
      isJoint || (learnersNext.length === 0 && !autoLeave),
    ],
  ];
  return rules.filter(([, holds]) => !holds)
    .map(([what]) => `invariant: ${what}\n`).join("");
}

function describeConf(conf: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = conf;
  const list = (ids: readonly number[]) => `(${ids.join(" ")})`;
  const parts = [
    `voters=${list(voters)}` +
    (votersOutgoing.length > 0 ? `&&${list(votersOutgoing)}` : ""),
  ];
  if (learners.length > 0) parts.push(`learners=${list(learners)}`);
  if (learnersNext.length > 0) {
    parts.push(`learners_next=${list(learnersNext)}`);
  }
  if (autoLeave) parts.push("autoleave");
  return `${parts.join(" ")}\n`;
}

const STATES = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
} as const;

function describeProgress({ progress }: Tracker): string {
  return [...progress].sort(([a], [b]) => a - b).map(([id, each]) => {
    const { state, matchIndex, nextIndex, learner } = each;
    return `${id}: ${STATES[state]} match=${matchIndex} next=${nextIndex}` +
      `${learner ? " learner" : ""}\n`;
  }).join("");
}
