import { checkOptions } from "../base/options.ts";
import type { Value } from "../devices/device.ts";
import type { FeatureSelection } from "../models/llava/modeling_llava.ts";
import type { Trace } from "../nn/trace.ts";
import { Tensor } from "../tensor/tensor.ts";
import { checkPixels, featureSelection } from "./forward_inputs.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";
import { BaseModelOutputWithPooling } from "./outputs.ts";

/** Arguments of `get_image_features`. */
export interface ImageFeatureOptions {
  /** [N, C, S, S] */
  pixel_values: Tensor;
  vision_feature_layer?: number | readonly number[] | null;
  vision_feature_select_strategy?: "default" | "full" | null;
  output_hidden_states?: boolean | null;
  output_attentions?: boolean | null;
  /** Our own: stops the computation. */
  signal?: AbortSignal;
}

const OPTIONS = [
  "pixel_values",
  "vision_feature_layer",
  "vision_feature_select_strategy",
  "output_hidden_states",
  "output_attentions",
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
  const trace: Trace = { hidden_states: [], attentions: options.output_attentions ? [] : undefined };
  let lengths: readonly number[] = [];
  let rows: readonly number[] = [];
  const wanted: { states: number[]; attentions: number } = { states: [], attentions: 0 };
  const [features, last, ...rest] = await runtime.device.step(
    () => {
      const result = runtime.imageFeatures(pixel_values, selection, trace);
      lengths = result.lengths;
      rows = result.tower.lengths;
      wanted.states = options.output_hidden_states
        ? trace.hidden_states.map((_, i) => i)
        : selectedStates(selection, trace);
      wanted.attentions = trace.attentions?.length ?? 0;
      const states: Value[] = wanted.states.map((i) => trace.hidden_states[i]);
      return [result.features, result.tower.last_hidden_state, ...states, ...(trace.attentions ?? [])];
    },
    { signal: options.signal },
  );
  const hidden_states: (Tensor | null)[] = trace.hidden_states.map(() => null);
  for (const [i, state] of wanted.states.entries()) hidden_states[state] = asPictures(rest[i], rows);
  const heads = runtime.config.vision_config.num_attention_heads;
  return new BaseModelOutputWithPooling({
    last_hidden_state: asPictures(last, rows),
    pooler_output: splitRows(features, lengths),
    hidden_states,
    attentions:
      trace.attentions && rest.slice(wanted.states.length).map((flat) => asMatrices(flat, rows, heads)),
  });
}

/** The hidden states that the selection names, counted from the first. */
function selectedStates({ vision_feature_layer }: FeatureSelection, { hidden_states }: Trace): number[] {
  const layers = [vision_feature_layer].flat();
  return [...new Set(layers.map((layer) => (layer < 0 ? hidden_states.length + layer : layer)))];
}

/** [N*P, V] -> [N, P, V] */
function asPictures({ shape, data }: Tensor, rows: readonly number[]): Tensor {
  return new Tensor("float32", [rows.length, shape[0] / rows.length, shape[1]], data);
}

/** [N*H*P*P] -> [N, H, P, P] */
function asMatrices({ data }: Tensor, rows: readonly number[], heads: number): Tensor {
  return new Tensor("float32", [rows.length, heads, rows[0], rows[0]], data);
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
