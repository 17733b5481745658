import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import { env } from "../../src/base/env.ts";
import {
  CheckpointError,
  ImageError,
  LlavaError,
  OptionError,
  ShapeError,
  UnsupportedError,
} from "../../src/base/errors.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import { AutoProcessor } from "../../src/models/auto/processing_auto.ts";
import { AutoTokenizer } from "../../src/models/auto/tokenization_auto.ts";
import { CLIPImageProcessor } from "../../src/models/clip/image_processing_clip.ts";
import { LlavaProcessor, type LlavaProcessorInit } from "../../src/models/llava/processing_llava.ts";
import { PixtralImageProcessor } from "../../src/models/pixtral/image_processing_pixtral.ts";
import { PixtralProcessor } from "../../src/models/pixtral/processing_pixtral.ts";
import type { ProcessorMixin } from "../../src/models/processing/processing_utils.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { readJson, repositoryPath } from "../text/support.ts";

type Outcome = { result?: unknown; error?: string };
type Call = { name: string; processor: string; args: Record<string, unknown> } & Outcome;
type Chat = { name: string; conversation: unknown; options: Record<string, unknown> } & Outcome;
type Form = { name: string; error?: string; [attribute: string]: unknown };

interface Fixture {
  sizes: [number, number][];
  image_processor: Record<string, unknown>;
  settings: Record<string, LlavaProcessorInit>;
  calls: Call[];
  chats: Chat[];
  pixtral: Call[];
  "pixtral config": Record<string, unknown>;
  "llava config": Record<string, unknown>;
  forms: Form[];
}

const fixture = readJson<Fixture>("tests/fixtures/processors/processors.json");
const DEMO = repositoryPath("checkpoints/llava-demo");
const { chat_template } = readJson<{ chat_template: string }>("checkpoints/llava-demo/chat_template.json");

const logger = env.logger;
const warnings: string[] = [];
let folder: string;
beforeAll(async () => {
  env.logger = (message) => warnings.push(message);
  folder = await mkdtemp(join(tmpdir(), "processor-"));
});
afterAll(async () => {
  env.logger = logger;
  await rm(folder, { recursive: true });
});

/** The pictures of the fixture. */
const PICTURES = fixture.sizes.map(([width, height], k) => {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    data[i] = x * 7 + y * 13 + c * 50 + k * 31;
  }
  return new RawImage({ width, height, channels: 3, data });
});

function fill(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fill);
  if (typeof value !== "object" || value === null) return value;
  if ("picture" in value) return PICTURES[value.picture as number];
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item)]));
}

const llavas = new Map<string, LlavaProcessor>();
for (const [name, settings] of Object.entries(fixture.settings)) {
  llavas.set(
    name,
    new LlavaProcessor({
      image_processor: new CLIPImageProcessor(fixture.image_processor),
      tokenizer: await AutoTokenizer.from_pretrained("llava-demo", {
        padding_side: name.includes("right") ? "right" : "left",
      }),
      chat_template,
      ...settings,
    }),
  );
}
const llava = llavas.get("default + 1") as LlavaProcessor;

/** Runs of one number as [number, times], as in the fixture. */
function runs(ids: number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const id of ids) {
    const last = found.at(-1);
    if (last?.[0] === id) last[1]++;
    else found.push([id, 1]);
  }
  return found;
}

const AS_THEY_ARE = ["text_replacement_offsets", "offset_mapping", "image_sizes", "length"];

/** An output in the form of the fixture, pixels apart. */
function shortened(output: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(output)
      .filter(([key]) => key !== "pixel_values")
      .map(([key, value]) => {
        const rows = value instanceof Tensor ? value.tolist() : value;
        if (key === "text_replacement_offsets") {
          const cut = (entry: { replacement: string }) => ({
            ...entry,
            replacement: [entry.replacement.slice(0, 12), entry.replacement.length],
          });
          return [key, (rows as { replacement: string }[][]).map((row) => row.map(cut))];
        }
        return [key, AS_THEY_ARE.includes(key) ? rows : (rows as number[][]).map(runs)];
      }),
  );
}

interface PictureRecord {
  shape: number[];
  mean: number;
  some: number[];
}

function expectPixels(pixels: unknown, expected: PictureRecord[]): void {
  const pictures = (pixels instanceof Tensor ? pixels.tolist() : pixels) as number[][][][];
  expect(pictures.length).toBe(expected.length);
  for (const [i, { shape, mean, some }] of expected.entries()) {
    const flat = pictures[i].flat(2);
    expect([pictures[i].length, pictures[i][0].length, pictures[i][0][0].length]).toEqual(shape);
    expect(Math.abs(flat.reduce((sum, x) => sum + x, 0) / flat.length - mean)).toBeLessThan(1e-5);
    const step = Math.max(1, Math.floor(flat.length / 5));
    const seen = flat.filter((_, k) => k % step === 0);
    for (const [k, x] of seen.entries()) expect(Math.abs(x - some[k])).toBeLessThan(1e-5);
  }
}

/** Compares an output with Python's, or, where Python failed, expects an error of ours. */
async function compare({ result, error }: Outcome, run: () => Promise<unknown>): Promise<void> {
  if (error !== undefined) return void (await expect(run()).rejects.toThrow(LlavaError));
  const output = await run();
  if (typeof output === "string" || (Array.isArray(output) && typeof output[0] === "string")) {
    expect(output).toEqual(result);
  } else if (Array.isArray(output) || output instanceof Tensor) {
    const rows = (output instanceof Tensor ? output.tolist() : output) as number[][];
    expect(rows.map(runs)).toEqual(result);
  } else {
    const { pixel_values, ...expected } = result as { pixel_values?: PictureRecord[] };
    expect(shortened(output as object)).toEqual(expected);
    expect("pixel_values" in (output as object)).toBe(pixel_values !== undefined);
    if (pixel_values) expectPixels((output as { pixel_values: unknown }).pixel_values, pixel_values);
  }
}

describe("LlavaProcessor", () => {
  it.each(fixture.calls)("$processor: $name", async ({ processor, args, ...expected }) => {
    const one = llavas.get(processor) as LlavaProcessor;
    const lists = { return_tensors: null, ...(fill(args) as object) };
    await compare(expected, async () => one(lists));
  });

  it.each(fixture.chats)("chat: $name", async ({ conversation, options, ...expected }) => {
    const given = { return_tensors: null, ...(fill(options) as object) };
    await compare(expected, async () => llava.apply_chat_template(fill(conversation) as [], given));
  });

  it("gives tensors unless told otherwise", async () => {
    const inputs = await llava({ images: PICTURES[0], text: "<image> a" });
    expect([inputs.input_ids.dtype, inputs.pixel_values.dtype]).toEqual(["int32", "float32"]);
    expect(inputs.pixel_values.shape).toEqual([1, 3, 28, 42]);
    expect(inputs.input_ids.shape).toEqual(inputs.attention_mask.shape);
    expect(Object.keys({ ...inputs }).sort()).toEqual(["attention_mask", "input_ids", "pixel_values"]);
    const same = await llava({
      images: PICTURES[0],
      text: "<image> a",
      common_kwargs: { return_tensors: "np" },
    });
    expect(same.input_ids).toEqual(inputs.input_ids);
    const lists = await llava({ images: PICTURES[0], text: "<image> a", return_tensors: null });
    expect(Tensor.fromNested(lists.input_ids)).toEqual(inputs.input_ids);
  });

  it("types its outputs by what it was asked for", async () => {
    const conversation = [{ role: "user", content: [{ type: "text", text: "Hello" }] }];
    const text = await llava.apply_chat_template(conversation);
    expectTypeOf(text).toEqualTypeOf<string>();
    const texts = await llava.apply_chat_template([conversation], { add_generation_prompt: true });
    expectTypeOf(texts).toEqualTypeOf<string[]>();
    const ids = await llava.apply_chat_template(conversation, { tokenize: true });
    expectTypeOf(ids).toEqualTypeOf<Tensor>();
    const inputs = await llava.apply_chat_template(conversation, {
      tokenize: true,
      return_dict: true,
      return_tensors: "pt",
    });
    expectTypeOf(inputs.input_ids).toEqualTypeOf<Tensor>();
    expectTypeOf(inputs.pixel_values).toEqualTypeOf<Tensor | undefined>();
    const lists = await llava.apply_chat_template(conversation, {
      tokenize: true,
      return_dict: true,
      return_tensors: null,
    });
    expectTypeOf(lists.input_ids).toEqualTypeOf<number[][]>();
    expect([typeof text, Array.isArray(texts), ids, inputs.input_ids]).toEqual([
      "string",
      true,
      Tensor.fromNested(lists.input_ids),
      ids,
    ]);
  });

  it("names padding where rows are ragged", async () => {
    const ragged = llava({ images: PICTURES.slice(0, 2), text: ["<image> a dog", "<image>"] });
    await expect(ragged).rejects.toThrow(ShapeError);
    await expect(ragged).rejects.toThrow(/padding/);
  });

  it.each<[string, object, RegExp]>([
    ["flat", { text: "a", paddin: true }, /padding/],
    ["for the tokenizer", { text: "a", text_kwargs: { paddin: true } }, /padding/],
    ["for pictures", { images: PICTURES[0], images_kwargs: { sice: 3 } }, /size/],
    ["common", { text: "a", common_kwargs: { paddin: true } }, /padding|paddin/],
    ["older spelling", { text: "a", audios: [1] }, /audios/],
  ])("refuses an unknown option, %s", async (_, args, message) => {
    await expect(llava(args)).rejects.toThrow(OptionError);
    await expect(llava(args)).rejects.toThrow(message);
  });

  it("refuses a key of apply_chat_template that neither template nor processor knows", async () => {
    const conversation = [{ role: "user", content: [] }];
    await expect(llava.apply_chat_template(conversation, { add_generation: true })).rejects.toThrow(
      /add_generation_prompt/,
    );
    await expect(llava.apply_chat_template(conversation, { messages_: 1 })).rejects.toThrow(OptionError);
    await expect(
      llava.apply_chat_template(conversation, { load_audio_from_video: true } as never),
    ).rejects.toThrow(UnsupportedError);
  });

  it("refuses videos and audio", async () => {
    await expect(llava({ text: "a", videos: ["x.mp4"] } as object)).rejects.toThrow(UnsupportedError);
    await expect(llava({ text: "a", audio_kwargs: { sampling_rate: 1 } } as object)).rejects.toThrow(
      UnsupportedError,
    );
  });

  it("loads pictures of messages from wherever they come", async () => {
    const path = join(DEMO, "pictures", "shapes.png");
    const bytes = await readFile(path);
    const base64 = bytes.toString("base64");
    const ask = async (part: object) => {
      const content = [
        { type: "image" as const, ...part },
        { type: "text" as const, text: "?" },
      ];
      const options = { tokenize: true, return_dict: true } as const;
      return (await llava.apply_chat_template([{ role: "user", content }], options)).pixel_values;
    };
    const expected = await ask({ path });
    expect(expected?.shape).toEqual([1, 3, 28, 42]);
    const parts = [
      { base64 },
      { url: `data:image/png;base64,${base64}` },
      { image: bytes },
      { image: new Blob([new Uint8Array(bytes)]) },
    ];
    for (const part of parts) expect(await ask(part)).toEqual(expected);
    await expect(ask({ path: join(DEMO, "nothing.png") })).rejects.toThrow(ImageError);
  });

  it("says so where a template leaves out plain text", async () => {
    await llava.apply_chat_template([{ role: "user", content: "only once this" }]);
    expect(warnings.filter((warning) => /left out content/.test(warning))).toHaveLength(1);
  });

  it("decodes", async () => {
    const ids = (await llava({ text: ["a dog", "two cats"], padding: true })).input_ids;
    expect(llava.batch_decode(ids, { skip_special_tokens: true })).toEqual(["a dog", "two cats"]);
    expect(llava.decode(ids, { skip_special_tokens: true })).toEqual(["a dog", "two cats"]);
    expect(llava.post_process_image_text_to_text(ids)).toEqual(["a dog", "two cats"]);
    expect(llava.post_process_image_text_to_text([1, 357])).toBe("a");
    expect(llava.post_process_multimodal_output([1, 357], { skip_special_tokens: false })).toBe("<s> a");
    expect(() => llava.post_process_multimodal_output([1], { generation_mode: "image" } as object)).toThrow(
      OptionError,
    );
  });

  it("answers the smaller questions of Transformers' processors", async () => {
    expect(llava.model_input_names).toEqual(["pixel_values", "input_ids", "attention_mask"]);
    expect(llava.image_token_ids).toEqual([1500]);
    expect(llava.all_special_multimodal_tokens).toEqual(["<image>"]);
    expect(llava.create_mm_token_type_ids([[1, 1500, 5]])).toEqual([[0, 1, 0]]);
    expect(LlavaProcessor.get_attributes()).toEqual(["image_processor", "tokenizer"]);
    expect(LlavaProcessor.validate_init_kwargs({ a: 1, b: 2 }, ["b"])).toEqual([{ a: 1 }, { b: 2 }]);
    const [texts, made] = llava.get_text_with_replacements(["😀<image>"], { images_replacements: ["xyz"] });
    expect(texts).toEqual(["😀xyz"]);
    expect(made[0][0]).toMatchObject({ span: [1, 8], new_span: [1, 4], text: "<image>" });
    expect(await llava.prepare_inputs_layout({ text: "a" })).toEqual([null, ["a"], null, null]);
    expect(() => llava.validate_inputs({ text: "<image>" })).toThrow(OptionError);
  });

  it("stops where its signal says so", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(llava({ images: PICTURES[0], text: "<image>", signal })).rejects.toThrow("enough");
  });

  it("refuses parts of the wrong kind", () => {
    const { tokenizer, image_processor } = llava;
    expect(() => new LlavaProcessor()).toThrow(/tokenizer/);
    expect(
      () => new LlavaProcessor({ tokenizer: image_processor, image_processor: tokenizer } as object),
    ).toThrow(OptionError);
    expect(() => new LlavaProcessor({ tokenizer, image_processor, patch_size: 0 })).toThrow(/patch_size/);
    expect(() => new LlavaProcessor({ tokenizer, image_processor, patchsize: 14 } as object)).toThrow(
      /patch_size/,
    );
  });

  it("says what is missing where patch_size is not known", async () => {
    const { tokenizer, image_processor } = llava;
    const bare = new LlavaProcessor({ tokenizer, image_processor });
    await expect(bare({ images: PICTURES[0], text: "<image>" })).rejects.toThrow(/patch_size/);
  });

  it("comes back the same after it was saved", async () => {
    const one = llavas.get("full + 1") as LlavaProcessor;
    const target = join(folder, "saved");
    expect(await one.save_pretrained(target)).toEqual([join(target, "processor_config.json")]);
    const config = JSON.parse(await readFile(join(target, "processor_config.json"), "utf8"));
    expect(config).toEqual(fixture["llava config"]);
    expect(await readFile(join(target, "processor_config.json"), "utf8")).toBe(one.to_json_string());
    const named = join(target, process.platform === "win32" ? "copy.json" : "a\\b.json");
    await one.to_json_file(named);
    expect(await readFile(named, "utf8")).toBe(one.to_json_string());
    const again = await AutoProcessor.from_pretrained(target);
    expect(again).toBeInstanceOf(LlavaProcessor);
    expect(again.chat_template).toBe(chat_template);
    const args = { images: PICTURES, text: ["<image>a", "<image><image>"], padding: true };
    expect(await again(args)).toEqual(await one(args));
  });
});

describe("PixtralProcessor", async () => {
  const tokenizer = await AutoTokenizer.from_pretrained("llava-demo");
  tokenizer.add_tokens(["[IMG]", "[IMG_BREAK]", "[IMG_END]"], { special_tokens: true });
  const pixtral = new PixtralProcessor({
    image_processor: new PixtralImageProcessor({
      size: { longest_edge: 40 },
      patch_size: { height: 8, width: 8 },
    }),
    tokenizer,
    patch_size: 8,
  });

  it.each(fixture.pixtral)("$name", async ({ args, ...expected }) => {
    await compare(expected, async () => pixtral(fill(args) as object));
  });

  it("is saved as Transformers saves it, and comes back", async () => {
    expect(JSON.parse(pixtral.to_json_string())).toEqual(fixture["pixtral config"]);
    await pixtral.save_pretrained(join(folder, "pixtral"));
    const again = await AutoProcessor.from_pretrained(join(folder, "pixtral"));
    expect(again).toBeInstanceOf(PixtralProcessor);
    const args = { images: PICTURES, text: ["[IMG]", "[IMG][IMG]b"], padding: true };
    expect(await again(args)).toEqual(await pixtral(args));
  });
});

describe("AutoProcessor", () => {
  /** A copy of the demo's JSON files, changed. */
  async function copy(name: string, change: (folder: string) => Promise<unknown>): Promise<string> {
    const target = join(folder, name);
    const files = ["config", "processor_config", "preprocessor_config", "tokenizer_config", "tokenizer"];
    for (const file of [...files, "chat_template", "special_tokens_map", "added_tokens"]) {
      await cp(join(DEMO, `${file}.json`), join(target, `${file}.json`));
    }
    await change(target);
    return target;
  }

  async function edit(path: string, change: Record<string, unknown>): Promise<void> {
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...change }));
  }

  const jinja = (d: string) => writeFile(join(d, "chat_template.jinja"), "J");
  const short = async (d: string) => {
    await mkdir(join(d, "additional_chat_templates"));
    await writeFile(join(d, "additional_chat_templates", "short.jinja"), "S");
  };
  const withoutLegacy = (d: string) => rm(join(d, "chat_template.json"));
  const processorConfig = (change: Record<string, unknown>) => (d: string) =>
    edit(join(d, "processor_config.json"), change);
  const changes: Record<string, (d: string) => Promise<unknown>> = {
    "as it is": async () => {},
    "jinja too": jinja,
    "jinja alone": (d) => withoutLegacy(d).then(() => jinja(d)),
    "template in the config": processorConfig({ chat_template: "C" }),
    "null template": processorConfig({ chat_template: null }),
    "no template": withoutLegacy,
    "named alone": (d) => withoutLegacy(d).then(() => short(d)),
    "named and default": (d) =>
      withoutLegacy(d)
        .then(() => short(d))
        .then(() => jinja(d)),
    "named and legacy": short,
    "unknown keys": processorConfig({ sauce: 1, image_token: "<other>" }),
    "nested image processor": async (d) => {
      const image_processor = { image_processor_type: "CLIPImageProcessor", size: { shortest_edge: 33 } };
      await edit(join(d, "processor_config.json"), { image_processor });
      await rm(join(d, "preprocessor_config.json"));
    },
    "class by config.json": async (d) => {
      for (const file of ["processor_config", "preprocessor_config", "tokenizer_config"]) {
        await edit(join(d, `${file}.json`), { processor_class: null });
      }
    },
  };

  it.each(fixture.forms)("reads: $name", async ({ name, error, ...expected }) => {
    const target = await copy(name.replaceAll(".", " "), changes[name]);
    if (error !== undefined) {
      return void (await expect(AutoProcessor.from_pretrained(target)).rejects.toThrow(CheckpointError));
    }
    const processor = (await AutoProcessor.from_pretrained(target)) as LlavaProcessor;
    const { class: processorClass, tokenizer, image_processor, size, ...attributes } = expected;
    const own = processor as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(attributes)) expect(own[key], key).toEqual(value);
    expect(processor.constructor.name).toBe(processorClass);
    expect(processor.tokenizer.constructor.name).toBe(tokenizer);
    expect(processor.image_processor.constructor.name).toBe(image_processor);
    expect(processor.image_processor.size).toEqual(size);
  });

  // Transformers leaves these at null or 0, and then makes a wrong prompt or none at all.
  it.each([
    ["CLIP", { model_type: "clip_vision_model", patch_size: 7 }, "default", [7, "default", 1]],
    ["SigLIP", { model_type: "siglip_vision_model", patch_size: 16 }, "full", [16, "full", 0]],
    ["no type", { patch_size: 28 }, undefined, [28, "default", 1]],
  ])(
    "takes from config.json what processor_config.json does not say: %s",
    async (name, vision_config, strategy, expected) => {
      const target = await copy(`old ${name}`, async (d) => {
        await rm(join(d, "processor_config.json"));
        await edit(join(d, "config.json"), { vision_config, vision_feature_select_strategy: strategy });
      });
      const read = async (path: string) => {
        const { patch_size, vision_feature_select_strategy, num_additional_image_tokens } =
          await LlavaProcessor.from_pretrained(path);
        return [patch_size, vision_feature_select_strategy, num_additional_image_tokens];
      };
      expect(await read(target)).toEqual(expected);
      await writeFile(
        join(target, "processor_config.json"),
        JSON.stringify({ patch_size: 4, num_additional_image_tokens: 0 }),
      );
      expect(await read(target)).toEqual([4, expected[1], 0]);
    },
  );

  it("lets settings go before the files", async () => {
    const processor = (await AutoProcessor.from_pretrained("llava-demo", {
      padding_side: "right",
      patch_size: 7,
      do_normalize: false,
      chat_template: "X",
      backend: "pil",
    })) as LlavaProcessor;
    expect([processor.patch_size, processor.chat_template, processor.tokenizer.padding_side]).toEqual([
      7,
      "X",
      "right",
    ]);
    expect([processor.image_processor.do_normalize, processor.image_processor.backend]).toEqual([
      false,
      "pil",
    ]);
    const [dict, rest] = await LlavaProcessor.get_processor_dict("llava-demo", { patch_size: 7 });
    expect([dict.patch_size, dict.chat_template, rest]).toEqual([14, chat_template, { patch_size: 7 }]);
  });

  it("refuses options that no part knows", async () => {
    await expect(AutoProcessor.from_pretrained("llava-demo", { patchsize: 7 } as object)).rejects.toThrow(
      /patch_size/,
    );
    await expect(AutoProcessor.from_pretrained("llava-demo", { patch_size: -1 })).rejects.toThrow(
      OptionError,
    );
    await expect(
      AutoProcessor.from_pretrained("llava-demo", { trust_remote_code: true } as object),
    ).rejects.toThrow(UnsupportedError);
  });

  it("says what a checkpoint lacks", async () => {
    const none = await copy("none", async (d) => {
      await changes["class by config.json"](d);
      await edit(join(d, "config.json"), { model_type: "bert" });
    });
    await expect(AutoProcessor.from_pretrained(none)).rejects.toThrow(CheckpointError);
    const foreign = await copy("foreign", async (d) => {
      await processorConfig({ processor_class: "IdeficsProcessor" })(d);
      await edit(join(d, "config.json"), { model_type: "idefics" });
    });
    await expect(AutoProcessor.from_pretrained(foreign)).rejects.toThrow(UnsupportedError);
    const broken = await copy("broken", processorConfig({ patch_size: "14" }));
    await expect(AutoProcessor.from_pretrained(broken)).rejects.toMatchObject({
      file: "processor_config.json",
    });
    const mantis = await copy("mantis", processorConfig({ processor_class: "MLlavaProcessor" }));
    expect(await AutoProcessor.from_pretrained(mantis)).toBeInstanceOf(LlavaProcessor);
    const bare = (await AutoProcessor.from_pretrained(join(folder, "no template"))) as ProcessorMixin;
    await expect(bare.apply_chat_template([{ role: "user", content: [] }])).rejects.toThrow(
      /chat_template\.jinja/,
    );
    const several = await AutoProcessor.from_pretrained(join(folder, "named alone"));
    await expect(several.apply_chat_template([{ role: "user", content: [] }])).rejects.toThrow(/short/);
    expect(
      await several.apply_chat_template([{ role: "user", content: [] }], { chat_template: "short" }),
    ).toBe("S");
  });
});
