import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { State } from "../grammar/automaton.ts";
import { type Constraint, constraintOf, type Followers } from "../grammar/constraint.ts";
import type { JSONSchema } from "../grammar/schema_keywords.ts";
import type { StoppingTokenizer } from "../token_bytes.ts";
import { type EosIds, editRows, idList, LogitsProcessor } from "./base.ts";

export interface JSONSchemaOptions {
  tokenizer: StoppingTokenizer;
  /** What the text must be; without: any JSON object. */
  schema?: JSONSchema;
  /** Tokens that end a text. */
  eos_token_id: EosIds;
  /** Tokens of an answer at most: it is led to its end before they are used up. */
  max_new_tokens?: number;
}

/**
 * Lets an answer be nothing but JSON that a schema allows, and ends it there. Our own.
 *
 * The answer is what comes after the tokens of the first call; so a processor serves one call of `generate`.
 */
export class JSONSchemaLogitsProcessor extends LogitsProcessor {
  readonly #constraint: Constraint;
  readonly #eos: readonly number[];
  readonly #budget: number;
  #promptLength: number | undefined;

  /** @throws OptionError where the schema cannot be held exactly; UnsupportedError where the tokenizer's tokens are no bytes */
  constructor(options: JSONSchemaOptions) {
    super();
    checkOptions("JSONSchemaLogitsProcessor", options, [
      "tokenizer",
      "schema",
      "eos_token_id",
      "max_new_tokens",
    ]);
    const { tokenizer, schema = { type: "object" }, eos_token_id, max_new_tokens } = options;
    this.#constraint = constraintOf(tokenizer, schema);
    this.#eos = idList(eos_token_id);
    this.#budget = max_new_tokens ?? Number.POSITIVE_INFINITY;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    this.#promptLength ??= input_ids.shape[1];
    const prompt = this.#promptLength;
    return editRows("JSONSchemaLogitsProcessor", input_ids, scores, (row, ids) => {
      const answer = Array.from(ids).slice(prompt);
      const state = this.#constraint.after(answer);
      // A row that has ended, or that was begun by somebody else.
      if (!state) return;
      const kept = row.slice();
      row.fill(Number.NEGATIVE_INFINITY);
      for (const ids of this.#followers(state, this.#budget - answer.length)) {
        for (const id of ids) row[id] = kept[id];
      }
      if (state.accepts) for (const id of this.#eos) row[id] = kept[id];
    });
  }

  /** @param left tokens that the answer may still have, the one that ends it included */
  #followers(state: State, left: number): Int32Array[] {
    const lists = this.#constraint.followers(state);
    const within = lists.map((list) => upTo(list, left - 2));
    if (state.accepts || within.some(({ length }) => length > 0)) return within;
    // There is not enough room: as near to the end as can be.
    const all = lists.map(({ distances }) =>
      distances.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
    );
    return lists.map((list) => upTo(list, Math.min(...all)));
  }
}

/** Those after which no more bytes are missing. */
function upTo({ ids, distances, farthest }: Followers, bytes: number): Int32Array {
  return farthest <= bytes ? ids : ids.filter((_, i) => distances[i] <= bytes);
}
