import type { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import type { GenerateOptions } from "../../src/generation/generate_options.ts";
import { seeded } from "../random.ts";

export const COMMON = { max_new_tokens: 5, do_sample: false, pad_token_id: 0, eos_token_id: null };

/** `count` tokens of no meaning, none of which stands for a picture. */
export function words(seed: string, count: number): number[] {
  const random = seeded(seed);
  return Array.from({ length: count }, () => 3 + Math.floor(90 * random()));
}

/** Everything that a call gave, to the last bit. */
export async function answer(
  model: LlavaForConditionalGeneration,
  options: GenerateOptions,
): Promise<{ ids: unknown; logits: number[][] }> {
  const { sequences, logits, past_key_values } = await model.generate({
    ...COMMON,
    ...options,
    output_logits: true,
    return_dict_in_generate: true,
    num_beams: 1,
  });
  past_key_values?.dispose();
  return {
    ids: sequences.tolist(),
    logits: (logits ?? []).map(({ data }) => Array.from(data as Float32Array)),
  };
}
