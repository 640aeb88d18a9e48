/**
 * What a search looks for.
 *
 * @module
 */

/** A property of Raft does not hold (thesis, figure 3.2). */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Violation";
  }
}
