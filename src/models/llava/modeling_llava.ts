import { OptionError } from "../../base/errors.ts";
import type { Value } from "../../devices/device.ts";
import { type ActivationName, activationNamed } from "../../kernels/activation.ts";
import { act, concatColumns, takeRows } from "../../nn/functional.ts";
import { Linear } from "../../nn/layers.ts";
import { Module } from "../../nn/module.ts";
import type { Rows } from "../../nn/rows.ts";
import type { Trace } from "../../nn/trace.ts";
import { textModelOf, visionTowerOf } from "../auto/modeling_auto.ts";
import type { TextModel } from "../text_model.ts";
import type { VisionOutput, VisionTower } from "../vision_tower.ts";
import type { LlavaConfig } from "./configuration_llava.ts";

/** Which of the tower's outputs the picture's features are taken from. */
export interface FeatureSelection {
  /** Index of a hidden state, or several; negative ones count from the end. */
  vision_feature_layer: number | readonly number[];
  /** "default" drops each picture's first row (the class token), "full" keeps all. */
  vision_feature_select_strategy: string;
}

/** A picture's way from the tower to the language model. */
export interface ImageFeatures {
  tower: VisionOutput;
  /** Rows of all pictures, end to end: [sum L, D]. */
  features: Value;
  /** Rows of each picture. */
  lengths: readonly number[];
}

export class LlavaMultiModalProjector extends Module {
  linear_1: Linear;
  linear_2: Linear;
  #act: ActivationName;

  constructor(config: LlavaConfig) {
    super();
    const { vision_feature_layer: layer, multimodal_projector_bias: bias } = config;
    const layers = Array.isArray(layer) ? layer.length : 1;
    const size = config.text_config.hidden_size;
    this.linear_1 = new Linear(config.vision_config.hidden_size * layers, size, bias);
    this.linear_2 = new Linear(size, size, bias);
    this.#act = activationNamed(config.projector_hidden_act, "projector_hidden_act");
  }

  // [T, V*k] -> [T, D]
  forward(x: Value): Value {
    return this.linear_2.forward(act(this.linear_1.forward(x), this.#act));
  }
}

/** The modules of `LlavaModel`: tower, projector, language model without its head. */
export class LlavaModule extends Module {
  vision_tower: VisionTower;
  multi_modal_projector: LlavaMultiModalProjector;
  language_model: TextModel;

  constructor(config: LlavaConfig) {
    super();
    this.vision_tower = visionTowerOf(config.vision_config);
    this.multi_modal_projector = new LlavaMultiModalProjector(config);
    this.language_model = textModelOf(config.text_config);
  }

  // [N, C, H, W] -> [sum L, D]
  imageFeatures(pixels: Value, selection: FeatureSelection, trace: Trace): ImageFeatures {
    const tower = this.vision_tower.forward(pixels, trace);
    const { vision_feature_layer: layer, vision_feature_select_strategy: strategy } = selection;
    const rows = selectedRows(tower.lengths, strategy);
    const chosen = [layer].flat().map((i) => takeRows(hiddenState(trace, i), rows)); // [sum L, V] each
    const features = this.multi_modal_projector.forward(concatColumns(chosen)); // [sum L, D]
    const dropped = strategy === "default" ? 1 : 0;
    return { tower, features, lengths: tower.lengths.map((n) => n - dropped) };
  }
}

/** The modules of `LlavaForConditionalGeneration`. */
export class LlavaForConditionalGenerationModule extends Module {
  model: LlavaModule;
  lm_head: Linear;

  constructor(config: LlavaConfig) {
    super();
    const { vocab_size, hidden_size } = config.text_config;
    this.model = new LlavaModule(config);
    this.lm_head = new Linear(hidden_size, vocab_size, false);
    if (config.tie_word_embeddings) this.lm_head.weight = this.model.language_model.embed_tokens.weight;
  }

  // embeddings [T, D] -> [T, D]
  forward(x: Value, rows: Rows, trace?: Trace): Value {
    return this.model.language_model.forward(x, rows, trace);
  }
}

/** The rows that the strategy keeps, of pictures laid end to end. */
function selectedRows(lengths: readonly number[], strategy: string): number[] {
  if (strategy !== "default" && strategy !== "full") {
    throw new OptionError(
      `vision_feature_select_strategy: expected "default" or "full", got ${JSON.stringify(strategy)}`,
      { where: "vision_feature_select_strategy", expected: ["default", "full"], got: strategy },
    );
  }
  const kept: number[] = [];
  let first = 0;
  for (const length of lengths) {
    for (let i = strategy === "default" ? 1 : 0; i < length; i++) kept.push(first + i);
    first += length;
  }
  return kept;
}

function hiddenState({ hidden_states }: Trace, layer: number): Value {
  const state = hidden_states.at(layer);
  if (state) return state;
  throw new OptionError(
    `vision_feature_layer: ${layer} is out of range, the tower has ${hidden_states.length} hidden states`,
    { where: "vision_feature_layer", expected: hidden_states.length, got: layer },
  );
}
