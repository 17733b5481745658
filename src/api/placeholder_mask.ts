import { ShapeError } from "../base/errors.ts";
import { checkTensor, type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import { findPlaceholders } from "./forward_inputs.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";

/**
 * Where pictures go: 1 at their placeholders, 0 elsewhere, [B, L, 1].
 *
 * @throws ShapeError where there are not as many placeholders as rows of features
 */
export async function placeholderMask(
  runtime: LlavaRuntime,
  input_ids: Ids | null,
  inputs_embeds: Tensor,
  image_features: Tensor,
): Promise<Tensor> {
  const { image_token_index, text_config } = runtime.config;
  const shape = [-1, -1, text_config.hidden_size];
  const embeds = checkTensor("inputs_embeds", inputs_embeds, shape, "rows, columns, hidden_size", "float32");
  const mask =
    input_ids === null
      ? await findPlaceholders(runtime, embeds, true)
      : idRows("input_ids", input_ids).map((row) => row.map((id) => id === image_token_index));
  const tokens = mask.flat().filter(Boolean).length;
  const D = embeds.shape[2];
  if (tokens * D !== image_features.data.length) {
    const rows = image_features.data.length / D;
    throw new ShapeError(
      `Image features and image tokens do not match, tokens: ${tokens}, features: ${rows}`,
      { where: "image_features", expected: tokens, got: rows },
    );
  }
  return new Tensor("int32", [mask.length, mask[0].length, 1], mask.flat().map(Number));
}
