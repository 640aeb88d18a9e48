/**
 * What the cluster as a whole has committed, as the checkers saw it happen.
 *
 * @module
 */
import type {
  Entry,
  EntryId,
  LogIndex,
  NodeId,
  Term,
  TermRun,
} from "../core/types.ts";
import { type ConfRoles, rolesAfter } from "./conf_model.ts";
import type { LogMirror, LogPrefix } from "./log_mirror.ts";
import { hashBytes } from "./trace_hash.ts";
import { fail } from "./violation.ts";

/** A configuration and the entry that made it; 0 for the bootstrap. */
export interface ConfAt {
  readonly index: LogIndex;
  readonly conf: ConfRoles;
}

/** The committed prefix of the one true log; it only grows. */
export class CommittedLog {
  readonly #terms: Term[] = [];
  readonly #digests: number[] = [];
  readonly #commands: number[] = [];
  /** In which leader's term each stretch was committed, ascending. */
  readonly #stretches: { term: Term; through: LogIndex }[] = [];
  /** Everybody who ever was a witness. */
  readonly #witnesses: Set<NodeId>;
  /** Every configuration there was, ascending in index. */
  readonly #confs: [ConfAt, ...ConfAt[]];

  /** Makes an empty log of a group that begins with `bootstrap`. */
  constructor(bootstrap: ConfRoles) {
    this.#confs = [{ index: 0, conf: bootstrap }];
    this.#witnesses = new Set(bootstrap.witnesses);
  }

  /** Terms and digests of all of it; grows with it. */
  get prefix(): LogPrefix {
    return { terms: this.#terms, digests: this.#digests };
  }

  /** The newest configuration. */
  get lastConf(): ConfAt {
    return this.#confs[this.#confs.length - 1] ?? this.#confs[0];
  }

  /** The configuration of those who have applied everything up to `index`. */
  confAt(index: LogIndex): ConfAt {
    for (let i = this.#confs.length - 1; i > 0; i--) {
      const conf = this.#confs[i];
      if (conf !== undefined && conf.index <= index) return conf;
    }
    return this.#confs[0];
  }

  /** Index of the last committed entry. */
  get lastIndex(): LogIndex {
    return this.#terms.length;
  }

  /** Term of a committed entry; 0 before and beyond. */
  termAt(index: LogIndex): Term {
    return this.#terms[index - 1] ?? 0;
  }

  /** Digest of the committed prefix through `index`; 0 before and beyond. */
  digestAt(index: LogIndex): number {
    return this.#digests[index - 1] ?? 0;
  }

  /** Digest of the bytes of a committed command; -1 for what is none. */
  commandDigestAt(index: LogIndex): number {
    return this.#commands[index - 1] ?? -1;
  }

  /** The last index that leaders of terms before `term` had committed. */
  lastIndexBefore(term: Term): LogIndex {
    for (let i = this.#stretches.length - 1; i >= 0; i--) {
      const stretch = this.#stretches[i];
      if (stretch !== undefined && stretch.term < term) return stretch.through;
    }
    return 0;
  }

  /** Whether a member ever was a witness; then it was nothing else. */
  isWitness(id: NodeId): boolean {
    return this.#witnesses.has(id);
  }

  /** The one in force at `index`, and those made behind it, ascending. */
  confsFrom(index: LogIndex): readonly ConfAt[] {
    return [this.confAt(index), ...this.confsAfter(index)];
  }

  /** The configurations that entries behind `index` made, ascending. */
  confsAfter(index: LogIndex): readonly ConfAt[] {
    let count = 0;
    while (
      (this.#confs[this.#confs.length - 1 - count]?.index ?? 0) > index
    ) count++;
    return this.#confs.slice(this.#confs.length - count);
  }

  /** The leader of `term`, whose log this is, committed through `index`. */
  extend(log: LogMirror, through: LogIndex, term: Term): void {
    for (let i = this.lastIndex + 1; i <= through; i++) {
      this.#terms.push(log.termAt(i));
      this.#digests.push(log.digestAt(i));
      const entry = log.entryAt(i);
      const isCommand = entry?.type === "command";
      this.#commands.push(isCommand ? hashBytes(entry.data) : -1);
      if (entry?.type === "confChange") {
        const conf = rolesAfter(this.lastConf.conf, entry.change);
        this.#confs.push({ index: i, conf });
        for (const id of conf.witnesses) this.#witnesses.add(id);
      }
    }
    const last = this.#stretches[this.#stretches.length - 1];
    if (last !== undefined && last.term === term) last.through = through;
    else this.#stretches.push({ term, through });
  }
}

/** Which prefix each (index, term) ever written ended: there is one only. */
export class EntryRegister {
  readonly #terms: Term[][] = [];
  readonly #digests: number[][] = [];
  /** Digest of the prefix before each. */
  readonly #previous: number[][] = [];

  /** Notes a prefix. Returns whether it agrees with all that were noted. */
  note(id: EntryId, digest: number, previous: number): boolean {
    const { index, term } = id;
    const terms = this.#terms[index] ??= [];
    const digests = this.#digests[index] ??= [];
    const at = terms.lastIndexOf(term);
    if (at >= 0) return digests[at] === digest;
    terms.push(term);
    digests.push(digest);
    (this.#previous[index] ??= []).push(previous);
    return true;
  }

  /**
   * Digest of the prefix that an entry without payload ends: what others have
   * in its place.
   */
  omittedDigest(entry: Entry, previous: number): number {
    const { index, term } = entry;
    const at = this.#terms[index]?.lastIndexOf(term) ?? -1;
    const digest = this.#digests[index]?.[at];
    if (digest !== undefined && this.#previous[index]?.[at] === previous) {
      return digest;
    }
    return fail(
      "logMatching",
      `A witness stores (index ${index}, term ${term}) behind what nobody has behind it`,
    );
  }
}

/** Who got whose vote: one candidate per voter and term. */
export class VoteRegister {
  readonly #votes = new Map<Term, (NodeId | undefined)[]>();

  /**
   * Notes a vote that was given for good. Returns whom the voter had voted
   * for in the term before, if anybody.
   */
  note(term: Term, voter: NodeId, candidate: NodeId): NodeId | undefined {
    const votes = this.#votes.get(term) ?? [];
    this.#votes.set(term, votes);
    const before = votes[voter];
    votes[voter] = candidate;
    return before;
  }

  /** A voter has forgotten whom it voted for. */
  forget(voter: NodeId): void {
    for (const votes of this.#votes.values()) votes[voter] = undefined;
  }

  /** Whom a voter gave its vote of a term to, if to anybody. */
  candidateOf(term: Term, voter: NodeId): NodeId | undefined {
    return this.#votes.get(term)?.[voter];
  }
}

/** What a leader's log was made of when it was elected. */
export interface Reign {
  readonly node: NodeId;
  readonly life: number;
  /** Last index of an earlier term. */
  readonly inheritedIndex: LogIndex;
  /** Terms of the inherited entries: first index of each, ascending. */
  readonly inherited: readonly TermRun[];
  /** Newest entry of the leader so far. */
  lastIndex: LogIndex;
}

/** Term of an entry in the log of the leader of `term`; 0 if it has none. */
export function reignTermAt(reign: Reign, term: Term, index: LogIndex): Term {
  if (index > reign.lastIndex || index < 1) return 0;
  if (index > reign.inheritedIndex) return term;
  for (let i = reign.inherited.length - 1; i >= 0; i--) {
    const run = reign.inherited[i];
    if (run !== undefined && run.firstIndex <= index) return run.term;
  }
  return 0;
}
