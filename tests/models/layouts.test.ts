import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { LlavaForConditionalGeneration, LlavaModel } from "../../src/api/modeling_llava.ts";
import type { ModelFromPretrainedOptions } from "../../src/api/pretrained.ts";
import { env } from "../../src/base/env.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { entry, safetensors } from "../hub/support.ts";
import { Expected, expectClose, folderOf, readTensors } from "./expected.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

let warnings: string[] = [];
env.logger = (message) => warnings.push(message);
afterEach(() => {
  warnings = [];
});

type Checkpoint = "hub-f32" | "v452-bf16-shards";

/** A copy of a checkpoint, to be changed. */
async function copy(checkpoint: Checkpoint): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "llava-layout-"));
  folders.push(folder);
  await cp(folderOf(checkpoint), folder, { recursive: true });
  return folder;
}

async function edit(path: string, change: Record<string, unknown>): Promise<void> {
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...change }));
}

/** Loads, and compares with what Transformers computed for the checkpoint that was copied. */
async function expectSame(
  folder: string,
  checkpoint: Checkpoint,
  options: ModelFromPretrainedOptions = {},
  change: (id: number) => number = (id) => id,
): Promise<void> {
  const model = await LlavaForConditionalGeneration.from_pretrained(folder, options);
  const expected = await Expected.read(checkpoint);
  const { input_ids, attention_mask } = expected.facts;
  const changed = input_ids.map((row) => row.map(change));
  const { logits } = await model({ input_ids: changed, attention_mask, ...expected.pictures() });
  expectClose(logits, expected.tensor("logits"), attention_mask);
  await model.dispose();
}

test("a variant, whole", async () => {
  const folder = await copy("hub-f32");
  await rename(join(folder, "model.safetensors"), join(folder, "model.fp16.safetensors"));
  await expectSame(folder, "hub-f32", { variant: "fp16" });
  await expect(LlavaForConditionalGeneration.from_pretrained(folder)).rejects.toThrow(
    /model\.fp16\.safetensors: choose it with 'variant'/,
  );
});

test("a variant, in shards", async () => {
  const folder = await copy("v452-bf16-shards");
  await rename(
    join(folder, "model.safetensors.index.json"),
    join(folder, "model.safetensors.index.bf16.json"),
  );
  await expectSame(folder, "v452-bf16-shards", { variant: "bf16" });
});

test("a subfolder", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llava-layout-"));
  folders.push(folder);
  await mkdir(join(folder, "exported"));
  await cp(folderOf("hub-f32"), join(folder, "exported", "model"), { recursive: true });
  await expectSame(folder, "hub-f32", { subfolder: "exported/model" });
  await expect(LlavaForConditionalGeneration.from_pretrained(folder)).rejects.toThrow(/config\.json/);
});

test("pytorch_model.bin alone is refused with what to do", async () => {
  const folder = await copy("hub-f32");
  await rename(join(folder, "model.safetensors"), join(folder, "pytorch_model.bin"));
  const loaded = LlavaForConditionalGeneration.from_pretrained(folder);
  await expect(loaded).rejects.toThrow(/pytorch_model\.bin.*does not read.*revision.*save_pretrained/);
});

test("of two sets of shards the index tells which", async () => {
  const folder = await copy("v452-bf16-shards");
  for (const file of ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]) {
    await writeFile(join(folder, file), "not even safetensors");
  }
  await expectSame(folder, "v452-bf16-shards");
});

test("two layouts at once are refused, naming both names", async () => {
  const folder = await copy("hub-f32");
  const bytes = 4 * 131 * 32;
  await writeFile(
    join(folder, "other.safetensors"),
    safetensors({ "lm_head.weight": entry("F32", [131, 32], 0, bytes) }, bytes),
  );
  await rename(join(folder, "model.safetensors"), join(folder, "first.safetensors"));
  const weight_map = {
    "language_model.lm_head.weight": "first.safetensors",
    "lm_head.weight": "other.safetensors",
  };
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
  const loaded = LlavaForConditionalGeneration.from_pretrained(folder);
  await expect(loaded).rejects.toBeInstanceOf(CheckpointError);
  await expect(loaded).rejects.toThrow(
    /lm_head\.weight \(\w+\.safetensors\) and .*lm_head\.weight \(\w+\.safetensors\) are the same/,
  );
});

test("buffers of old conversions are passed over in silence", async () => {
  await expectSame(folderOf("hub-f32"), "hub-f32");
  expect(warnings).toEqual([]);
});

test.each(["float16", "bfloat16", null])("torch_dtype %s, whatever the tensors are", async (torch_dtype) => {
  const folder = await copy("hub-f32");
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const text_config = { ...config.text_config, torch_dtype: "float16" };
  await edit(join(folder, "config.json"), { torch_dtype, text_config });
  await expectSame(folder, "hub-f32");
});

test("the picture's token may lie outside the vocabulary", async () => {
  const folder = await copy("hub-f32");
  await edit(join(folder, "config.json"), { image_token_index: 131 });
  await expectSame(folder, "hub-f32", {}, (id) => (id === 101 ? 131 : id));
});

test("another number of rows than vocab_size says both, and asks about config.json", async () => {
  const folder = await copy("hub-f32");
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  await edit(join(folder, "config.json"), { text_config: { ...config.text_config, vocab_size: 128 } });
  await expect(LlavaForConditionalGeneration.from_pretrained(folder)).rejects.toThrow(
    /expected \[128,32\], checkpoint has \[131,32\].*config\.json/,
  );
});

// Transformers gives the logits of the untouched checkpoint for both.
test("a head of its own is used although the config says that it is the table of embeddings", async () => {
  const [inText, whole] = [await copy("hub-f32"), await copy("hub-f32")];
  const { text_config } = JSON.parse(await readFile(join(inText, "config.json"), "utf8"));
  await edit(join(inText, "config.json"), { text_config: { ...text_config, tie_word_embeddings: true } });
  await edit(join(whole, "config.json"), { tie_word_embeddings: true });
  await (await LlavaModel.from_pretrained(whole)).dispose();
  expect(warnings).toEqual([]);
  for (const folder of [inText, whole]) await expectSame(folder, "hub-f32");
  expect(warnings.join()).toMatch(
    /language_model\.lm_head\.weight and .*embed_tokens\.weight are one.*they differ/,
  );
});

test("a head that is stored although it is the table of embeddings is that table", async () => {
  const folder = await copy("v452-bf16-shards");
  const path = join(folder, "model.safetensors.index.json");
  const { weight_map } = JSON.parse(await readFile(path, "utf8"));
  const name = "model.language_model.embed_tokens.weight";
  const { shape, data } = (await readTensors(join(folder, weight_map[name]))).get(name) as Tensor;
  const head = { "lm_head.weight": entry("BF16", [...shape], 0, data.byteLength) };
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeFile(join(folder, "head.safetensors"), Buffer.concat([safetensors(head), bytes]));
  await edit(path, { weight_map: { ...weight_map, "lm_head.weight": "head.safetensors" } });
  await expectSame(folder, "v452-bf16-shards");
  expect(warnings).toEqual([]);
  const model = await LlavaForConditionalGeneration.from_pretrained(folder);
  const plain = await LlavaForConditionalGeneration.from_pretrained(folderOf("v452-bf16-shards"));
  expect(model.num_parameters()).toBe(plain.num_parameters());
  await Promise.all([model.dispose(), plain.dispose()]);
});
