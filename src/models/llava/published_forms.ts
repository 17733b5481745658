import { warnOnce } from "../../base/env.ts";
import { CheckpointError } from "../../base/errors.ts";
import type { Weights } from "../../hub/weights.ts";
import { moduleKey } from "./checkpoint_keys.ts";
import type { LlavaConfig } from "./configuration_llava.ts";

/** Names that only files of the program of LLaVA's authors have. */
const ORIGINAL = /^model\.(mm_projector|vision_tower\.vision_tower)\./;

/**
 * Refuses the form of LLaVA's authors, which has other names, other files and other prompts.
 *
 * @throws CheckpointError saying which form to take
 */
export function refuseOriginalForm(config: LlavaConfig, weights: Weights): void {
  const name = weights.names().find((tensor) => ORIGINAL.test(tensor));
  const key = ["mm_vision_tower", "mm_projector_type"].find((field) => field in config);
  if (name === undefined && key === undefined) return;
  throw new CheckpointError(
    `${name ?? `config.json: ${key}`}: the checkpoint is in the form of the original LLaVA program, which is not read. ` +
      "Take one that was converted for Transformers, such as llava-hf/llava-1.5-7b-hf.",
    { where: name ?? key, tensors: name === undefined ? [] : [name] },
  );
}

/**
 * Some programs drop `head_dim` when they save a config. It is then thought to be hidden_size / num_attention_heads;
 * where the shapes of the weights agree on another one, that is taken.
 */
export function restoreHeadDim({ text_config }: LlavaConfig, weights: Weights): void {
  const config = text_config as unknown as Record<string, unknown>;
  const { hidden_size, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim } = config;
  if (typeof hidden_size !== "number" || typeof heads !== "number" || typeof kvHeads !== "number") return;
  if (head_dim !== Math.floor(hidden_size / heads)) return;
  const size = rows(weights, "q_proj") / heads;
  if (size === head_dim || !Number.isInteger(size) || size !== rows(weights, "k_proj") / kvHeads) return;
  config.head_dim = size;
  warnOnce(
    `config.json says nothing of head_dim, or ${head_dim}; by the shapes of the weights it is ${size}`,
  );
}

/** The outputs of a projection of the first layer. */
function rows(weights: Weights, projection: string): number {
  const wanted = `model.language_model.layers.0.self_attn.${projection}.weight`;
  const name = weights.names().find((tensor) => moduleKey(tensor) === wanted);
  return name === undefined ? Number.NaN : weights.get(name).shape[0];
}
