import { OptionError, ShapeError } from "../base/errors.ts";
import type { Value } from "../devices/device.ts";
import type { Module } from "../nn/module.ts";
import type { Trace } from "../nn/trace.ts";

/** What a vision tower gives. The rows of all pictures lie end to end. */
export interface VisionOutput {
  /** [T, V] */
  last_hidden_state: Value;
  /** Rows of each picture. A picture's rows see one another, and no others. */
  lengths: readonly number[];
}

/** What may be said of the pictures. A tower throws an OptionError for what it has no use for. */
export interface VisionOptions {
  /** Height and width of each picture, in pixels, without the padding at its right and bottom: [N, 2]. */
  image_sizes?: readonly (readonly number[])[];
  /** Takes pictures of other sizes than the tower's, and stretches its positions. */
  interpolate_pos_encoding?: boolean;
}

/** A tower that sees pictures. */
export interface VisionTower extends Module {
  /** Whether the pictures count as one sequence [1, T, V], not as N of equal length. */
  readonly merged: boolean;
  /**
   * Pushes the input of the first block and each block's output to the trace.
   *
   * @param pixels [N, C, H, W]
   * @throws ShapeError where the tower does not take pictures of this size
   */
  forward(pixels: Value, options: VisionOptions, trace: Trace): VisionOutput;
}

/** @throws OptionError where a tower has no use for one of the options */
export function refuseOption(
  tower: string,
  options: VisionOptions,
  name: keyof VisionOptions,
  why: string,
): void {
  if (options[name] === undefined || options[name] === false) return;
  throw new OptionError(`${name}: ${tower} does not take it: ${why}`, { where: name });
}

/** The error for pictures of the wrong size. Sizes are channels, height, width. */
export function wrongPicture(
  tower: string,
  got: readonly number[],
  expected: readonly (number | "any")[],
): ShapeError {
  return new ShapeError(
    `${tower}: the picture is ${got.join(" x ")} (channels, height, width), the tower takes ` +
      `${expected.join(" x ")}. Do size and crop_size of the image processor fit the model?`,
    { where: "pixel_values", expected, got },
  );
}
