/**
 * Reading back entries that the core no longer holds in memory.
 *
 * @module
 */
import type { RawNode } from "../core/raw_node.ts";
import type { Load } from "../core/ready.ts";
import type { GroupId } from "../core/types.ts";
import type { Storage } from "../storage.ts";
import type { Tasks } from "./tasks.ts";

/** What loads need, and whom they tell. */
export interface LoadsOptions {
  readonly group: GroupId;
  readonly core: Pick<
    RawNode,
    "appliedIndex" | "entriesLoaded" | "loadFailed"
  >;
  readonly storage: Pick<Storage, "read">;
  readonly tasks: Tasks;
  /** The own log cannot be applied: the member must stop. */
  readonly onFailure: (error: unknown) => void;
  /** Runs `work` within a turn. */
  readonly inTurn: (work: () => void) => void;
}

/** The loads of one member. */
export class Loads {
  readonly #options: LoadsOptions;

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  /** Reads what the core asked for. */
  start(load: Load): void {
    const { core, group, inTurn, storage, tasks } = this.#options;
    const read = async () => {
      const entries = await storage.read({ group, ...load });
      inTurn(() => core.entriesLoaded(load, entries));
    };
    tasks.start(read(), (error) => inTurn(() => this.#failed(load, error)));
  }

  /** Others may have what a leader cannot read, but nobody applies for us. */
  #failed(load: Load, error: unknown): void {
    const { core, onFailure } = this.#options;
    if (load.purpose !== "apply") core.loadFailed(load);
    // A snapshot may have taken the entries' place since.
    else if (load.through > core.appliedIndex) onFailure(error);
  }
}
