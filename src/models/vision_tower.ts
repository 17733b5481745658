import type { Value } from "../devices/device.ts";
import type { Module } from "../nn/module.ts";
import type { Trace } from "../nn/trace.ts";

/** What a vision tower gives. The rows of all pictures lie end to end. */
export interface VisionOutput {
  /** The last block's output, [T, D]. */
  last_hidden_state: Value;
  /** One row a picture, [N, D], where the tower has one. */
  pooler_output: Value | undefined;
  /** Rows of each picture. */
  lengths: readonly number[];
}

/** A tower that sees pictures. */
export interface VisionTower extends Module {
  /**
   * Pushes the input of the first block and each block's output to the trace.
   *
   * @param pixels [N, C, H, W]
   * @throws ShapeError where the tower does not take pictures of this size
   */
  forward(pixels: Value, trace: Trace): VisionOutput;
}
