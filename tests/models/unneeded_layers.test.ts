import { expect, test } from "vitest";
import type { Value } from "../../src/devices/device.ts";
import type { Recording } from "../../src/devices/recording_device.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { CLIPVisionConfig } from "../../src/models/clip/configuration_clip.ts";
import { CLIPVisionModel } from "../../src/models/clip/modeling_clip.ts";
import type { Trace } from "../../src/nn/trace.ts";
import { sizeOf, Tensor } from "../../src/tensor/tensor.ts";

/** Counts what is computed. */
class Counting extends ReferenceDevice {
  readonly computed = new Map<string, number>();

  protected override needed(
    recording: Recording,
    outputs: readonly Value[],
  ): ReturnType<ReferenceDevice["needed"]> {
    const needed = super.needed(recording, outputs);
    this.computed.clear();
    for (const { kernel } of needed.commands)
      this.computed.set(kernel.name, (this.computed.get(kernel.name) ?? 0) + 1);
    return needed;
  }
}

const config = new CLIPVisionConfig({
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 5,
  num_attention_heads: 2,
  image_size: 6,
  patch_size: 3,
});

test.each([
  [-1, 5],
  [-2, 4],
  [2, 2],
  [0, 0],
])("hidden state %i of a tower of five layers takes %i of them", async (layer, expected) => {
  const device = new Counting();
  const tower = new CLIPVisionModel(config);
  for (const [, parameter] of tower.named_parameters())
    parameter.value = device.allocate({ dtype: "float32", shape: parameter.shape });
  await device.step(() => {
    const trace: Trace = { hidden_states: [] };
    const shape = [1, 3, 6, 6];
    tower.forward(device.upload(new Tensor("float32", shape, new Float32Array(sizeOf(shape)))), {}, trace);
    return [trace.hidden_states.at(layer) as Value];
  });
  expect(device.computed.get("attention") ?? 0).toBe(expected);
  expect(device.computed.get("patches")).toBe(1);
});
