/**
 * Ties members to the data directories they live in, by entries of the log: a
 * member that comes back with an empty or older one is recognised by all, for
 * ever, and its votes and acknowledgements count no more (H58, H80).
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { ConfChangeStep, NodeId } from "../core/types.ts";
import type { Peers } from "./peers.ts";

/** What binding needs. */
export interface DiskBinderOptions {
  readonly core: Pick<
    RawNode,
    "id" | "role" | "conf" | "committedInTerm" | "status" | "proposeConfChange"
  >;
  readonly peers: Pick<Peers, "incarnationOf">;
  /** The data directory of this host. */
  readonly incarnation: () => string | null;
  /** Tells a member that its directory is not the one it is known by. */
  readonly turnAway: (id: NodeId) => void;
}

/** The leader's part; others have nothing to do. */
export class DiskBinder {
  readonly #options: DiskBinderOptions;
  /** Members that lack what was sent, and may lack what they had. */
  readonly #suspects = new Set<NodeId>();

  constructor(options: DiskBinderOptions) {
    this.#options = options;
  }

  /** A member denies that it has what the leader builds upon. */
  denied(id: NodeId): void {
    this.#suspects.add(id);
  }

  /** Binds those members whose disk has proved to hold the log. */
  tick(): void {
    const { core } = this.#options;
    if (this.#suspects.size > 0) this.#watch();
    const { conf } = core;
    if (core.role !== "leader" || !core.committedInTerm) return;
    if (conf.incarnations.length === conf.addresses.length) return;
    const others = this.#provenOthers();
    // Nobody would ever compare it with anything.
    if (others.length === 0 && conf.incarnations.length === 0) return;
    const steps = [...this.#own(), ...others];
    if (steps.length === 0) return;
    // Refused while another change is under way; then the next tick will.
    core.proposeConfChange({ transition: "simple", steps });
  }

  /**
   * An older copy of a directory bears the same name as the newer one: it
   * shows only by what is missing (H80). Said until it is heard.
   */
  #watch(): void {
    const { core, turnAway } = this.#options;
    const progress = core.role === "leader" ? core.status().progress : [];
    for (const id of this.#suspects) {
      const one = progress.find((other) => other.id === id);
      if (one?.lostLog === true) turnAway(id);
      else if (one?.state !== "probe") this.#suspects.delete(id);
    }
  }

  #own(): ConfChangeStep[] {
    const { core, incarnation } = this.#options;
    return this.#isBound(core.id) ? [] : stepOf(core.id, incarnation());
  }

  #provenOthers(): ConfChangeStep[] {
    const { core, peers } = this.#options;
    return core.status().progress.flatMap(({ id, lostLog, matchIndex }) =>
      id === core.id || matchIndex === 0 || lostLog || this.#isBound(id)
        ? []
        : stepOf(id, peers.incarnationOf(id))
    );
  }

  #isBound(id: NodeId): boolean {
    return this.#options.core.conf.incarnations.some((it) => it.id === id);
  }
}

function stepOf(node: NodeId, incarnation: string | null): ConfChangeStep[] {
  return incarnation === null ? [] : [{ type: "bind", node, incarnation }];
}
