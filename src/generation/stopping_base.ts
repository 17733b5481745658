import { Callable } from "../base/callable.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Scores of the last step [B, V], or of all steps. */
export type StoppingScores = Tensor | readonly Tensor[] | null;

/** For each row whether it ends; one answer is for all rows. */
export type StoppingAnswer = boolean | readonly boolean[];

/** What a criterion may be told beside ids and scores. */
export interface StoppingOptions {
  /** How many of the latest tokens are new; 1 where left out. */
  new_token_length?: number;
}

/**
 * A criterion as `generate` takes them: a function or an instance, which may take its time.
 * It may ask for narrower scores than it is given: hence the detour by a method's type.
 */
export type StoppingFunction = {
  call(
    input_ids: Tensor,
    scores: StoppingScores,
    options?: StoppingOptions,
  ): StoppingAnswer | Promise<StoppingAnswer>;
}["call"];

const CallableCriterion = Callable as unknown as abstract new () => (
  input_ids: Tensor,
  scores?: StoppingScores,
  options?: StoppingOptions,
) => boolean[];

/** Base of what says that a text is at its end. */
export abstract class StoppingCriteria extends CallableCriterion {
  abstract __call__(input_ids: Tensor, scores?: StoppingScores, options?: StoppingOptions): boolean[];
}
