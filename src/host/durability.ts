/**
 * Holds back what promises something until the disk has it (thesis §3.8).
 *
 * @module
 */
import type { Message } from "../core/message.ts";
import type { RawNode } from "../core/raw_node.ts";
import type { Ready } from "../core/ready.ts";
import type { AppliedConf, GroupId, HardState } from "../core/types.ts";
import type { GroupWrite } from "../storage.ts";
import type { WriteOwner, WritePipeline } from "./write_pipeline.ts";

/** A Ready that was taken and not yet acknowledged to the core. */
interface Outstanding {
  readonly number: number;
  /** Whether a write carries it; if not it is durable with those before. */
  readonly written: boolean;
  readonly messages: readonly Message[];
  /** What else waits for it; called within a turn. */
  readonly onDurable: (() => void) | undefined;
}

/** Where writes and released messages go. */
export interface DurabilityOptions {
  readonly group: GroupId;
  readonly core: Pick<RawNode, "id" | "persisted">;
  readonly pipeline: WritePipeline;
  readonly send: (message: Message) => void;
  /** Asks for a turn. */
  readonly wake: () => void;
}

/** The way of one member's Readys to the disk. */
export class Durability implements WriteOwner {
  readonly #options: DurabilityOptions;
  /** Ascending in number. */
  #outstanding: Outstanding[] = [];
  /** Number of the last Ready that was taken. */
  #lastNumber = 0;
  /** The write of every Ready up to here is durable. */
  #durableNumber = 0;
  /**
   * A commit index that is written nowhere yet. It is a hint that nothing
   * depends on, so it rides along with the next write.
   */
  #unwritten: HardState | undefined;
  /** Whether `#unwritten` was there at the last tick already. */
  #idle = false;

  constructor(options: DurabilityOptions) {
    this.#options = options;
  }

  /** Hands a Ready's write to the pipeline. */
  take(ready: Ready, onDurable?: () => void): void {
    this.#lastNumber = ready.number;
    if (ready.hardState !== undefined) this.#unwritten = ready.hardState;
    const written = ready.mustSync;
    if (written) {
      this.#options.pipeline.add(this, ready.number, {
        group: this.#options.group,
        create: this.#founded(ready),
        hardState: this.#unwritten,
        snapshot: ready.snapshot,
        entries: ready.entries,
      }, { sync: true });
      this.#unwritten = undefined;
    }
    const messages = ready.messagesAfterPersist;
    const { number } = ready;
    this.#outstanding.push({ number, written, messages, onDurable });
    if (!written) this.release();
  }

  /** Who joined has learned what its group began with. */
  #founded({ founding: conf }: Ready): GroupWrite["create"] {
    if (conf === undefined) return undefined;
    const snapshot = { index: 0, term: 0, conf };
    return { node: this.#options.core.id, snapshot };
  }

  /** Stores a configuration that was applied; the log has it anyhow. */
  storeConf(conf: AppliedConf): void {
    const { group, pipeline } = this.#options;
    pipeline.add(this, this.#lastNumber, { group, entries: [], conf }, {
      sync: false,
    });
  }

  /** A commit index that found no company for a whole tick goes alone. */
  tick(): void {
    if (this.#idle) this.flush();
    this.#idle = this.#unwritten !== undefined;
  }

  /** Writes what waits for company. */
  flush(): void {
    if (this.#unwritten === undefined) return;
    const { group, pipeline } = this.#options;
    const hardState = this.#unwritten;
    this.#unwritten = undefined;
    pipeline.add(this, this.#lastNumber, { group, hardState, entries: [] }, {
      sync: false,
    });
  }

  /** Called by the pipeline, outside of turns. */
  written(number: number): void {
    if (number <= this.#durableNumber) return;
    this.#durableNumber = number;
    this.#options.wake();
  }

  /** Within a turn: releases what is durable, and tells the core. */
  release(): void {
    let released = 0;
    for (const ready of this.#outstanding) {
      const { number, written } = ready;
      if (written && number > this.#durableNumber) break;
      for (const message of ready.messages) this.#options.send(message);
      this.#options.core.persisted(number);
      ready.onDurable?.();
      released++;
    }
    if (released > 0) this.#outstanding = this.#outstanding.slice(released);
  }
}
