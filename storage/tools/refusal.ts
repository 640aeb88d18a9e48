/**
 * What a tool will not do.
 *
 * @module
 */

/**
 * A tool refuses: nothing is wrong with the files as such, but what was asked
 * for would do harm. Nothing was changed.
 */
export class Refusal extends Error {
  /** Makes one with a message for people. */
  constructor(message: string) {
    super(message);
    this.name = "Refusal";
  }
}
