/**
 * What is checked of single members as they go on, each rule in a part of its
 * own.
 *
 * @module
 */
import type { CoreConfig } from "../core/config.ts";
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type { LogIndex } from "../core/types.ts";
import { BoundChecks } from "./bound_checks.ts";
import { checkPromotion } from "./change_checks.ts";
import { LeaseChecks, type LeaseView } from "./lease_checks.ts";
import type { MarkCounter } from "./marks.ts";
import { OfficeChecks } from "./office_checks.ts";
import type { SimOptions } from "./options.ts";
import type { MemberView, Oracle } from "./oracle.ts";
import { PreferenceChecks } from "./preference_checks.ts";
import { checkHeard } from "./transfer_checks.ts";
import { WitnessChecks } from "./witness_checks.ts";

/** A member as these checks see it. */
export interface CheckedMember extends MemberView, LeaseView {
  readonly core: RawNode | undefined;
  /** What its core was started with. */
  readonly config: Partial<CoreConfig>;
}

/** What the checks of one group are made of. */
export interface MemberCheckParts {
  readonly options: SimOptions;
  /** Everybody who was ever started; may still be empty. */
  readonly members: readonly CheckedMember[];
  readonly oracle: Oracle;
  readonly marks: MarkCounter;
}

/** All of them, for one group. */
export class MemberChecks {
  readonly #oracle: Oracle;
  readonly #bounds: BoundChecks;
  readonly #leases: LeaseChecks;
  readonly #offices: OfficeChecks;
  readonly #witnesses: WitnessChecks;
  /** `undefined` if nobody is preferred. */
  readonly #preferences: PreferenceChecks | undefined;

  /** Watches a group from its beginning. */
  constructor({ options, members, oracle, marks }: MemberCheckParts) {
    const { electionTicks = 10 } = options.core;
    this.#oracle = oracle;
    this.#bounds = new BoundChecks(options, marks);
    this.#leases = new LeaseChecks(members, oracle);
    this.#offices = new OfficeChecks(electionTicks);
    this.#witnesses = new WitnessChecks(electionTicks, marks);
    const isAnyPreferred = options.flags.flat()
      .some(({ priority = 0 }) => priority > 0);
    this.#preferences = isAnyPreferred
      ? new PreferenceChecks(options.core, marks)
      : undefined;
  }

  /** A member has taken a step of any kind. */
  stepped(member: CheckedMember, core: RawNode): void {
    this.#oracle.observe(member, core);
    this.#leases.stepped();
    this.#witnesses.stepped(core);
    this.#preferences?.stepped(core);
  }

  /** A member is about to take a message. */
  hears(message: Message): void {
    this.#offices.heard(message);
    this.#preferences?.hears(message);
  }

  /** It has taken it. */
  heard(core: RawNode, message: Message): void {
    checkHeard(core, message);
  }

  /**
   * A tick has passed at a member.
   *
   * @param before Last index of its log before the tick.
   */
  ticked(member: CheckedMember, core: RawNode, before: LogIndex): void {
    checkPromotion(core, before);
    const { checkQuorum, priority = 0 } = member.config;
    this.#preferences?.ticked(core, priority);
    this.stepped(member, core);
    this.#bounds.check(member, core);
    this.#oracle.ticked(member, core);
    this.#leases.ticked(member);
    if (checkQuorum !== false) this.#offices.ticked(core);
    this.#witnesses.ticked(core);
  }

  /** A Ready was taken and is about to be written and sent. */
  readyTaken(member: CheckedMember, core: RawNode, ready: Ready): void {
    this.#oracle.readyTaken(member, core, ready);
    this.#witnesses.readyTaken(core, ready);
  }
}
