/**
 * Is there an order of the operations that respects real time and explains
 * every result? The search of Wing and Gong, with Lowe's memory of states
 * already tried.
 *
 * @module
 */

/** An operation on one object. */
export interface TimedOperation<Input, Output> {
  /** What was asked. */
  readonly input: Input;
  /** What was answered; `undefined` if it never returned. */
  readonly output: Output | undefined;
  /** Order of the invocation. */
  readonly invokedAt: number;
  /** Order of the return; `Infinity` if it may take effect at any time. */
  readonly returnedAt: number;
}

/** A sequential object: what operations do one after the other. */
export interface SequentialModel<State, Input, Output> {
  /** The state before the first operation. */
  readonly initial: State;
  /** The state after `input`, or `undefined` if `output` contradicts it. */
  step(
    state: State,
    input: Input,
    output: Output | undefined,
  ): State | undefined;
  /** A name of the state: equal exactly for equal states. */
  key(state: State): string;
}

/** What the search found. `undecided`: it gave up at the limit. */
export type Linearizability = "linearizable" | "violated" | "undecided";

/** Steps after which the search gives up. */
export const DEFAULT_STEP_LIMIT = 1_000_000;

/** Characters of remembered states after which the search gives up. */
const MEMORY_LIMIT = 50_000_000;

/** An invocation or a return, in a doubly linked list ordered by time. */
interface Node {
  readonly operation: number;
  readonly isReturn: boolean;
  previous: Node | undefined;
  next: Node | undefined;
  /** The return that belongs to an invocation. */
  match: Node | undefined;
}

/** Decides whether a history of one object is linearizable. */
export function checkLinearizable<State, Input, Output>(
  operations: readonly TimedOperation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
  stepLimit: number = DEFAULT_STEP_LIMIT,
): Linearizability {
  return new Search(operations, model, stepLimit).run();
}

class Search<State, Input, Output> {
  readonly #operations: readonly TimedOperation<Input, Output>[];
  readonly #model: SequentialModel<State, Input, Output>;
  readonly #head: Node;
  /** Operations placed so far, in order, with the state before each. */
  readonly #placed: { node: Node; before: State }[] = [];
  /** One bit per operation placed. */
  readonly #bits: Uint32Array;
  readonly #tried = new Set<string>();
  #stepsLeft: number;
  #memoryLeft = MEMORY_LIMIT;
  #mustReturn: number;

  constructor(
    operations: readonly TimedOperation<Input, Output>[],
    model: SequentialModel<State, Input, Output>,
    stepLimit: number,
  ) {
    this.#operations = operations;
    this.#model = model;
    this.#stepsLeft = stepLimit;
    this.#head = linkEvents(operations);
    this.#bits = new Uint32Array((operations.length + 31) >> 5);
    this.#mustReturn =
      operations.filter((operation) => operation.returnedAt < Infinity).length;
  }

  run(): Linearizability {
    let state = this.#model.initial;
    let node = this.#head.next;
    while (this.#mustReturn > 0) {
      if (this.#stepsLeft-- <= 0 || this.#memoryLeft <= 0) return "undecided";
      if (node !== undefined && !node.isReturn) {
        const after = this.#tryPlacing(node, state);
        if (after === undefined) {
          node = node.next;
          continue;
        }
        this.#placed.push({ node, before: state });
        state = after.state;
        node = this.#head.next;
        continue;
      }
      // A return that is not placed yet: what follows must wait for it.
      const last = this.#placed.pop();
      if (last === undefined) return "violated";
      this.#putBack(last.node);
      state = last.before;
      node = last.node.next;
    }
    return "linearizable";
  }

  #tryPlacing(node: Node, state: State): { state: State } | undefined {
    const operation = this.#operations[node.operation];
    if (operation === undefined) return undefined;
    const after = this.#model.step(state, operation.input, operation.output);
    if (after === undefined) return undefined;
    this.#flip(node.operation);
    const key = `${this.#model.key(after)}|${this.#bitsKey()}`;
    if (this.#tried.has(key)) {
      this.#flip(node.operation);
      return undefined;
    }
    this.#tried.add(key);
    this.#memoryLeft -= key.length;
    unlink(node);
    if (node.match !== undefined) unlink(node.match);
    if (operation.returnedAt < Infinity) this.#mustReturn--;
    return { state: after };
  }

  #putBack(node: Node): void {
    const operation = this.#operations[node.operation];
    if (operation !== undefined && operation.returnedAt < Infinity) {
      this.#mustReturn++;
    }
    this.#flip(node.operation);
    if (node.match !== undefined) relink(node.match);
    relink(node);
  }

  #flip(operation: number): void {
    const word = operation >> 5;
    this.#bits[word] = (this.#bits[word] ?? 0) ^ (1 << (operation & 31));
  }

  /** The placed set; full words in front are only counted. */
  #bitsKey(): string {
    let first = 0;
    while (this.#bits[first] === 0xffffffff) first++;
    let last = this.#bits.length;
    while (last > first && this.#bits[last - 1] === 0) last--;
    return `${first}:${this.#bits.subarray(first, last).join()}`;
  }
}

function linkEvents<Input, Output>(
  operations: readonly TimedOperation<Input, Output>[],
): Node {
  const events = operations.flatMap((operation, at) => {
    const call = newNode(at, operation.invokedAt, "call");
    if (operation.returnedAt === Infinity) return [call];
    const end = newNode(at, operation.returnedAt, "return");
    call.node.match = end.node;
    return [call, end];
  });
  events.sort((left, right) => left.time - right.time);
  const head = newNode(-1, 0, "call").node;
  let last = head;
  for (const { node } of events) {
    last.next = node;
    node.previous = last;
    last = node;
  }
  return head;
}

function newNode(
  operation: number,
  time: number,
  kind: "call" | "return",
): { node: Node; time: number } {
  const node: Node = {
    operation,
    isReturn: kind === "return",
    previous: undefined,
    next: undefined,
    match: undefined,
  };
  return { node, time };
}

function unlink(node: Node): void {
  if (node.previous !== undefined) node.previous.next = node.next;
  if (node.next !== undefined) node.next.previous = node.previous;
}

function relink(node: Node): void {
  if (node.previous !== undefined) node.previous.next = node;
  if (node.next !== undefined) node.next.previous = node;
}
