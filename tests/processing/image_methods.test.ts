import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { looksLikeRawImage, RawImage } from "../../src/image/raw_image.ts";
import { LlavaImageProcessor } from "../../src/models/llava/image_processing_llava.ts";
import { LlavaImageProcessorPil } from "../../src/models/llava/image_processing_pil_llava.ts";
import { pad } from "../../src/models/processing/image_pad.ts";
import { to_channel_dimension_format } from "../../src/models/processing/image_pixels.ts";
import {
  get_image_size_for_max_height_width,
  get_size_dict,
  get_size_with_aspect_ratio,
} from "../../src/models/processing/image_sizes.ts";
import {
  center_crop,
  normalize,
  rescale,
  resize,
  to_numpy_array,
  to_pil_image,
} from "../../src/models/processing/image_transforms.ts";
import { get_resize_output_image_size } from "../../src/models/processing/image_utils.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import recorded from "../fixtures/image/methods.json" with { type: "json" };
import { makePicture, type PictureSpec } from "../image/pictures.ts";

interface Output {
  dtype: string;
  shape: number[];
  sha256: string;
  values: number[];
}

type Callables = Record<string, (...args: unknown[]) => unknown>;

function compare(made: unknown, expected: Output): void {
  const tensor = looksLikeRawImage(made) ? to_numpy_array(new RawImage(made)) : made;
  if (!(tensor instanceof Tensor)) throw new Error("this is no tensor");
  expect(tensor).toMatchObject({ dtype: expected.dtype, shape: expected.shape });
  const step = Math.max(1, Math.floor(tensor.data.length / 12));
  expect(expected.values.map((_, i) => tensor.data[i * step])).toEqual(expected.values);
  expect(createHash("sha256").update(tensor.data).digest("hex")).toBe(expected.sha256);
}

const title = (each: object) => JSON.stringify(each).slice(0, 200);

describe("the steps of the image processors", () => {
  const processors = {
    LlavaImageProcessor: new LlavaImageProcessor(),
    LlavaImageProcessorPil: new LlavaImageProcessorPil(),
  };
  it.each(recorded.methods.map((each) => [title(each), each] as const))("%s", async (_, each) => {
    const processor = processors[each.class as keyof typeof processors];
    const isList = Array.isArray(each.images);
    const specs = (isList ? each.images : [each.images]) as PictureSpec[];
    const images = await Promise.all(specs.map(makePicture));
    const methods = processor as unknown as Callables;
    const hasOptions = Object.keys(each.options).length > 0;
    const args = [...each.args, ...(hasOptions ? [each.options] : [])];
    const made = methods[each.method].call(processor, isList ? images : images[0], ...args);
    const list = (isList ? (made as unknown[]).flat() : [made]) as unknown[];
    expect(list.length).toBe(each.outputs.length);
    for (const [i, expected] of each.outputs.entries()) compare(list[i], expected);
  });
});

describe("the helpers for arrays", () => {
  const helpers = {
    center_crop,
    normalize,
    pad,
    rescale,
    resize,
    to_channel_dimension_format,
    to_pil_image,
  } as unknown as Callables;
  it.each(recorded.helpers.map((each) => [title(each), each] as const))("%s", async (_, each) => {
    const image = await makePicture(each.image as PictureSpec);
    const hasOptions = Object.keys(each.options).length > 0;
    compare(helpers[each.name](image, ...each.args, ...(hasOptions ? [each.options] : [])), each.output);
  });
});

describe("sizes", () => {
  const functions = {
    get_image_size_for_max_height_width,
    get_resize_output_image_size: ([height, width]: number[], ...rest: [number, object]) =>
      get_resize_output_image_size(
        new Tensor("uint8", [3, height, width], new Uint8Array(3 * height * width)),
        ...rest,
      ),
    get_size_dict,
    get_size_with_aspect_ratio,
  } as unknown as Callables;
  it.each(recorded.sizes.map((each) => [title(each), each] as const))("%s", (_, each) => {
    const options = "options" in each ? [each.options] : [];
    expect(functions[each.name](...each.args, ...options)).toEqual(each.output);
  });
});
