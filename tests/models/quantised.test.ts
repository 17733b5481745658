import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { CheckpointError, UnsupportedError } from "../../src/base/errors.ts";
import { openRepository } from "../../src/hub/open.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { LlavaConfig } from "../../src/models/llava/configuration_llava.ts";
import { openQuantised, quantizationOf } from "../../src/models/quantizers/open_quantised.ts";
import type { FloatName } from "../../src/models/quantizers/quantised.ts";
import { viewBytes } from "../../src/tensor/dtype.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { expectClose, readTensors } from "./expected.ts";

/** The checkpoints of scripts/fixtures/quantised.py, and what their weights are when they are unpacked. */
const CHECKPOINTS: readonly (readonly [name: string, dtype: FloatName])[] = [
  ["bnb-nf4-f16", "float16"],
  ["bnb-nf4-double-bf16", "bfloat16"],
  ["bnb-fp4-f32", "float32"],
  ["bnb-int8-f16", "float16"],
  ["gptq-4bit-sym", "float16"],
  ["gptq-4bit-act", "float16"],
  ["gptq-8bit-v2", "float16"],
  ["awq-4bit", "float16"],
];

interface Facts {
  input_ids: number[][];
  /** The weights that are quantised, by the checkpoint's names. */
  quantised: string[];
}

function folderOf(checkpoint: string): string {
  return fileURLToPath(new URL(`../fixtures/quantised/${checkpoint}`, import.meta.url));
}

async function expectedOf(checkpoint: string): Promise<{ facts: Facts; tensors: Map<string, Tensor> }> {
  const folder = folderOf(checkpoint);
  const facts = JSON.parse(await readFile(`${folder}/expected.json`, "utf8")) as Facts;
  return { facts, tensors: await readTensors(`${folder}/expected.safetensors`) };
}

function tensorOf(tensors: Map<string, Tensor>, name: string): Tensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`the fixture has no tensor ${name}`);
  return tensor;
}

test.each(CHECKPOINTS)(
  "%s: unpacked bit for bit, and nothing but weights is left",
  async (checkpoint, dtype) => {
    const { facts, tensors } = await expectedOf(checkpoint);
    const stored = await openWeights(await openRepository(folderOf(checkpoint)));
    const config = await LlavaConfig.from_pretrained(folderOf(checkpoint));
    const weights = await openQuantised(stored, quantizationOf(config), dtype);
    for (const name of facts.quantised) expect(weights.get(name).dtype, name).toBe(dtype);
    expect(weights.names().filter((name) => !/\.(weight|bias|class_embedding)$/.test(name))).toEqual([]);
    const down = facts.quantised.find((name) => name.includes("layers.0.mlp.down_proj")) ?? "";
    const expected = tensorOf(tensors, "unpacked.model.language_model.layers.0.mlp.down_proj.weight");
    const { shape, read } = weights.get(down);
    expect(shape).toEqual(expected.shape);
    expect(viewBytes(dtype, await read())).toEqual(expected.data);
    await stored.close();
  },
);

test.each(CHECKPOINTS)("%s: PyTorch's logits", async (checkpoint, dtype) => {
  const { facts, tensors } = await expectedOf(checkpoint);
  // Asked for by name, bfloat16 may round what goes into products; the numbers here were made in float32.
  const model = await LlavaForConditionalGeneration.from_pretrained(
    folderOf(checkpoint),
    dtype === "bfloat16" ? {} : { dtype },
  );
  const { logits } = await model({
    input_ids: facts.input_ids,
    pixel_values: tensorOf(tensors, "pixel_values"),
  });
  expectClose(logits, tensorOf(tensors, "logits"));
  await model.dispose();
});

test("no float32 copy is made where nobody asks for one", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("bnb-fp4-f32"));
  const exact = await LlavaForConditionalGeneration.from_pretrained(folderOf("bnb-fp4-f32"), {
    dtype: "float32",
  });
  // embeddings, norms and biases are float32 in the file and stay so; all else takes half
  expect(model.deviceBytes).toBeLessThan(0.7 * exact.deviceBytes);
  await Promise.all([model.dispose(), exact.dispose()]);
});

describe("nothing is guessed", () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

  /** A copy of a checkpoint with another config.json. */
  async function altered(checkpoint: string, change: Record<string, unknown>): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "llava-quantised-"));
    folders.push(folder);
    await cp(folderOf(checkpoint), folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, ...change }));
    return folder;
  }

  const gptq = { quant_method: "gptq", bits: 4, group_size: 16 };
  test.each([
    [
      "qweight without quantization_config",
      "awq-4bit",
      { quantization_config: null },
      /qweight.*quantization_config/,
    ],
    ["4-bit blocks without it", "bnb-nf4-f16", { quantization_config: null }, /quantised, but config\.json/],
    ["row scales without it", "bnb-int8-f16", { quantization_config: null }, /quantised, but config\.json/],
    ["another method than the weights'", "awq-4bit", { quantization_config: gptq }, /expected .* got /],
    [
      "another group size",
      "gptq-4bit-sym",
      { quantization_config: { ...gptq, group_size: 8 } },
      /scales: expected/,
    ],
    ["plain weights said to be quantised", "bnb-int8-f16", { quantization_config: gptq }, /no tensor is/],
  ])("%s", async (_, checkpoint, change, message) => {
    const loaded = LlavaForConditionalGeneration.from_pretrained(await altered(checkpoint, change));
    await expect(loaded).rejects.toThrow(message);
    await expect(loaded).rejects.toBeInstanceOf(CheckpointError);
  });

  test.each([
    ["3 bits", "gptq-4bit-sym", { ...gptq, bits: 3 }],
    ["GPTQ for other kernels", "gptq-4bit-sym", { ...gptq, checkpoint_format: "marlin" }],
    ["AWQ's gemv", "awq-4bit", { quant_method: "awq", bits: 4, group_size: 16, version: "gemv" }],
  ])("%s: said to be not supported", async (_, checkpoint, quantization_config) => {
    const loaded = LlavaForConditionalGeneration.from_pretrained(
      await altered(checkpoint, { quantization_config }),
    );
    await expect(loaded).rejects.toBeInstanceOf(UnsupportedError);
  });

  test("no weights are quantised while loading by other names than dtype", async () => {
    for (const option of [{ quantization_config: {} }, { load_in_4bit: true }, { load_in_8bit: true }]) {
      const loaded = LlavaForConditionalGeneration.from_pretrained(folderOf("awq-4bit"), option);
      await expect(loaded).rejects.toThrow(/dtype: "q/);
    }
  });

  test("a model that was quantised cannot be saved as if it had not been", async () => {
    const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("gptq-8bit-v2"));
    await expect(model.save_pretrained(await altered("gptq-8bit-v2", {}))).rejects.toThrow(
      /quantised by gptq/,
    );
    await model.dispose();
  });
});
