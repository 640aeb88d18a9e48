/**
 * Members that differ in nothing but their ids may be renamed into each
 * other: of all states that come out equal, one is explored.
 *
 * @module
 */
import type { Entry, Message, NodeId } from "../../src/core/mod.ts";
import type { Input } from "./actions.ts";
import type { Scenario } from "./bounds.ts";
import { BROKEN, type LocalStates, ROOT, stepOf } from "./local_states.ts";
import { EMPTY_SET, type Mailbox } from "./mailbox.ts";

/** Gives each member its new id. */
export type Renaming = ReadonlyMap<NodeId, NodeId>;

/**
 * The renamings that leave a scenario as it is, the identity first: those of
 * the voters that the membership change does not speak of.
 */
export function renamingsOf(scenario: Scenario): readonly Renaming[] {
  const named = new Set(scenario.change?.steps.map(({ node }) => node));
  const free = scenario.conf.voters.filter((id) => !named.has(id));
  return permutations(free).map((images) =>
    new Map(scenario.ids.map((id) => {
      const at = free.indexOf(id);
      return [id, at < 0 ? id : images[at] ?? id];
    }))
  );
}

function permutations(ids: readonly NodeId[]): NodeId[][] {
  if (ids.length === 0) return [[]];
  return ids.flatMap((id) =>
    permutations(ids.filter((other) => other !== id))
      .map((rest) => [id, ...rest])
  );
}

/** The renaming that undoes another. */
export function inverse(renaming: Renaming): Renaming {
  return new Map([...renaming].map(([from, to]) => [to, from]));
}

/** The input as the renamed members see it. */
export function renameInput(input: Input, renaming: Renaming): Input {
  if (input.type !== "deliver") return input;
  return { ...input, message: renameMessage(input.message, renaming) };
}

/** The message as the renamed members send it. */
export function renameMessage(message: Message, renaming: Renaming): Message {
  const header = {
    from: rename(message.from, renaming),
    to: rename(message.to, renaming),
  };
  switch (message.type) {
    case "appendEntries":
      return {
        ...message,
        ...header,
        entries: message.entries.map((entry) => renameEntry(entry, renaming)),
      };
    case "installSnapshot":
      throw new TypeError("Cannot rename a snapshot: nothing is compacted");
    case "transferLeadership":
      return {
        ...message,
        ...header,
        target: rename(message.target, renaming),
      };
    default:
      return { ...message, ...header };
  }
}

function renameEntry(entry: Entry, renaming: Renaming): Entry {
  if (entry.type !== "confChange") return entry;
  const steps = entry.change.steps.map((step) => ({
    ...step,
    node: rename(step.node, renaming),
  }));
  return { ...entry, change: { ...entry.change, steps } };
}

function rename(id: NodeId, renaming: Renaming): NodeId {
  return renaming.get(id) ?? id;
}

/** A renaming at work on the states of a search. */
interface Image {
  readonly renaming: Renaming;
  /** By place of a member: the place of the member it is renamed to. */
  readonly places: readonly number[];
  /** By place and number of a local state: the number of its image. */
  readonly locals: readonly number[][];
  /** By place and id of a set of messages: the id of its image. */
  readonly sets: readonly number[][];
}

/** Finds for each state the one that stands for all its renamings. */
export class Symmetry {
  readonly #locals: readonly LocalStates[];
  readonly #mailboxes: readonly Mailbox[];
  /** All but the identity. */
  readonly #images: readonly Image[];
  readonly #renamed: Uint32Array;

  constructor(
    scenario: Scenario,
    locals: readonly LocalStates[],
    mailboxes: readonly Mailbox[],
  ) {
    this.#locals = locals;
    this.#mailboxes = mailboxes;
    this.#renamed = new Uint32Array(2 * locals.length + 1);
    this.#images = renamingsOf(scenario).slice(1).map((renaming) => ({
      renaming,
      places: scenario.ids.map((id) =>
        scenario.ids.indexOf(rename(id, renaming))
      ),
      locals: scenario.ids.map(() => [ROOT]),
      sets: scenario.ids.map(() => [EMPTY_SET]),
    }));
  }

  /** Writes the least of all renamings of a state to `least`. */
  canonical(state: Uint32Array, least: Uint32Array): void {
    least.set(state);
    const renamed = this.#renamed;
    const width = this.#locals.length;
    // What is used up belongs to nobody.
    renamed[2 * width] = state[2 * width] ?? 0;
    for (const image of this.#images) {
      for (let place = 0; place < width; place++) {
        const to = image.places[place] ?? 0;
        const local = state[place] ?? ROOT;
        const set = state[width + place] ?? EMPTY_SET;
        renamed[to] = image.locals[place]?.[local] ??
          this.#findLocal(image, place, local);
        renamed[width + to] = image.sets[place]?.[set] ??
          this.#findSet(image, place, set);
      }
      if (isBelow(renamed, least)) least.set(renamed);
    }
  }

  /**
   * The image of a state is where the image of its parent gets to by the
   * renamed step: the real core of the renamed member says so.
   *
   * @throws {Error} If the renamed member does something else: then the
   * members are not alike, and the search would be wrong.
   */
  #findLocal(image: Image, place: number, number: number): number {
    const { renaming, places, locals } = image;
    const from = this.#localsOf(place);
    const to = this.#localsOf(places[place] ?? 0);
    const images = locals[place] ?? [];
    const chain: number[] = [];
    let known = number;
    for (; images[known] === undefined; known = from.at(known).parent) {
      chain.push(known);
    }
    let found = images[known] ?? ROOT;
    for (const state of chain.reverse()) {
      const { parent, step } = from.at(state);
      const input = renameInput(from.inputOf(step >> 1), renaming);
      const renamedStep = stepOf(
        to.numberOfInput(input),
        step % 2 === 1 ? 1 : 0,
      );
      const next = to.after(found, renamedStep);
      const sent = from.postOf(parent, step).map((set, i) =>
        this.#findSet(image, i, set)
      );
      const sentByImage = to.postOf(found, renamedStep);
      const isEqual = next !== BROKEN &&
        sent.every((set, i) => set === sentByImage[places[i] ?? 0]);
      if (!isEqual) {
        throw new Error(
          `Cannot rename members: ${to.id} does not do what ${from.id} does`,
        );
      }
      images[state] = found = next;
    }
    return found;
  }

  #findSet(image: Image, place: number, id: number): number {
    const from = this.#mailboxes[place];
    const to = this.#mailboxes[image.places[place] ?? 0];
    const numbers = [...from?.setAt(id).numbers ?? []].map((number) =>
      from === undefined
        ? 0
        : to?.numberOf(renameMessage(from.at(number), image.renaming)) ?? 0
    );
    const found = to?.setOf(numbers).id ?? EMPTY_SET;
    const images = image.sets[place];
    if (images !== undefined) images[id] = found;
    return found;
  }

  #localsOf(place: number): LocalStates {
    const locals = this.#locals[place];
    if (locals === undefined) throw new Error(`Cannot find member ${place}`);
    return locals;
  }
}

function isBelow(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i] ?? 0, b[i] ?? 0];
    if (left !== right) return left < right;
  }
  return false;
}
