/**
 * What the clients wrote and what became of it. Every write has a key of its
 * own, so that a lost, doubled or phantom write can be told.
 *
 * @module
 */

/** What a client knows of one write. */
export type Outcome =
  | { readonly type: "acknowledged"; readonly revision: number }
  /** The server vouches that it never will be applied. */
  | { readonly type: "notAppended" }
  /** It may be applied at any time, or never. */
  | { readonly type: "unknown" };

/** A key as a member holds it. */
export interface Item {
  readonly value: string;
  readonly revision: number;
}

/** Writes by key. */
export class History {
  readonly #outcomes = new Map<string, Outcome>();
  readonly violations: string[] = [];

  /** Counts of writes by what became of them. */
  get counts(): Record<Outcome["type"], number> {
    const counts = { acknowledged: 0, notAppended: 0, unknown: 0 };
    for (const { type } of this.#outcomes.values()) counts[type] += 1;
    return counts;
  }

  /** The acknowledged writes. */
  get acknowledged(): { key: string; revision: number }[] {
    return [...this.#outcomes].flatMap(([key, outcome]) =>
      outcome.type === "acknowledged"
        ? [{ key, revision: outcome.revision }]
        : []
    );
  }

  /** Notes what became of the one write of `key`. */
  record(key: string, outcome: Outcome): void {
    if (this.#outcomes.has(key)) {
      throw new Error(`Cannot record ${key}: it was written before`);
    }
    this.#outcomes.set(key, outcome);
  }

  /** Notes that something happened that must not. */
  violation(text: string): void {
    this.violations.push(text);
  }

  /**
   * Checks what a member holds against what the clients know.
   *
   * Each applied write takes the next revision of the store and every key is
   * written once, so the revisions held must be 1, 2, 3 … without a gap: a
   * write that was applied twice would have left its first revision behind.
   */
  checkContents(member: number, held: ReadonlyMap<string, Item>): void {
    const revisions = new Set<number>();
    for (const [key, { value, revision }] of held) {
      const outcome = this.#outcomes.get(key);
      if (outcome === undefined || outcome.type === "notAppended") {
        this.violation(
          `member ${member} holds ${key}, which was ${
            outcome === undefined ? "never written" : "not appended"
          }`,
        );
      }
      if (value !== valueOf(key)) {
        this.violation(`member ${member} holds ${key} with a wrong value`);
      }
      revisions.add(revision);
    }
    for (const { key, revision } of this.acknowledged) {
      const item = held.get(key);
      if (item?.revision === revision) continue;
      this.violation(
        `member ${member} holds ${key} at revision ${item?.revision}, acknowledged was ${revision}`,
      );
    }
    for (let revision = 1; revision <= held.size; revision += 1) {
      if (revisions.has(revision)) continue;
      this.violation(
        `member ${member} has no key at revision ${revision} of ${held.size}: a write was applied twice`,
      );
    }
  }
}

/** The value that goes with a key, unique as the key is. */
export function valueOf(key: string): string {
  return `value of ${key}, ${"x".repeat(key.length % 64)}`;
}
