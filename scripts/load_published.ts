/*
 * Loads checkpoints with the names and shapes of published ones, at full size, and prints how long that took and how
 * much memory. Each must fit its config, take no more memory than its weights and a little, and give numbers.
 *
 *   node --import ./scripts/typescript.mjs scripts/load_published.ts [--dtype q4] [--device auto] [NAME...|all]
 *
 * The files are sparse: zeros that take no room on the disk. They lie in a folder of their own and are removed at the
 * end. What there is no memory for is skipped, and said to be.
 */
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { DeviceName } from "../src/api/devices.ts";
import { LlavaForConditionalGeneration } from "../src/api/modeling_llava.ts";
import type { DTypeName } from "../src/api/pretrained.ts";
import { UnsupportedError } from "../src/base/errors.ts";
import { byteSize, encodeHeader, planShards, type TensorToWrite } from "../src/hub/safetensors_write.ts";
import { moduleKey } from "../src/models/llava/checkpoint_keys.ts";
import { LlavaConfig } from "../src/models/llava/configuration_llava.ts";
import { LlavaForConditionalGenerationModule } from "../src/models/llava/modeling_llava.ts";
import { Tensor } from "../src/tensor/tensor.ts";

const DEFAULT = "llava-hf/llava-1.5-7b-hf";
/** One of each published layout. */
const ALL = [
  DEFAULT,
  "llava-hf/llava-1.5-13b-hf",
  "llava-hf/bakLlava-v1-hf",
  "xtuner/llava-llama-3-8b-v1_1-transformers",
  "llava-hf/llava-interleave-qwen-0.5b-hf",
  "llava-hf/llava-interleave-qwen-7b-hf",
  "mistral-community/pixtral-12b",
  "deepvk/llava-gemma-2b-lora",
];
/** Bytes that may be held beside the weights: Node itself, parts of tensors, the cache and what a step computes. */
const BESIDE = 5e8;

interface Configs {
  vision: Record<string, Record<string, unknown>>;
  models: { name: string; config: Record<string, unknown> & { vision_config: unknown } }[];
}

async function fixture<T>(name: string): Promise<T> {
  const url = new URL(`../tests/fixtures/published/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(url, "utf8")) as T;
}

const configs = await fixture<Configs>("configs");
const { models: recorded } = await fixture<{ models: Record<string, Record<string, number>> }>("names");

function configOf(name: string): LlavaConfig {
  const config = configs.models.find((model) => model.name === name)?.config;
  if (!config) throw new Error(`no config of ${name} is recorded in tests/fixtures/published`);
  const { vision_config: vision } = config;
  return LlavaConfig.from_dict({
    ...config,
    vision_config: typeof vision === "string" ? configs.vision[vision] : vision,
  });
}

/** The published name of a parameter: as recorded, else in the layout that all of them have. */
function publishedName(model: string, key: string): string {
  const pattern = key.replace(/layers\.\d+\./, "layers.*.");
  const found = Object.keys(recorded[model] ?? {}).find((name) => moduleKey(name) === pattern);
  if (found) return found.replace("*", /layers\.(\d+)\./.exec(key)?.[1] ?? "");
  return key
    .replace(/^model\.language_model\./, "language_model.model.")
    .replace(/^model\.vision_tower\./, "vision_tower.vision_model.")
    .replace(/^model\.multi_modal_projector\./, "multi_modal_projector.")
    .replace(/^lm_head\./, "language_model.lm_head.");
}

function tensorsOf(name: string, config: LlavaConfig): TensorToWrite[] {
  const seen = new Set<unknown>();
  return [...new LlavaForConditionalGenerationModule(config).named_parameters()].flatMap(
    ([key, parameter]) => {
      if (seen.has(parameter)) return []; // a tied weight is stored once
      seen.add(parameter);
      const read = (): Promise<never> => Promise.reject(new Error("zeros are not written"));
      return [
        { name: publishedName(name, key), dtype: "float16" as const, shape: [...parameter.shape], read },
      ];
    },
  );
}

/** @returns bytes of the weights */
async function writeSparse(
  folder: string,
  config: LlavaConfig,
  tensors: readonly TensorToWrite[],
): Promise<number> {
  await writeFile(join(folder, "config.json"), JSON.stringify(config.to_dict()));
  const weight_map: Record<string, string> = {};
  let total = 0;
  for (const { file, tensors: part } of planShards(tensors, 5e9)) {
    const { header } = encodeHeader(part, { format: "pt" });
    const bytes = part.reduce((sum, tensor) => sum + byteSize(tensor), 0);
    const handle = await open(join(folder, file), "w");
    await handle.write(header);
    await handle.truncate(header.length + bytes);
    await handle.close();
    for (const { name } of part) weight_map[name] = file;
    total += bytes;
  }
  if (new Set(Object.values(weight_map)).size > 1) {
    const index = JSON.stringify({ metadata: { total_size: total }, weight_map });
    await writeFile(join(folder, "model.safetensors.index.json"), index);
  }
  return total;
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

async function check(name: string, dtype: DTypeName, device: DeviceName): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "llava-published-"));
  try {
    const config = configOf(name);
    const stored = await writeSparse(folder, config, tensorsOf(name, config));
    const start = performance.now();
    const options = { dtype, device, packedCopy: false };
    const model = await LlavaForConditionalGeneration.from_pretrained(folder, options);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const held = model.deviceBytes;
    const { logits } = await model.forward({
      input_ids: new Tensor("int32", [1, 3], Int32Array.from([1, 5, 7])),
    });
    if (!Array.from(logits.data, Number).every(Number.isFinite))
      throw new Error(`${name}: logits are not finite`);
    await model.dispose();
    const most = process.resourceUsage().maxRSS * 1024;
    console.log(
      `${name}: ${gigabytes(stored)} stored, ${gigabytes(held)} in ${dtype}, ${seconds} s, at most ${gigabytes(most)} of memory`,
    );
    largest = Math.max(largest, held);
    if (most > largest + BESIDE)
      throw new Error(`${name}: that is more than the weights and ${gigabytes(BESIDE)}`);
  } catch (error) {
    // The refusal for want of memory comes before anything is read.
    if (!(error instanceof UnsupportedError && error.where === "dtype")) throw error;
    console.log(`${name}: SKIPPED: ${error.message}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dtype: { type: "string", default: "q4" }, device: { type: "string", default: "auto" } },
});
/** Weights of the largest model so far: memory is only known at its most. */
let largest = 0;
const names = positionals.includes("all") ? ALL : positionals.length > 0 ? positionals : [DEFAULT];
for (const name of names) await check(name, values.dtype as DTypeName, values.device as DeviceName);
