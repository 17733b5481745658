import { OptionError } from "../../base/errors.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { maximum } from "../probabilities.ts";
import { editRows, LogitsProcessor, plainIds } from "./base.ts";
import type { PrefixAllowedTokensFn } from "./bias.ts";

/**
 * Lets only those tokens come that a function allows. Where each beam of a prompt has none of them left, they are all
 * taken as equally likely, so that the constraint holds.
 */
export class PrefixConstrainedLogitsProcessor extends LogitsProcessor {
  readonly #allowed: PrefixAllowedTokensFn;
  readonly #beams: number;

  constructor(prefix_allowed_tokens_fn: PrefixAllowedTokensFn, num_beams: number) {
    super();
    this.#allowed = prefix_allowed_tokens_fn;
    this.#beams = num_beams;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const allowed = this.#allowedOf(input_ids);
    const possible = new Set<number>();
    const constrained = editRows("PrefixConstrainedLogitsProcessor", input_ids, scores, (row, _, i) => {
      const kept = allowed[i].map((id) => [id, row[id]] as const);
      row.fill(Number.NEGATIVE_INFINITY);
      for (const [id, score] of kept) row[id] = score;
      if (maximum(row) !== Number.NEGATIVE_INFINITY) possible.add(Math.floor(i / this.#beams));
    });
    return editRows("PrefixConstrainedLogitsProcessor", input_ids, constrained, (row, _, i) => {
      if (!possible.has(Math.floor(i / this.#beams))) for (const id of allowed[i]) row[id] = 0;
    });
  }

  /** What each row may go on with. */
  #allowedOf(input_ids: Tensor): (readonly number[])[] {
    const [rows, length] = input_ids.shape;
    const ids = plainIds(input_ids);
    return Array.from({ length: rows }, (_, row) => {
      const text = new Tensor("int32", [length], ids.slice(row * length, (row + 1) * length));
      const prompt = Math.floor(row / this.#beams);
      const allowed = this.#allowed(prompt, text);
      if (allowed.length > 0) return allowed;
      throw new OptionError(
        `prefix_allowed_tokens_fn gave no token for prompt ${prompt}, so nothing can be generated there`,
        { where: "prefix_allowed_tokens_fn", got: allowed },
      );
    });
  }
}
