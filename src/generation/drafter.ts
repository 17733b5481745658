import { OptionError } from "../base/errors.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type PromptLookupRules, promptLookup } from "./assisted.ts";
import type { LogitsProcessorList } from "./logits_process/base.ts";
import type { GenerationCall } from "./strategy.ts";

/** Tokens that may come next. */
export interface Draft {
  tokens: readonly number[];
  /** What they were chosen by, [V] each; without, they are guesses. */
  scores?: readonly Float32Array[];
}

/** Proposes tokens that the model then looks at all at once. */
export interface Drafter {
  /** @param tokens the row, prompt and padding included */
  propose(tokens: readonly number[]): Promise<Draft>;
  /** Told after each look how many tokens were proposed, and how many of them stay. */
  judged(proposed: number, kept: number): void;
  /** Gives back what it holds. */
  release(): void;
}

/** Proposes what followed the latest tokens where they stood before. */
export class PromptLookup implements Drafter {
  readonly #rules: PromptLookupRules;

  /** @throws OptionError for settings that need a draft model's scores */
  constructor({ config, model }: GenerationCall, processors: LogitsProcessorList) {
    if (config.assistant_ensemble_weight !== null) {
      throw new OptionError(
        "assistant_ensemble_weight weighs what a draft model says; prompt lookup has none",
        {
          where: "assistant_ensemble_weight",
          got: config.assistant_ensemble_weight,
        },
      );
    }
    const blank = new Tensor("float32", [1, model.vocab_size], new Float32Array(model.vocab_size).fill(1));
    this.#rules = {
      num_output_tokens: config.prompt_lookup_num_tokens ?? 0,
      max_matching_ngram_size: config.max_matching_ngram_size ?? 2,
      max_length: config.max_length ?? 0,
      eos_token_id: config.eos_token_id === null ? null : [config.eos_token_id].flat(),
      forbidden: async (ids, token) => {
        const { data } = await processors(new Tensor("int32", [1, ids.length], [...ids]), blank);
        return data[token] === Number.NEGATIVE_INFINITY || data[token] === LOWEST;
      },
    };
  }

  async propose(tokens: readonly number[]): Promise<Draft> {
    return { tokens: await promptLookup(tokens, this.#rules) };
  }

  judged(): void {}

  release(): void {}
}

/** The least float32 number: what some processors give in place of minus infinity. */
const LOWEST = Math.fround(-3.4028234663852886e38);
