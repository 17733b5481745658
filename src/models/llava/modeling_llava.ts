import { OptionError, ShapeError } from "../../base/errors.ts";
import type { Value } from "../../devices/device.ts";
import { type ActivationName, activationNamed } from "../../kernels/activation.ts";
import { act, concatColumns, takeRows } from "../../nn/functional.ts";
import { Linear } from "../../nn/layers.ts";
import { Module } from "../../nn/module.ts";
import type { Rows } from "../../nn/rows.ts";
import type { Trace } from "../../nn/trace.ts";
import { textModelOf, visionTowerOf } from "../auto/modeling_auto.ts";
import type { TextModel } from "../text_model.ts";
import type { VisionOptions, VisionOutput, VisionTower } from "../vision_tower.ts";
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
    this.linear_1 = new Linear(config.vision_config.hidden_size * layers, size, bias, "least");
    this.linear_2 = new Linear(size, size, bias, "least");
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
    // With 4 bits its features are ten times as wrong as those of PyTorch in bfloat16, with 8 a third more wrong: what the
    // first layers lose goes through all others.
    for (const [name, parameter] of this.vision_tower.named_parameters())
      if (parameter.loss === "much") parameter.loss = /\blayers\.[012]\./.test(name) ? "least" : "little";
    this.multi_modal_projector = new LlavaMultiModalProjector(config);
    this.language_model = textModelOf(config.text_config);
  }

  // [N, C, H, W] -> [sum L, D]
  imageFeatures(
    pixels: Value,
    selection: FeatureSelection,
    options: VisionOptions,
    trace: Trace,
  ): ImageFeatures {
    const tower = this.vision_tower.forward(pixels, options, trace);
    const sequences = this.vision_tower.merged ? [sum(tower.lengths)] : tower.lengths;
    const { vision_feature_layer: layer, vision_feature_select_strategy: strategy } = selection;
    const kept = keptRows(sequences, strategy);
    const chosen = [layer].flat().map((i) => takeRows(hiddenState(trace, i), kept.flat())); // [sum L, V] each
    const features = this.multi_modal_projector.forward(concatColumns(chosen)); // [sum L, D]
    const lengths = options.image_sizes ? tower.lengths : kept.map((rows) => rows.length);
    if (sum(lengths) !== features.shape[0]) throw cannotDrop(lengths);
    return { tower, features, lengths };
  }
}

/** The modules of `LlavaForConditionalGeneration`. */
export class LlavaForConditionalGenerationModule extends Module {
  model: LlavaModule;
  lm_head: Linear;

  /** @param tied whether the head is the table of token embeddings */
  constructor(config: LlavaConfig, tied = config.tie_word_embeddings) {
    super();
    const { vocab_size, hidden_size } = config.text_config;
    this.model = new LlavaModule(config);
    this.lm_head = new Linear(hidden_size, vocab_size, false, "little");
    if (tied) {
      this.lm_head.weight = this.model.language_model.embed_tokens.weight;
      this.lm_head.weight.multiplied = true;
    }
  }

  // embeddings [T, D] -> [T, D]
  forward(x: Value, rows: Rows, trace?: Trace): Value {
    return this.model.language_model.forward(x, rows, trace);
  }
}

/** The rows that the strategy keeps of each sequence, of sequences laid end to end. */
function keptRows(lengths: readonly number[], strategy: string): number[][] {
  if (strategy !== "default" && strategy !== "full") {
    throw new OptionError(
      `vision_feature_select_strategy: expected "default" or "full", got ${JSON.stringify(strategy)}`,
      { where: "vision_feature_select_strategy", expected: ["default", "full"], got: strategy },
    );
  }
  let next = 0;
  return lengths.map((length) => {
    const rows = Array.from({ length }, () => next++);
    return strategy === "default" ? rows.slice(1) : rows;
  });
}

/** A tower without class tokens has no row to drop; what would be left cannot be shared out among the pictures. */
function cannotDrop(lengths: readonly number[]): ShapeError {
  return new ShapeError(
    `vision_feature_select_strategy: "default" drops a class token, which pictures with image_sizes do not have ` +
      `(${lengths.join(" + ")} rows); take "full"`,
    { where: "vision_feature_select_strategy", expected: "full", got: "default" },
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

function hiddenState({ hidden_states }: Trace, layer: number): Value {
  const state = hidden_states.at(layer);
  if (state) return state;
  throw new OptionError(
    `vision_feature_layer: ${layer} is out of range, the tower has ${hidden_states.length} hidden states`,
    { where: "vision_feature_layer", expected: hidden_states.length, got: layer },
  );
}
