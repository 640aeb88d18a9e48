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
}

/** The leader's part; others have nothing to do. */
export class DiskBinder {
  readonly #options: DiskBinderOptions;

  constructor(options: DiskBinderOptions) {
    this.#options = options;
  }

  /** Binds those members whose disk has proved to hold the log. */
  tick(): void {
    const { core } = this.#options;
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

  #own(): ConfChangeStep[] {
    const { core, incarnation } = this.#options;
    return this.#isBound(core.id) ? [] : stepOf(core.id, incarnation());
  }

  #provenOthers(): ConfChangeStep[] {
    const { core, peers } = this.#options;
    return core.status().progress.flatMap(({ id, matchIndex }) =>
      id === core.id || matchIndex === 0 || this.#isBound(id)
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
