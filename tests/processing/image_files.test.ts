import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CheckpointError, OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { AutoImageProcessor } from "../../src/models/auto/image_processing_auto.ts";
import { CLIPImageProcessor } from "../../src/models/clip/image_processing_clip.ts";
import { CLIPImageProcessorPil } from "../../src/models/clip/image_processing_pil_clip.ts";
import { LlavaImageProcessor } from "../../src/models/llava/image_processing_llava.ts";
import { LlavaImageProcessorPil } from "../../src/models/llava/image_processing_pil_llava.ts";
import { PixtralImageProcessor } from "../../src/models/pixtral/image_processing_pixtral.ts";
import { SiglipImageProcessorPil } from "../../src/models/siglip/image_processing_pil_siglip.ts";
import { SiglipImageProcessor } from "../../src/models/siglip/image_processing_siglip.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "processors-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
/** A folder with these files. */
async function checkpoint(files: Record<string, unknown>): Promise<string> {
  const directory = join(folder, `checkpoint-${count++}`);
  await mkdir(directory);
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await writeFile(join(directory, name), text);
  }
  return directory;
}

describe("from_pretrained", () => {
  it("reads preprocessor_config.json, options going before it", async () => {
    const directory = await checkpoint({
      "preprocessor_config.json": { size: 336, crop_size: 330, do_convert_rgb: null, resample: 2, zap: [1] },
    });
    const processor = await CLIPImageProcessor.from_pretrained(directory, { resample: 0, crop_size: [3, 4] });
    expect(processor).toBeInstanceOf(CLIPImageProcessor);
    expect(processor.size).toEqual({ shortest_edge: 336 });
    expect(processor.crop_size).toEqual({ height: 3, width: 4 });
    expect(processor.do_convert_rgb).toBeNull();
    expect(processor.resample).toBe(0);
    expect(processor.to_dict().zap).toEqual([1]);
  });

  it("prefers image_processor inside processor_config.json", async () => {
    const files = {
      "processor_config.json": { patch_size: 14, image_processor: { size: 30 } },
      "preprocessor_config.json": { size: 336 },
    };
    const nested = await CLIPImageProcessor.from_pretrained(await checkpoint(files));
    expect(nested.size).toEqual({ shortest_edge: 30 });
    const flat = { ...files, "processor_config.json": { patch_size: 14 } };
    const plain = await CLIPImageProcessor.from_pretrained(await checkpoint(flat));
    expect(plain.size).toEqual({ shortest_edge: 336 });
    const alone = await checkpoint({ "processor_config.json": files["processor_config.json"] });
    expect((await CLIPImageProcessor.from_pretrained(alone)).size).toEqual({ shortest_edge: 30 });
  });

  it("takes a JSON file's path, another file's name, and gives back what it does not know", async () => {
    const directory = await checkpoint({ "my.json": { size: 17 }, "preprocessor_config.json": { size: 18 } });
    const byPath = await CLIPImageProcessor.from_pretrained(join(directory, "my.json"));
    expect(byPath.size).toEqual({ shortest_edge: 17 });
    const options = { image_processor_filename: "my.json", local_files_only: true } as const;
    expect((await CLIPImageProcessor.from_pretrained(directory, options)).size).toEqual({
      shortest_edge: 17,
    });
    expect((await CLIPImageProcessor.from_json_file(join(directory, "my.json"))).size).toEqual({
      shortest_edge: 17,
    });
    const unknown = { do_resize: false, foo: 1, return_unused_kwargs: true } as const;
    const [processor, unused] = await CLIPImageProcessor.from_pretrained(directory, unknown);
    expect([processor.do_resize, unused]).toEqual([false, { foo: 1 }]);
    const [dict, rest] = await CLIPImageProcessor.get_image_processor_dict(directory, { size: 3 });
    expect([dict, rest]).toEqual([{ size: 18 }, { size: 3 }]);
  });

  it("says what is wrong", async () => {
    const directory = await checkpoint({ "preprocessor_config.json": { size: 18 } });
    const wrong = CLIPImageProcessor.from_pretrained(directory, { do_resise: 1 } as object);
    await expect(wrong).rejects.toThrow(/'do_resise'.*'do_resize'/);
    const empty = CLIPImageProcessor.from_pretrained(await checkpoint({}));
    await expect(empty).rejects.toThrow(/there is no preprocessor_config.json/);
    await expect(empty).rejects.toBeInstanceOf(CheckpointError);
    for (const text of ["{ size: ", "[1, 2]", '"text"']) {
      const broken = CLIPImageProcessor.from_pretrained(
        await checkpoint({ "preprocessor_config.json": text }),
      );
      await expect(broken).rejects.toBeInstanceOf(CheckpointError);
      await expect(broken).rejects.toThrow(/preprocessor_config.json/);
    }
    const nested = { "processor_config.json": { image_processor: 3 } };
    await expect(CLIPImageProcessor.from_pretrained(await checkpoint(nested))).rejects.toBeInstanceOf(
      CheckpointError,
    );
    const sizes = { "preprocessor_config.json": { size: { height: -1, width: 4 } } };
    await expect(CLIPImageProcessor.from_pretrained(await checkpoint(sizes))).rejects.toBeInstanceOf(
      OptionError,
    );
  });
});

describe("saving", () => {
  it("gives the same processor back, the type without Pil", async () => {
    const processor = new LlavaImageProcessorPil({
      size: 30,
      do_pad: true,
      extra: { a: [1] },
      crop_size: 20,
    });
    const directory = join(folder, "saved", "deep");
    const [file] = await processor.save_pretrained(directory);
    expect(file).toBe(join(directory, "preprocessor_config.json"));
    const json = JSON.parse(await readFile(file, "utf8"));
    expect(json).toEqual(processor.to_dict());
    expect(json.image_processor_type).toBe("LlavaImageProcessor");
    const again = await AutoImageProcessor.from_pretrained(directory, { backend: "pil" });
    expect(again).toBeInstanceOf(LlavaImageProcessorPil);
    expect(again.to_dict()).toEqual(processor.to_dict());
    const copy = join(folder, "copy.json");
    await processor.to_json_file(copy);
    expect(await readFile(copy, "utf8")).toBe(processor.to_json_string());
    await expect(processor.save_pretrained(copy)).rejects.toBeInstanceOf(CheckpointError);
  });

  // There it parts folders.
  it.skipIf(process.platform === "win32")("is written to a file whose name has a backslash", async () => {
    const file = join(folder, "a\\b.json");
    const processor = new LlavaImageProcessorPil({ size: 30 });
    await processor.to_json_file(file);
    expect(await readFile(file, "utf8")).toBe(processor.to_json_string());
  });
});

describe("AutoImageProcessor", () => {
  const auto = async (preprocessor: object, options = {}, files = {}) =>
    AutoImageProcessor.from_pretrained(
      await checkpoint({ "preprocessor_config.json": preprocessor, ...files }),
      options,
    );

  it.each([
    ["CLIPImageProcessor", CLIPImageProcessor],
    ["CLIPImageProcessorFast", CLIPImageProcessor],
    ["CLIPFeatureExtractor", CLIPImageProcessor],
    ["LlavaImageProcessor", LlavaImageProcessor],
    ["LlavaImageProcessorPil", LlavaImageProcessor],
    ["SiglipImageProcessor", SiglipImageProcessor],
    ["PixtralImageProcessorFast", PixtralImageProcessor],
  ])("%s", async (image_processor_type, expected) => {
    const processor = await auto({ image_processor_type, size: { height: 30, width: 20 } });
    expect(processor.constructor).toBe(expected);
    expect(processor.size).toEqual({ height: 30, width: 20 });
  });

  it("takes the older name, or the model's type, where there is no other", async () => {
    const older = await auto({ feature_extractor_type: "SiglipFeatureExtractor" });
    expect(older.constructor).toBe(SiglipImageProcessor);
    const byModel = await auto({}, {}, { "config.json": { model_type: "llava" } });
    expect(byModel.constructor).toBe(LlavaImageProcessor);
    expect((await auto({}, { config: { model_type: "pixtral" } })).constructor).toBe(PixtralImageProcessor);
  });

  it("takes the backend that is asked for", async () => {
    const type = { image_processor_type: "CLIPImageProcessor" };
    expect((await auto(type, { backend: "pil" })).constructor).toBe(CLIPImageProcessorPil);
    expect((await auto(type, { backend: "torchvision" })).constructor).toBe(CLIPImageProcessor);
    expect((await auto(type, { use_fast: false })).constructor).toBe(CLIPImageProcessorPil);
    expect((await auto(type, { use_fast: true })).constructor).toBe(CLIPImageProcessor);
    const siglip = { image_processor_type: "SiglipImageProcessor" };
    expect((await auto(siglip, { backend: "pil", use_fast: true })).constructor).toBe(
      SiglipImageProcessorPil,
    );
    await expect(auto(type, { backend: "cuda" })).rejects.toBeInstanceOf(OptionError);
  });

  it("says what is wrong", async () => {
    const unknown = auto({ image_processor_type: "VitImageProcessor" });
    await expect(unknown).rejects.toBeInstanceOf(UnsupportedError);
    await expect(unknown).rejects.toThrow(/VitImageProcessor.*CLIPImageProcessor/);
    await expect(auto({})).rejects.toThrow(/image_processor_type/);
    await expect(auto({}, {}, { "config.json": { model_type: "bert" } })).rejects.toBeInstanceOf(
      CheckpointError,
    );
    const wrong = auto({ image_processor_type: "CLIPImageProcessor" }, { bakend: "pil" });
    await expect(wrong).rejects.toBeInstanceOf(OptionError);
    expect(() => new AutoImageProcessor()).toThrow(/from_pretrained/);
  });
});
