import { checkOptions } from "../base/options.ts";
import type { Value } from "../devices/device.ts";
import type { FeatureSelection } from "../models/llava/modeling_llava.ts";
import type { VisionOptions, VisionOutput, VisionTower } from "../models/vision_tower.ts";
import type { Trace } from "../nn/trace.ts";
import type { Ids } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import { checkPixels, checkSizes, featureSelection } from "./forward_inputs.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";
import { BaseModelOutputWithPooling } from "./outputs.ts";

/** Arguments of `get_image_features`. */
export interface ImageFeatureOptions {
  /** [N, C, H, W] */
  pixel_values: Tensor;
  /** `[N, 2]`: height and width of each picture without padding, for a tower that takes pictures of any size. */
  image_sizes?: Ids | null;
  /** Takes pictures of any size, by stretching the positions of a tower that has learned them. */
  interpolate_pos_encoding?: boolean | null;
  vision_feature_layer?: number | readonly number[] | null;
  vision_feature_select_strategy?: "default" | "full" | null;
  output_hidden_states?: boolean | null;
  output_attentions?: boolean | null;
  /** false: an array in place of an object. */
  return_dict?: boolean | null;
  /** Our own: stops the computation. */
  signal?: AbortSignal;
}

const OPTIONS = [
  "pixel_values",
  "image_sizes",
  "interpolate_pos_encoding",
  "vision_feature_layer",
  "vision_feature_select_strategy",
  "output_hidden_states",
  "output_attentions",
  "return_dict",
  "signal",
] as const satisfies readonly (keyof ImageFeatureOptions)[];

/** Runs tower and projector, and brings the numbers to the host. */
export async function imageFeatures(
  runtime: LlavaRuntime,
  options: ImageFeatureOptions,
): Promise<BaseModelOutputWithPooling> {
  checkOptions("get_image_features", options, OPTIONS);
  const pixel_values = checkPixels(options.pixel_values);
  const selection = featureSelection(runtime, options);
  const vision: VisionOptions = {
    image_sizes: checkSizes(options.image_sizes),
    interpolate_pos_encoding: options.interpolate_pos_encoding ?? false,
  };
  const trace: Trace = { hidden_states: [], attentions: options.output_attentions ? [] : undefined };
  let lengths: readonly number[] = [];
  let layout: Layout = { lengths: [], merged: false };
  const wanted: { states: number[]; attentions: number } = { states: [], attentions: 0 };
  const [features, last, ...rest] = await runtime.device.step(
    () => {
      const result = runtime.imageFeatures(pixel_values, selection, vision, trace);
      lengths = result.lengths;
      layout = { lengths: result.tower.lengths, merged: runtime.model.vision_tower.merged };
      wanted.states = options.output_hidden_states
        ? trace.hidden_states.map((_, i) => i)
        : selectedStates(selection, trace);
      wanted.attentions = trace.attentions?.length ?? 0;
      const states: Value[] = wanted.states.map((i) => trace.hidden_states[i]);
      return [result.features, result.tower.last_hidden_state, ...states, ...(trace.attentions ?? [])];
    },
    { signal: options.signal, prompt: true },
  );
  const hidden_states: (Tensor | null)[] = trace.hidden_states.map(() => null);
  for (const [i, state] of wanted.states.entries()) hidden_states[state] = asSequences(rest[i], layout);
  const heads = runtime.config.vision_config.num_attention_heads;
  return new BaseModelOutputWithPooling({
    last_hidden_state: asSequences(last, layout),
    pooler_output: splitRows(features, lengths),
    hidden_states,
    attentions:
      trace.attentions && rest.slice(wanted.states.length).map((flat) => asMatrices(flat, layout, heads)),
  });
}

/** The hidden states that the selection names, counted from the first. */
function selectedStates({ vision_feature_layer }: FeatureSelection, { hidden_states }: Trace): number[] {
  const layers = [vision_feature_layer].flat();
  return [...new Set(layers.map((layer) => (layer < 0 ? hidden_states.length + layer : layer)))];
}

/** How the tower's rows are shown. */
type Layout = Pick<VisionOutput, "lengths"> & Pick<VisionTower, "merged">;

/** [T, V] -> [N, P, V], or [1, T, V] where the pictures are one sequence */
function asSequences({ shape: [T, V], data }: Tensor, { lengths, merged }: Layout): Tensor {
  const N = merged ? 1 : lengths.length;
  return new Tensor("float32", [N, T / N, V], data);
}

/** A block [H, P, P] a picture -> [N, H, P, P], or [1, H, T, T] where the pictures are one sequence */
function asMatrices({ data }: Tensor, { lengths, merged }: Layout, heads: number): Tensor {
  if (!merged) return new Tensor("float32", [lengths.length, heads, lengths[0], lengths[0]], data);
  const T = lengths.reduce((a, b) => a + b, 0);
  const out = new Float32Array(heads * T * T);
  let [from, first] = [0, 0];
  for (const P of lengths) {
    for (let h = 0; h < heads; h++)
      for (let row = first; row < first + P; row++) {
        out.set((data as Float32Array).subarray(from, from + P), (h * T + row) * T + first);
        from += P;
      }
    first += P;
  }
  return new Tensor("float32", [1, heads, T, T], out);
}

/** [sum L, D] -> [L, D] each */
function splitRows({ shape, data }: Tensor, lengths: readonly number[]): Tensor[] {
  const D = shape[1];
  let from = 0;
  return lengths.map((length) => {
    const part = data.slice(from, from + length * D);
    from += length * D;
    return new Tensor("float32", [length, D], part);
  });
}
