import { OptionError } from "../base/errors.ts";
import type { ActivationName } from "../kernels/activation.ts";
import type { PreTrainedConfig } from "./configuration_utils.ts";

/** What every vision tower's config has. */
export interface VisionConfig extends PreTrainedConfig {
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_channels: number;
  /** The picture's side in pixels. */
  image_size: number;
  /** A patch's side in pixels. */
  patch_size: number;
  hidden_act: ActivationName;
  attention_dropout: number | null;
}

/** @throws OptionError where a picture does not hold one whole patch */
export function checkPatches({ image_size, patch_size }: { image_size: number; patch_size: number }): void {
  if (image_size >= patch_size) return;
  throw new OptionError(`patch_size: expected at most image_size = ${image_size}, got ${patch_size}`, {
    where: "patch_size",
    expected: image_size,
    got: patch_size,
  });
}
