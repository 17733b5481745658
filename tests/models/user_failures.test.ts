/**
 * What went wrong for users of other programs with published checkpoints of this class. Each test is named after the
 * report (repository and number), and shows that it comes out right here, or as an error that says what to do.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { env } from "../../src/base/env.ts";
import { CheckpointError, LlavaError, ShapeError, UnsupportedError } from "../../src/base/errors.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import { AutoProcessor } from "../../src/models/auto/processing_auto.ts";
import { moduleKey } from "../../src/models/llava/checkpoint_keys.ts";
import { LlavaProcessor } from "../../src/models/llava/processing_llava.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { entry, safetensors } from "../hub/support.ts";
import { Expected, expectClose, folderOf } from "./expected.ts";

const DEMO = fileURLToPath(new URL("../../checkpoints/llava-demo", import.meta.url));
const IMAGE = 1500;
/** (112 / 14)^2 places of the demo's pictures. */
const PLACES = 64;

env.logger = () => {};
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** A copy of a checkpoint without some of its files. */
async function copy(from: string, without: readonly string[] = []): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "llava-failures-"));
  folders.push(folder);
  const filter = (path: string) => !path.endsWith("pictures") && !without.includes(basename(path));
  await cp(from, folder, { recursive: true, filter });
  return folder;
}

async function edit(folder: string, change: (config: Record<string, unknown>) => object): Promise<void> {
  const path = join(folder, "config.json");
  await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, "utf8")))));
}

/** A picture that is not square. */
function picture(): RawImage {
  const data = Uint8Array.from({ length: 150 * 90 * 3 }, (_, i) => (i * 7) % 251);
  return new RawImage({ width: 150, height: 90, channels: 3, data });
}

/** How often the picture's token stands in a prompt of one picture. */
async function places(folder: string): Promise<number> {
  const processor = await AutoProcessor.from_pretrained(folder);
  const { input_ids } = await processor({ images: picture(), text: "USER: <image>\nWhat? ASSISTANT:" });
  return [...(input_ids as Tensor).data].filter((id) => id === IMAGE).length;
}

test("vllm 13690: no processor_config.json, and a max_position_embeddings that nobody trained", async () => {
  const folder = await copy(DEMO, ["processor_config.json"]);
  await edit(folder, (config) => ({
    ...config,
    text_config: { ...(config.text_config as object), max_position_embeddings: 32768 },
  }));
  expect(await places(folder)).toBe(PLACES);
  const model = await LlavaForConditionalGeneration.from_pretrained(folder);
  expect((await model({ input_ids: [[1, 5, 9]] })).logits.shape).toEqual([1, 3, 1536]);
  await model.dispose();
});

test("ComfyUI-HunyuanVideoWrapper 269: neither processor_config.json nor a chat template", async () => {
  expect(await places(await copy(DEMO, ["processor_config.json", "chat_template.json"]))).toBe(PLACES);
});

test("transformers 41206: a model card's own snippet, with the tokenizer's chat template", async () => {
  const folder = await copy(DEMO, ["processor_config.json"]);
  const processor = (await AutoProcessor.from_pretrained(folder)) as LlavaProcessor;
  const chat_template =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
  const text = processor.tokenizer.apply_chat_template(
    [{ role: "user", content: "<image>\nWhat's the content of the image?" }],
    { tokenize: false, add_generation_prompt: true, chat_template },
  );
  expect(text).toBe("user: <image>\nWhat's the content of the image?\nassistant:");
  const inputs = await processor({ text: String(text), images: picture() });
  const model = await LlavaForConditionalGeneration.from_pretrained(DEMO);
  const ids = await model.generate({ ...inputs, max_new_tokens: 3 });
  expect(ids.shape[1]).toBeGreaterThan((inputs.input_ids as Tensor).shape[1]);
  await model.dispose();
});

test("transformers 34934: one <image> becomes as many ids as the picture has places, and they are counted", async () => {
  expect(await places(DEMO)).toBe(PLACES);
  const processor = await AutoProcessor.from_pretrained(DEMO);
  const two = processor({ images: [picture(), picture()], text: "<image> What?" });
  await expect(two).rejects.toBeInstanceOf(LlavaError);
});

test("unsloth 3783: a place too few is told in places, not in elements", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained(DEMO);
  const pixel_values = new Tensor("float32", [1, 3, 112, 112], new Float32Array(3 * 112 * 112));
  const input_ids = [[1, ...Array.from({ length: PLACES - 1 }, () => IMAGE), 7]];
  const called = model({ input_ids, pixel_values });
  await expect(called).rejects.toBeInstanceOf(ShapeError);
  await expect(called).rejects.toThrow(/\b63\b.*\b64\b|\b64\b.*\b63\b/);
  await model.dispose();
});

test("unsloth 2225, llm-compressor 1127: a saved config that lost head_dim", async () => {
  for (const checkpoint of ["clip-mistral-f32", "pixtral-mistral-bf16"]) {
    const folder = await copy(folderOf(checkpoint));
    await edit(folder, (config) => {
      const { head_dim, ...text_config } = config.text_config as Record<string, unknown>;
      expect(head_dim).toBeGreaterThan(0);
      return { ...config, text_config, unsloth_fixed: true, unsloth_version: "2025.1.5" };
    });
    const model = await LlavaForConditionalGeneration.from_pretrained(folder);
    const expected = await Expected.read(checkpoint);
    const { input_ids, attention_mask } = expected.facts;
    const { logits } = await model({ input_ids, attention_mask, ...expected.pictures() });
    expectClose(logits, expected.tensor("logits"), attention_mask);
    await model.dispose();
  }
});

test("mlx-vlm 69: names with vision_model and without; MLX's own format is refused by name", async () => {
  const tail = "transformer.layers.3.attention.q_proj.weight";
  const key = `model.vision_tower.${tail}`;
  expect(moduleKey(`vision_tower.${tail}`)).toBe(key);
  expect(moduleKey(`vision_tower.vision_model.${tail}`)).toBe(key);
  const folder = await copy(folderOf("hub-f32"));
  await edit(folder, (config) => ({ ...config, quantization: { group_size: 64, bits: 8 } }));
  const loaded = LlavaForConditionalGeneration.from_pretrained(folder);
  await expect(loaded).rejects.toBeInstanceOf(UnsupportedError);
  await expect(loaded).rejects.toThrow(/MLX/);
});

test("vllm 10813: a projector and a tower that bitsandbytes quantised", async () => {
  const folder = fileURLToPath(new URL("../fixtures/quantised/bnb-nf4-f16", import.meta.url));
  const { quantised } = JSON.parse(await readFile(join(folder, "expected.json"), "utf8"));
  expect(quantised).toContain("multi_modal_projector.linear_1.weight");
  expect(quantised).toContain("vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight");
  const model = await LlavaForConditionalGeneration.from_pretrained(folder);
  await model.dispose();
});

test("lmms-finetune 12: without a chat template it is said what is missing and what to do", async () => {
  const processor = await AutoProcessor.from_pretrained(await copy(DEMO, ["chat_template.json"]));
  const conversation = [{ role: "user", content: [{ type: "text" as const, text: "Hello" }] }];
  await expect(processor.apply_chat_template(conversation, { tokenize: false })).rejects.toThrow(
    /chat_template/,
  );
});

test("vllm 7149: SigLIP has no class row, so that features and places agree", async () => {
  const config = JSON.parse(await readFile(join(folderOf("siglip-qwen2-bf16"), "config.json"), "utf8"));
  const settings = LlavaProcessor.settingsFromConfig(config);
  expect(settings).toMatchObject({
    vision_feature_select_strategy: "full",
    num_additional_image_tokens: 0,
    patch_size: 4,
  });
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("siglip-qwen2-bf16"));
  const { pixel_values } = (await Expected.read("siglip-qwen2-bf16")).pictures();
  const { pooler_output } = await model.get_image_features({ pixel_values });
  const patches = Math.floor(13 / 4) ** 2;
  expect((pooler_output as unknown as Tensor[]).map(({ shape }) => shape[0])).toEqual([
    patches,
    patches,
    patches,
  ]);
  await model.dispose();
});

test("E5-V 14: keys of processor_config.json that nobody knows yet are ignored", async () => {
  const folder = await copy(DEMO);
  const path = join(folder, "processor_config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  await writeFile(path, JSON.stringify({ ...config, image_token_of_tomorrow: "<picture>" }));
  expect(await places(folder)).toBe(PLACES);
});

test("joycaption 9: a missing preprocessor_config.json is named", async () => {
  const folder = await copy(DEMO, ["preprocessor_config.json"]);
  await expect(AutoProcessor.from_pretrained(folder)).rejects.toThrow(/preprocessor_config\.json/);
});

test("xtuner 699: AWQ of the language model alone; an AWQ weight that is cut is named", async () => {
  const from = fileURLToPath(new URL("../fixtures/quantised/awq-4bit", import.meta.url));
  const folder = await copy(from);
  await edit(folder, (config) => ({
    ...config,
    quantization_config: { ...(config.quantization_config as object), group_size: 40 },
  }));
  const loaded = LlavaForConditionalGeneration.from_pretrained(folder);
  await expect(loaded).rejects.toThrow(/language_model\.model\.layers\.0\.\S+\.scales: expected/);
});

test("VLMEvalKit 1479: a checkpoint for Transformers has its image_mean and takes pixel_values", async () => {
  const processor = await AutoProcessor.from_pretrained(DEMO);
  expect(processor.image_processor.image_mean).toHaveLength(3);
  const inputs = await processor({ images: picture(), text: "<image>" });
  expect((inputs.pixel_values as Tensor).shape).toEqual([1, 3, 112, 112]);
});

test("mllms_know 25: the form of the original program is refused when it is loaded", async () => {
  const folder = await copy(folderOf("hub-f32"), ["model.safetensors"]);
  await writeFile(
    join(folder, "model.safetensors"),
    safetensors({ "model.mm_projector.0.weight": entry("F32", [2, 2], 0, 16) }, 16),
  );
  const loaded = LlavaForConditionalGeneration.from_pretrained(folder);
  await expect(loaded).rejects.toBeInstanceOf(CheckpointError);
  await expect(loaded).rejects.toThrow(/mm_projector.*original LLaVA program.*converted for Transformers/);
});
