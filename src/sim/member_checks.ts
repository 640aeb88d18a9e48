/**
 * What is checked of single members as they go on, each rule in a part of its
 * own.
 *
 * @module
 */
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
import { checkHeard } from "./transfer_checks.ts";
import { WitnessChecks } from "./witness_checks.ts";

/** A member as these checks see it. */
export interface CheckedMember extends MemberView, LeaseView {
  readonly core: RawNode | undefined;
  /** Whether it leads only while it hears of a quorum. */
  readonly mindsQuorum: boolean;
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

  /** Watches a group from its beginning. */
  constructor({ options, members, oracle, marks }: MemberCheckParts) {
    const { electionTicks = 10 } = options.core;
    this.#oracle = oracle;
    this.#bounds = new BoundChecks(options, marks);
    this.#leases = new LeaseChecks(members, oracle);
    this.#offices = new OfficeChecks(electionTicks);
    this.#witnesses = new WitnessChecks(electionTicks, marks);
  }

  /** A member has taken a step of any kind. */
  stepped(member: CheckedMember, core: RawNode): void {
    this.#oracle.observe(member, core);
    this.#leases.stepped();
    this.#witnesses.stepped(core);
  }

  /** A member is about to take a message. */
  hears(message: Message): void {
    this.#offices.heard(message);
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
    this.stepped(member, core);
    this.#bounds.check(member, core);
    this.#oracle.ticked(member, core);
    this.#leases.ticked(member);
    if (member.mindsQuorum) this.#offices.ticked(core);
    this.#witnesses.ticked(core);
  }

  /** A Ready was taken and is about to be written and sent. */
  readyTaken(member: CheckedMember, core: RawNode, ready: Ready): void {
    this.#oracle.readyTaken(member, core, ready);
    this.#witnesses.readyTaken(core, ready);
  }
}
