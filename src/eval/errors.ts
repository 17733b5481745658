import { type ErrorFacts, LlavaError } from "../base/errors.ts";

/**
 * A benchmark's files do not allow a figure, or not that one: the original program stops here too, or a file cannot
 * be read as what it should be.
 */
export class BenchmarkError extends LlavaError {
  /** The item at fault: a question's id, a line, a task. */
  readonly item: string | undefined;
  /** What had been printed before: the original prints this much and no more. */
  printed = "";

  constructor(message: string, facts: ErrorFacts & { item?: string | number | undefined } = {}) {
    super(message, facts);
    this.item = facts.item === undefined ? undefined : String(facts.item);
  }
}
