import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ImageError, OptionError, ShapeError, UnsupportedError } from "../../src/base/errors.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import { CLIPImageProcessor, CLIPImageProcessorFast } from "../../src/models/clip/image_processing_clip.ts";
import { CLIPImageProcessorPil } from "../../src/models/clip/image_processing_pil_clip.ts";
import {
  LlavaImageProcessor,
  LlavaImageProcessorFast,
} from "../../src/models/llava/image_processing_llava.ts";
import { LlavaImageProcessorPil } from "../../src/models/llava/image_processing_pil_llava.ts";
import { PixtralImageProcessorPil } from "../../src/models/pixtral/image_processing_pil_pixtral.ts";
import { PixtralImageProcessor } from "../../src/models/pixtral/image_processing_pixtral.ts";
import type { ImageInput } from "../../src/models/processing/image_inputs.ts";
import type { PreprocessOptions } from "../../src/models/processing/image_signatures.ts";
import { SiglipImageProcessorPil } from "../../src/models/siglip/image_processing_pil_siglip.ts";
import { SiglipImageProcessor } from "../../src/models/siglip/image_processing_siglip.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import recorded from "../fixtures/image/methods.json" with { type: "json" };
import { noise } from "../image/noise.ts";
import { pictureUrl } from "../image/pictures.ts";

const CLASSES = {
  CLIPImageProcessor,
  CLIPImageProcessorPil,
  LlavaImageProcessor,
  LlavaImageProcessorPil,
  PixtralImageProcessor,
  PixtralImageProcessorPil,
  SiglipImageProcessor,
  SiglipImageProcessorPil,
};

const picture = (height: number, width: number, channels = 3) =>
  new RawImage({ height, width, channels, data: noise(1, height * width * channels) });
const small = { size: { height: 6, width: 7 }, do_center_crop: false } as const;

describe("what a processor says of itself", () => {
  it.each(recorded.dicts.map((each) => [JSON.stringify(each).slice(0, 150), each] as const))(
    "%s",
    (_, { class: name, init, options, dict, json }) => {
      const processorClass = CLASSES[name as keyof typeof CLASSES] as unknown as typeof CLIPImageProcessor;
      const processor = processorClass.from_dict(init, options as object);
      expect(processor.to_dict()).toEqual(dict);
      // Python writes a whole number that is a float with a point; none is here.
      expect(processor.to_json_string()).toBe(json);
    },
  );

  it("attributes are read and set as in Python", async () => {
    const processor = new CLIPImageProcessor({ size: 30, crop_size: [9, 11] });
    expect(processor.size).toEqual({ shortest_edge: 30 });
    expect(processor.crop_size).toEqual({ height: 9, width: 11 });
    expect(processor.image_mean).toEqual([0.48145466, 0.4578275, 0.40821073]);
    processor.do_center_crop = false;
    const { pixel_values } = await processor(picture(60, 40));
    expect(pixel_values.shape).toEqual([1, 3, 45, 30]);
    expect(processor.to_dict()).toMatchObject({ do_center_crop: false });
  });

  it("defaults are of each processor its own", () => {
    const first = new CLIPImageProcessor();
    if (first.size) first.size.shortest_edge = 1;
    expect(new CLIPImageProcessor().size).toEqual({ shortest_edge: 224 });
  });

  it("an unknown key of a file never replaces a method", async () => {
    const dict = JSON.parse(
      '{ "pad": true, "resize": 3, "__proto__": { "size": 1 }, "to_dict": null, "length": 5 }',
    );
    const processor = CLIPImageProcessor.from_dict({ ...small, ...dict });
    expect((await processor(picture(9, 8))).pixel_values.shape).toEqual([1, 3, 6, 7]);
    expect(processor.to_dict()).toMatchObject({ pad: true, resize: 3, length: 5 });
  });

  it("the older names are the same classes", () => {
    expect(CLIPImageProcessorFast).toBe(CLIPImageProcessor);
    expect(LlavaImageProcessorFast).toBe(LlavaImageProcessor);
    expect(new LlavaImageProcessor().backend).toBe("torchvision");
    expect(new LlavaImageProcessorPil().backend).toBe("pil");
    expect(new PixtralImageProcessor().model_input_names).toEqual(["pixel_values", "image_sizes"]);
  });

  it("from_dict: options go before the dict, unknown ones throw or come back", () => {
    const processor = CLIPImageProcessor.from_dict({ size: 9, extra: 1 }, { size: 5, do_resize: undefined });
    expect(processor.size).toEqual({ shortest_edge: 5 });
    expect(processor.do_resize).toBe(true);
    expect(() => CLIPImageProcessor.from_dict({}, { sise: 5 } as object)).toThrow(/'sise'.*'size'/);
    const options = { size: 5, foo: 2, return_unused_kwargs: true } as const;
    const [made, unused] = CLIPImageProcessor.from_dict({}, options);
    expect(made.size).toEqual({ shortest_edge: 5 });
    expect(unused).toEqual({ foo: 2 });
  });
});

describe("what a call takes and gives", () => {
  const processor = new CLIPImageProcessor(small);
  const one = picture(9, 8);

  it("tensors unless return_tensors is null, which gives nested arrays, unequal ones too", async () => {
    for (const return_tensors of [undefined, "pt", "np"] as const) {
      const { pixel_values } = await processor([one, one], { return_tensors });
      expect(pixel_values).toBeInstanceOf(Tensor);
      expect(pixel_values.shape).toEqual([2, 3, 6, 7]);
    }
    const nested = await processor([one, picture(5, 9)], { return_tensors: null, do_resize: false });
    const pictures = nested.pixel_values as number[][][][];
    expect(pictures.map((planes) => [planes.length, planes[0].length, planes[0][0].length])).toEqual([
      [3, 9, 8],
      [3, 5, 9],
    ]);
    const { pixel_values } = await processor(picture(5, 9), { do_resize: false });
    expect(pictures[1]).toEqual((pixel_values.tolist() as number[][][][])[0]);
  });

  it("its own enumerable keys are its data", async () => {
    const pixtral = new PixtralImageProcessor({ size: { longest_edge: 32 } });
    const inputs = await pixtral(picture(40, 20));
    expect(Object.keys({ ...inputs })).toEqual(["pixel_values", "image_sizes"]);
    expect(inputs.image_sizes.tolist()).toEqual([[32, 16]]);
    const nested = await pixtral(picture(40, 20), { return_tensors: null });
    expect(nested.image_sizes).toEqual([[32, 16]]);
  });

  it("preprocess and __call__ are the same", async () => {
    const called = (await processor(one)).pixel_values;
    expect((await processor.preprocess(one)).pixel_values).toEqual(called);
    expect((await processor.__call__(one)).pixel_values).toEqual(called);
  });

  it("paths, bytes and addresses are loaded, alpha dropped; a RawImage with alpha is laid on white", async () => {
    const file = fileURLToPath(pictureUrl("rgba.png"));
    const [fromPath] = await processor.fetch_images([file]);
    if (!(fromPath instanceof RawImage)) throw new Error("no picture");
    expect(fromPath.channels).toBe(3);
    const { pixel_values } = await processor([file, fromPath]);
    const half = pixel_values.data.length / 2;
    expect(pixel_values.data.slice(0, half)).toEqual(pixel_values.data.slice(half));
    const clear = new RawImage({ width: 2, height: 1, channels: 4, data: new Uint8Array(8) });
    const white = new RawImage({ width: 2, height: 1, channels: 3, data: new Uint8Array(6).fill(255) });
    expect((await processor(clear)).pixel_values).toEqual((await processor(white)).pixel_values);
  });

  it("lists of lists are made one list, and arrays of 4 dimensions taken apart", async () => {
    const array = new Tensor("uint8", [2, 3, 9, 8], noise(2, 432));
    expect((await processor([[one], [one, array]])).pixel_values.shape).toEqual([4, 3, 6, 7]);
    expect((await processor([[one], []])).pixel_values.shape).toEqual([1, 3, 6, 7]);
    const fetched = await processor.fetch_images([[one], [array]]);
    expect(fetched).toEqual([[one], [array]]);
  });

  it("data_format, disable_grouping and image_seq_length change nothing", async () => {
    const plain = (await processor(one)).pixel_values;
    const options = { data_format: "channels_last", disable_grouping: true, image_seq_length: 5 } as const;
    expect((await processor(one, { ...options, device: "cpu" })).pixel_values).toEqual(plain);
  });

  it("an aborted signal ends it", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(processor(one, { signal })).rejects.toThrow("enough");
  });
});

describe("what a call refuses", () => {
  const one = picture(9, 8);
  const grey = new Tensor("uint8", [9, 8], noise(1, 72));
  type Refused = [string, ImageInput, object, typeof OptionError | typeof ShapeError, RegExp];
  const refused: Refused[] = [
    ["an unknown option", one, { do_rezise: true }, OptionError, /'do_rezise'.*'do_resize'/],
    ["a wrong type", one, { do_resize: "yes" }, OptionError, /'do_resize' must be true or false/],
    ["a text as factor", one, { rescale_factor: "1" }, OptionError, /'rescale_factor'/],
    ["another tensor type", one, { return_tensors: "mlx" }, OptionError, /'return_tensors'.*"pt" or "np"/],
    ["another device", one, { device: "cuda" }, OptionError, /'device'/],
    ["another filter", one, { resample: 6 }, OptionError, /'resample'.*0 to 5/],
    ["a size without sense", one, { size: { height: 3 } }, OptionError, /size must have one of/],
    ["a size with another key", one, { size: { height: 3, wide: 4 } }, OptionError, /size must have one of/],
    ["a size of nothing", one, { size: { height: 3, width: 0 } }, OptionError, /size.width/],
    ["a fraction as size", one, { size: 3.5 }, OptionError, /size.shortest_edge/],
    ["a size of three", one, { size: [1, 2, 3] }, OptionError, /size must be/],
    ["the longest edge alone", one, { size: { longest_edge: 9 } }, OptionError, /shortest_edge/],
    ["a count of pixels", one, { size: { min_pixels: 9, max_pixels: 20 } }, OptionError, /shortest_edge/],
    ["an enormous size", one, { size: { height: 500_000, width: 500_000 } }, OptionError, /500000 x 500000/],
    [
      "a crop without width",
      one,
      { do_center_crop: true, crop_size: { shortest_edge: 3 } },
      OptionError,
      /crop_size/,
    ],
    ["no factor", one, { rescale_factor: null }, OptionError, /rescale_factor must be given/],
    ["no mean", one, { image_mean: null }, OptionError, /image_mean must be given/],
    ["no crop size", one, { do_center_crop: true, crop_size: null }, OptionError, /crop_size must be given/],
    ["no size", one, { size: null }, OptionError, /size must be given/],
    ["no filter", one, { resample: null }, OptionError, /resample must be given/],
    ["two means", one, { image_mean: [0.1, 0.2] }, OptionError, /image_mean has 2 values.*3 channels/],
    ["a deviation of 0", one, { image_std: [1, 0, 1] }, OptionError, /image_std/],
    ["unequal sizes", [one, picture(5, 9)], { do_resize: false }, ShapeError, /unequal sizes.*padding/],
    ["two dimensions", grey, {}, ShapeError, /3 dimensions/],
    [
      "no layout",
      new Tensor("uint8", [5, 6, 7], noise(1, 210)),
      {},
      ShapeError,
      /Cannot tell the channel axis/,
    ],
    ["nothing", [], {}, OptionError, /no picture/],
    ["null", null as unknown as ImageInput, {}, OptionError, /got null/],
    ["a number", [3] as unknown as ImageInput, {}, OptionError, /got number/],
    [
      "a list among pictures",
      [one, [one]] as unknown as ImageInput,
      {},
      OptionError,
      /a list among pictures/,
    ],
    ["an object", {} as unknown as ImageInput, {}, OptionError, /expected a path/],
    [
      "other kinds of pictures",
      one,
      { image_like_kwargs: { masks: [] } },
      UnsupportedError,
      /image_like_kwargs/,
    ],
  ];
  it.each(refused)("%s", async (_, images, options, errorClass, message) => {
    for (const processorClass of [CLIPImageProcessor, LlavaImageProcessorPil]) {
      const processor = new processorClass(small);
      const error = await processor(images, options as PreprocessOptions).then(
        () => new Error("it did not fail"),
        (reason: Error) => reason,
      );
      expect(error).toBeInstanceOf(errorClass);
      expect(error.message).toMatch(message);
    }
  });

  it("what only one arithmetic has", async () => {
    const torchvision = new CLIPImageProcessor(small);
    await expect(torchvision(one, { resample: 4 })).rejects.toBeInstanceOf(UnsupportedError);
    await expect(torchvision(one, { resample: 5 })).rejects.toBeInstanceOf(UnsupportedError);
    const floats = new Tensor(
      "float32",
      [3, 9, 8],
      Float32Array.from(noise(1, 216), (x) => x / 10),
    );
    await expect(new CLIPImageProcessorPil(small)(floats)).rejects.toBeInstanceOf(OptionError);
    await expect(torchvision(floats)).resolves.toBeDefined();
    const llava = new LlavaImageProcessor({ ...small, do_pad: true, do_normalize: false, image_mean: null });
    await expect(llava(one)).rejects.toThrow(/image_mean/);
    const pil = new LlavaImageProcessorPil({ ...small, do_pad: true, do_normalize: false, image_mean: null });
    await expect(pil(one)).resolves.toBeDefined();
  });

  it("a picture so narrow that it would fill the memory", async () => {
    const narrow = new RawImage({ width: 20_000, height: 1, channels: 1, data: new Uint8Array(20_000) });
    const before = process.memoryUsage().arrayBuffers;
    await expect(new CLIPImageProcessor()(narrow)).rejects.toThrow(/20000 x 1 .* 4480000 x 224/);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5e6);
  });

  it("a picture that cannot be loaded, by its name", async () => {
    const processor = new CLIPImageProcessor();
    await expect(processor("/no/such/cat.png")).rejects.toBeInstanceOf(ImageError);
    await expect(processor([picture(9, 8), "/no/such/cat.png"])).rejects.toThrow("/no/such/cat.png");
  });

  it("sizes without sense in a constructor", () => {
    expect(() => new CLIPImageProcessor({ size: { width: 3 } })).toThrow(OptionError);
    expect(() => new CLIPImageProcessor({ crop_size: "a" as unknown as number })).toThrow(OptionError);
    expect(() =>
      new PixtralImageProcessor().resize(new Tensor("uint8", [3, 2, 2], noise(1, 12)), {}),
    ).toThrow(/longest_edge/);
  });
});
