import { afterAll, describe, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { OptionError, ShapeError } from "../../src/base/errors.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { Expected, expectClose, folderOf } from "./expected.ts";

const opened: LlavaForConditionalGeneration[] = [];
afterAll(async () => {
  for (const model of opened) await model.dispose();
});

async function open(checkpoint: string): Promise<[LlavaForConditionalGeneration, Expected]> {
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint));
  opened.push(model);
  return [model, await Expected.read(checkpoint)];
}

function picture(...shape: number[]): Tensor {
  return new Tensor("float32", shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5));
}

function concatenated(parts: readonly Tensor[]): Tensor {
  const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const flat = parts.flatMap(({ data }) => Array.from(data as Float32Array));
  return new Tensor("float32", [rows, parts[0].shape[1]], flat);
}

describe.each([
  ["clip-mistral-f32", [3, 20, 20], [4, 6]],
  ["siglip-qwen2-bf16", [3, 13, 13], [5, 7]],
] as const)("the tower of %s", (checkpoint, size, [rows, columns]) => {
  test("pictures of another size, with stretched positions", async () => {
    const [model, expected] = await open(checkpoint);
    const pixel_values = expected.tensor("interpolated.pixel_values");
    const out = await model.get_image_features({ pixel_values, interpolate_pos_encoding: true });
    expect(out.pooler_output.map(({ shape }) => shape[0])).toEqual([rows * columns, rows * columns]);
    expectClose(concatenated(out.pooler_output), expected.tensor("interpolated.features"));
    // its own size: nothing is stretched
    const own = { ...expected.pictures(), interpolate_pos_encoding: true };
    expectClose(
      concatenated((await model.get_image_features(own)).pooler_output),
      expected.tensor("features"),
    );
  });

  test("a picture of the wrong size names both sizes", async () => {
    const [model] = await open(checkpoint);
    const [C, H, W] = size;
    const both = new RegExp(`${C} x 8 x ${W} .*${C} x ${H} x ${W}`);
    const low = { pixel_values: picture(2, C, 8, W) };
    await expect(model.get_image_features(low)).rejects.toThrow(both);
    await expect(model.get_image_features(low)).rejects.toThrow(ShapeError);
    const input_ids = [[1, 101, 5]];
    await expect(model({ input_ids, ...low })).rejects.toThrow(both);
    await expect(model.generate({ input_ids, ...low, max_new_tokens: 1 })).rejects.toThrow(both);
    const grey = { pixel_values: picture(1, 1, H, W), interpolate_pos_encoding: true };
    await expect(model.get_image_features(grey)).rejects.toThrow(`1 x ${H} x ${W} (channels`);
    const tiny = { pixel_values: picture(1, C, H, 3), interpolate_pos_encoding: true };
    await expect(model.get_image_features(tiny)).rejects.toThrow(`${C} x ${H} x 3 (channels`);
  });

  test("image_sizes are for towers that take pictures of any size", async () => {
    const [model, expected] = await open(checkpoint);
    const image_sizes = [
      [12, 12],
      [12, 12],
      [12, 12],
    ];
    const sized = model.get_image_features({ ...expected.pictures(), image_sizes });
    await expect(sized).rejects.toThrow(OptionError);
    await expect(sized).rejects.toThrow(/image_sizes/);
  });
});

describe("Pixtral's tower", () => {
  test("features of each picture, and of the whole padded area where nothing says how large they are", async () => {
    const [model, expected] = await open("pixtral-mistral-bf16");
    const out = await model.get_image_features(expected.pictures());
    expect(out.pooler_output.map(({ shape }) => shape[0])).toEqual([15, 8, 9]);
    expect(out.last_hidden_state.shape).toEqual([1, 32, 20]);
    const { pixel_values } = expected.pictures();
    const whole = await model.get_image_features({ pixel_values });
    expect(whole.pooler_output.length).toBe(1);
    expectClose(whole.pooler_output[0], expected.tensor("whole.features"));
    const tuple = await model.get_image_features({ pixel_values, return_dict: false });
    expect((tuple[1] as Tensor[])[0].tolist()).toEqual(whole.pooler_output[0].tolist());
    // the first row of all goes, not the first of each picture
    const dropped = { pixel_values, vision_feature_select_strategy: "default" } as const;
    expect((await model.get_image_features(dropped)).pooler_output[0].shape[0]).toBe(3 * 20 - 1);
  });

  test("image_sizes as a tensor", async () => {
    const [model, expected] = await open("pixtral-mistral-bf16");
    const { pixel_values, image_sizes = [] } = expected.pictures();
    const sizes = new Tensor("int32", [3, 2], image_sizes.flat());
    const out = await model.get_image_features({ pixel_values, image_sizes: sizes });
    expectClose(concatenated(out.pooler_output), expected.tensor("features"));
  });

  test("sizes that cannot be are said", async () => {
    const [model, expected] = await open("pixtral-mistral-bf16");
    const { pixel_values, image_sizes = [] } = expected.pictures();
    const features = (options: object) => model.get_image_features({ pixel_values, image_sizes, ...options });
    await expect(features({ image_sizes: image_sizes.slice(1) })).rejects.toThrow(/each of the 3 pictures/);
    await expect(features({ image_sizes: [[24, 23], ...image_sizes.slice(1)] })).rejects.toThrow(
      /from 4 .* to \[18, 23\].* got \[24,23\]/,
    );
    await expect(features({ image_sizes: [[3, 23], ...image_sizes.slice(1)] })).rejects.toThrow(ShapeError);
    await expect(features({ image_sizes: image_sizes.map(([h]) => [h]) })).rejects.toThrow(ShapeError);
    await expect(features({ interpolate_pos_encoding: true })).rejects.toThrow(OptionError);
    await expect(features({ vision_feature_select_strategy: "default" })).rejects.toThrow(/take "full"/);
    await expect(features({ pixel_values: picture(3, 3, 18, 3) })).rejects.toThrow(/3 x 18 x 3/);
  });
});
