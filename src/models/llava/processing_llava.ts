import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { isRecord } from "../config_fields.ts";
import { ProcessorMixin } from "../processing/processing_utils.ts";
import type { ProcessorInit } from "../processing/processor_parts.ts";
import { countSetting, tokenIdOf, tokenSetting } from "../processing/processor_settings.ts";

/** What a LlavaProcessor is made of. */
export interface LlavaProcessorInit extends ProcessorInit {
  /** Edge of a patch of the vision tower, in pixels. */
  patch_size?: number | null;
  /** As in the model's config: `"default"` leaves the first feature of each picture out. */
  vision_feature_select_strategy?: string | null;
  /** What stands for a picture, where the tokenizer does not say. */
  image_token?: string;
  /** Features beside those of patches: 1 for a tower with a class token, else 0. */
  num_additional_image_tokens?: number;
}

const INIT = [
  "patch_size",
  "vision_feature_select_strategy",
  "chat_template",
  "image_token",
  "num_additional_image_tokens",
];

/** LLaVA's processor: each place holder becomes as many picture tokens as the picture has features. */
export class LlavaProcessor extends ProcessorMixin {
  static override readonly processor_class = "LlavaProcessor";
  static override readonly own_init = INIT;

  patch_size: number | null;
  vision_feature_select_strategy: string | null;
  num_additional_image_tokens: number;
  image_token: string;
  image_token_id: number;

  /** @throws OptionError where a part is missing, or a setting is none */
  constructor(init: LlavaProcessorInit = {}) {
    checkOptions("LlavaProcessor", init, ["image_processor", "tokenizer", ...INIT]);
    super(init);
    this.patch_size = countSetting("patch_size", init.patch_size ?? null, 1);
    this.vision_feature_select_strategy = init.vision_feature_select_strategy ?? null;
    this.num_additional_image_tokens =
      countSetting("num_additional_image_tokens", init.num_additional_image_tokens ?? 0, 0) ?? 0;
    this.image_token = tokenSetting(
      "image_token",
      this.tokenizer.image_token ?? init.image_token ?? "<image>",
    );
    this.image_token_id = tokenIdOf(this.tokenizer, this.image_token);
  }

  /** The picture token as often as the processed picture has features. */
  override replace_image_token(image_inputs: Readonly<Record<string, unknown>>, image_idx: number): string {
    if (this.patch_size === null) {
      throw new OptionError(
        "LlavaProcessor: patch_size is not known, as neither processor_config.json nor config.json says it. Set processor.patch_size, and vision_feature_select_strategy and num_additional_image_tokens too.",
        { where: "patch_size" },
      );
    }
    const [height, width] = sizeOf(image_inputs.pixel_values, image_idx);
    const patches = Math.floor(height / this.patch_size) * Math.floor(width / this.patch_size);
    const left = this.vision_feature_select_strategy === "default" ? 1 : 0;
    return this.image_token.repeat(Math.max(0, patches + this.num_additional_image_tokens - left));
  }

  protected override ownSettings(): Record<string, unknown> {
    return {
      image_token: this.image_token,
      num_additional_image_tokens: this.num_additional_image_tokens,
      patch_size: this.patch_size,
      vision_feature_select_strategy: this.vision_feature_select_strategy,
    };
  }

  /** Checkpoints of before 2025 say these things in config.json alone. */
  static override settingsFromConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
    if (config.model_type !== "llava") return {};
    const vision = isRecord(config.vision_config) ? config.vision_config : {};
    return {
      patch_size: vision.patch_size ?? 14,
      vision_feature_select_strategy: config.vision_feature_select_strategy ?? "default",
      num_additional_image_tokens: (vision.model_type ?? "clip_vision_model") === "clip_vision_model" ? 1 : 0,
    };
  }
}

/** Height and width of a processed picture, [C, H, W]. */
function sizeOf(pixel_values: unknown, index: number): [number, number] {
  if (pixel_values instanceof Tensor) return [pixel_values.shape[2], pixel_values.shape[3]];
  const picture = (pixel_values as number[][][][])[index];
  return [picture[0].length, picture[0][0].length];
}
