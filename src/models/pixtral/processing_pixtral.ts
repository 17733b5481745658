import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { ImagesKwargs } from "../processing/image_kwargs.ts";
import { ProcessorMixin } from "../processing/processing_utils.ts";
import type { ProcessorInit } from "../processing/processor_parts.ts";
import { countSetting, tokenIdOf, tokenSetting } from "../processing/processor_settings.ts";

/** What a PixtralProcessor is made of. */
export interface PixtralProcessorInit extends ProcessorInit {
  /** Edge of a patch of the vision tower, in pixels. */
  patch_size?: number;
  /** How many patches in a row the model merges into one. */
  spatial_merge_size?: number;
  image_token?: string;
  image_break_token?: string;
  image_end_token?: string;
}

const INIT = [
  "patch_size",
  "spatial_merge_size",
  "chat_template",
  "image_token",
  "image_break_token",
  "image_end_token",
];

/** Pixtral's processor: a picture is rows of picture tokens with a break after each, the last one an end. */
export class PixtralProcessor extends ProcessorMixin {
  static override readonly processor_class = "PixtralProcessor";
  static override readonly own_init = INIT;

  patch_size: number;
  spatial_merge_size: number;
  image_token: string;
  image_token_id: number;
  image_break_token: string;
  image_break_token_id: number;
  image_end_token: string;
  image_end_token_id: number;

  /** @throws OptionError where a part is missing, or a setting is none */
  constructor(init: PixtralProcessorInit = {}) {
    checkOptions("PixtralProcessor", init, ["image_processor", "tokenizer", ...INIT]);
    super(init);
    this.patch_size = countSetting("patch_size", init.patch_size ?? 16, 1) ?? 16;
    this.spatial_merge_size = countSetting("spatial_merge_size", init.spatial_merge_size ?? 1, 1) ?? 1;
    this.image_token = tokenSetting("image_token", init.image_token ?? "[IMG]");
    this.image_break_token = tokenSetting("image_break_token", init.image_break_token ?? "[IMG_BREAK]");
    this.image_end_token = tokenSetting("image_end_token", init.image_end_token ?? "[IMG_END]");
    this.image_token_id = tokenIdOf(this.tokenizer, this.image_token);
    this.image_break_token_id = tokenIdOf(this.tokenizer, this.image_break_token);
    this.image_end_token_id = tokenIdOf(this.tokenizer, this.image_end_token);
  }

  override get image_token_ids(): number[] {
    return [this.image_token_id, this.image_break_token_id, this.image_end_token_id];
  }

  override get model_input_names(): string[] {
    return [...this.tokenizer.model_input_names, ...this.image_processor.model_input_names];
  }

  /** Rows of picture tokens for the patches of a processed picture. */
  override replace_image_token(image_inputs: Readonly<Record<string, unknown>>, image_idx: number): string {
    const edge = this.patch_size * this.spatial_merge_size;
    const { image_sizes } = image_inputs;
    const sizes = (image_sizes instanceof Tensor ? image_sizes.tolist() : image_sizes) as number[][];
    const [rows, columns] = sizes[image_idx].map((length) => Math.floor(length / edge));
    const row = this.image_token.repeat(columns);
    return Array<string>(rows).fill(row).join(this.image_break_token) + this.image_end_token;
  }

  protected override imageOptions(): ImagesKwargs & Readonly<Record<string, unknown>> {
    return { patch_size: this.patch_size * this.spatial_merge_size };
  }

  protected override ownSettings(): Record<string, unknown> {
    return {
      image_break_token: this.image_break_token,
      image_end_token: this.image_end_token,
      image_token: this.image_token,
      patch_size: this.patch_size,
      spatial_merge_size: this.spatial_merge_size,
    };
  }
}
