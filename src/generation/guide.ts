import { warnOnce } from "../base/env.ts";
import { OptionError, ShapeError } from "../base/errors.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { GenerateOptions } from "./generate_options.ts";
import type { GuidanceModel } from "./logits_process/guidance.ts";

/** The second question that guidance asks the model. It sees tokens only, no pictures, as in Transformers. */
export class Guide {
  readonly #ask: GuidanceModel;
  #past: { dispose(): void } | undefined;

  constructor(ask: GuidanceModel) {
    this.#ask = ask;
  }

  readonly model: GuidanceModel = async (options) => {
    const { logits, past_key_values } = await this.#ask(options);
    this.#past = past_key_values as { dispose(): void } | undefined;
    return { logits, past_key_values };
  };

  /** Gives its cache back. */
  release(): void {
    this.#past?.dispose();
  }
}

/** What guidance keeps away from; nothing where the call does not say. */
export interface NegativePrompts {
  negative_prompt_ids?: Tensor;
  negative_prompt_attention_mask?: Tensor;
}

/**
 * Checks the negative prompts of a call.
 *
 * @param prompts rows of input_ids
 * @param copies continuations of each: a prompt's negative one serves them all, unless there is one for each
 * @throws ShapeError where they do not fit; OptionError where one has nothing at its end to go on from
 */
export function negativePrompts(
  { negative_prompt_ids, negative_prompt_attention_mask }: GenerateOptions,
  { guidance_scale }: GenerationConfig,
  prompts: number,
  copies: number,
): NegativePrompts {
  if (!negative_prompt_ids && !negative_prompt_attention_mask) return {};
  if (guidance_scale === null || guidance_scale === 1) {
    warnOnce("generate: negative_prompt_ids have no effect without a guidance_scale other than 1");
  }
  if (!negative_prompt_ids) {
    throw new OptionError("negative_prompt_attention_mask: there are no negative_prompt_ids", {
      where: "negative_prompt_attention_mask",
    });
  }
  const ids = idRows("negative_prompt_ids", negative_prompt_ids);
  if ((ids.length !== prompts && ids.length !== prompts * copies) || ids[0].length === 0) {
    const expected = copies === 1 ? `${prompts}` : `${prompts} or ${prompts * copies}`;
    throw new ShapeError(
      `negative_prompt_ids: expected ${expected} rows of tokens, got shape [${ids.length}, ${ids[0]?.length ?? 0}]`,
      { where: "negative_prompt_ids", expected: prompts, got: ids.length },
    );
  }
  const each = (prompts * copies) / ids.length;
  const tensor = (rows: readonly number[][]): Tensor => {
    const all = rows.flatMap((row) => Array.from({ length: each }, () => row));
    return new Tensor("int32", [all.length, ids[0].length], all.flat());
  };
  const mask = negative_prompt_attention_mask && tensor(checkedMask(negative_prompt_attention_mask, ids));
  return { negative_prompt_ids: tensor(ids), negative_prompt_attention_mask: mask ?? undefined };
}

function checkedMask(given: Ids, ids: readonly number[][]): number[][] {
  const where = "negative_prompt_attention_mask";
  const mask = idRows(where, given);
  if (mask.length !== ids.length || mask[0].length !== ids[0].length) {
    throw new ShapeError(
      `${where}: expected shape [${ids.length}, ${ids[0].length}], got [${mask.length}, ${mask[0]?.length ?? 0}]`,
      { where, expected: [ids.length, ids[0].length], got: [mask.length, mask[0]?.length ?? 0] },
    );
  }
  const padded = mask.findIndex((row) => row[row.length - 1] === 0);
  if (padded < 0) return mask;
  throw new OptionError(`${where}: row ${padded} ends in padding. Pad negative prompts on the left.`, {
    where,
    got: padded,
  });
}
