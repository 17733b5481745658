/*
 * Loads a checkpoint with llava-1.5-7b's names and shapes, and prints how long that took and how much memory.
 *
 *   node --import ./scripts/typescript.mjs scripts/load_7b.ts [q4|q8|float16|bfloat16|auto] [cpu|reference|...]
 *
 * The files are sparse: 14 GB of zeros that take no room on the disk. They lie in a folder of their own and are
 * removed at the end. By hand only: float16 needs 15 GB of memory.
 */
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeviceName } from "../src/api/devices.ts";
import { LlavaForConditionalGeneration } from "../src/api/modeling_llava.ts";
import type { DTypeName } from "../src/api/pretrained.ts";
import { byteSize, encodeHeader, planShards, type TensorToWrite } from "../src/hub/safetensors_write.ts";
import { LlavaConfig } from "../src/models/llava/configuration_llava.ts";
import { LlavaForConditionalGenerationModule } from "../src/models/llava/modeling_llava.ts";

const CONFIG = {
  model_type: "llava",
  architectures: ["LlavaForConditionalGeneration"],
  image_token_index: 32000,
  torch_dtype: "float16",
  text_config: {
    model_type: "llama",
    vocab_size: 32064,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  },
  vision_config: {
    model_type: "clip_vision_model",
    hidden_size: 1024,
    intermediate_size: 4096,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    image_size: 336,
    patch_size: 14,
  },
};

/** The published name of a parameter of the module tree. */
function publishedName(key: string): string {
  return key
    .replace(/^model\.language_model\./, "language_model.model.")
    .replace(/^model\.vision_tower\./, "vision_tower.vision_model.")
    .replace(/^model\.multi_modal_projector\./, "multi_modal_projector.")
    .replace(/^lm_head\./, "language_model.lm_head.");
}

function tensors(): TensorToWrite[] {
  const root = new LlavaForConditionalGenerationModule(LlavaConfig.from_dict(structuredClone(CONFIG)));
  return [...root.named_parameters()].map(([key, { shape }]) => ({
    name: publishedName(key),
    dtype: "float16",
    shape: [...shape],
    read: () => Promise.reject(new Error("zeros are not written")),
  }));
}

async function writeSparse(folder: string): Promise<number> {
  await writeFile(join(folder, "config.json"), JSON.stringify(CONFIG));
  const weight_map: Record<string, string> = {};
  let total = 0;
  for (const { file, tensors: part } of planShards(tensors(), 5e9)) {
    const { header } = encodeHeader(part, { format: "pt" });
    const bytes = part.reduce((sum, tensor) => sum + byteSize(tensor), 0);
    const handle = await open(join(folder, file), "w");
    await handle.write(header);
    await handle.truncate(header.length + bytes);
    await handle.close();
    for (const { name } of part) weight_map[name] = file;
    total += bytes;
  }
  const index = JSON.stringify({ metadata: { total_size: total }, weight_map });
  await writeFile(join(folder, "model.safetensors.index.json"), index);
  return total;
}

const [dtype = "q4", device = "auto"] = process.argv.slice(2) as [DTypeName?, DeviceName?];
const folder = await mkdtemp(join(tmpdir(), "llava-7b-"));
try {
  const stored = await writeSparse(folder);
  const start = performance.now();
  const model = await LlavaForConditionalGeneration.from_pretrained(folder, { dtype, device });
  const seconds = (performance.now() - start) / 1000;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
  console.log(`${model.deviceDescription}, dtype ${model.dtype}`);
  console.log(`stored ${gigabytes(stored)}, on the device ${gigabytes(model.deviceBytes)}`);
  console.log(
    `loaded in ${seconds.toFixed(1)} s, at most ${gigabytes(process.resourceUsage().maxRSS * 1024)} of memory`,
  );
  await model.dispose();
} finally {
  await rm(folder, { recursive: true, force: true });
}
