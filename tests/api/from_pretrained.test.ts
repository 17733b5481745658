import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  CheckpointError,
  GenerationConfig,
  LlavaForConditionalGeneration,
  LlavaModel,
  OptionError,
  UnsupportedError,
} from "../../src/index.ts";
import { folderOf, readTensors } from "../models/expected.ts";

const FOLDER = folderOf("hub-f32");
const device = "reference";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-options-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A copy of the checkpoint in which the tower has another name of the same length. */
async function renamedCopy(): Promise<string> {
  const copy = join(folder, "renamed");
  await cp(FOLDER, copy, { recursive: true });
  const file = join(copy, "model.safetensors");
  const bytes = await readFile(file, "latin1");
  await writeFile(file, bytes.replaceAll("vision_tower", "sight_towers"), "latin1");
  return copy;
}

test("key_mapping gives tensors other names before their places are looked for", async () => {
  const copy = await renamedCopy();
  await expect(LlavaForConditionalGeneration.from_pretrained(copy, { device })).rejects.toThrow(
    CheckpointError,
  );
  const key_mapping = { "^sight_(tower)s\\.": "vision_$1." };
  const model = await LlavaForConditionalGeneration.from_pretrained(copy, { device, key_mapping });
  const original = await LlavaForConditionalGeneration.from_pretrained(FOLDER, { device });
  expect(model.num_parameters()).toBe(original.num_parameters());
  const wrong = LlavaModel.from_pretrained(copy, { device, key_mapping: { "(": "" } });
  await expect(wrong).rejects.toThrow(/key_mapping/);
  await Promise.all([model.dispose(), original.dispose()]);
});

test("output_loading_info says what the model does not use", async () => {
  const key_mapping = { "^language_model\\.lm_head\\.": "extra." };
  const [model, info] = await LlavaModel.from_pretrained(FOLDER, {
    device,
    key_mapping,
    output_loading_info: true,
  });
  expect(model).toBeInstanceOf(LlavaModel);
  expect(info).toEqual({
    missing_keys: [],
    unexpected_keys: ["extra.weight"],
    mismatched_keys: [],
    error_msgs: [],
  });
  const [whole, none] = await LlavaForConditionalGeneration.from_pretrained(FOLDER, {
    device,
    output_loading_info: true,
  });
  expect(none.unexpected_keys).toEqual([]);
  await Promise.all([model.dispose(), whole.dispose()]);
});

test("generation_config takes the place of the checkpoint's", async () => {
  const generation_config = new GenerationConfig({ max_new_tokens: 3, eos_token_id: 77 });
  const model = await LlavaForConditionalGeneration.from_pretrained(FOLDER, { device, generation_config });
  expect(model.generation_config).toBe(generation_config);
  expect((await model.generate({ input_ids: [[1, 5]] })).shape).toEqual([1, 5]);
  await model.dispose();
});

const REFUSED = {
  device_map: "auto",
  max_memory: { 0: "1GB" },
  low_cpu_mem_usage: true,
  quantization_config: { load_in_4bit: true },
  load_in_8bit: true,
  load_in_4bit: true,
  trust_remote_code: true,
  tp_plan: "auto",
  tp_size: 2,
  device_mesh: {},
  distributed_config: {},
  offload_folder: "x",
  offload_buffers: true,
  adapter_kwargs: {},
  adapter_name: "x",
  gguf_file: "x.gguf",
  state_dict: {},
  fusion_config: {},
  disable_mmap: false,
  use_kernels: true,
  allow_all_kernels: true,
  kernel_config: {},
  experts_implementation: "eager",
  proxies: {},
  tqdm_class: {},
  weights_only: false,
  ignore_mismatched_sizes: true,
  use_safetensors: false,
  attn_implementation: "flash_attention_2",
};

test.each(Object.entries(REFUSED))("%s is refused by name", async (name, value) => {
  const error = await LlavaForConditionalGeneration.from_pretrained(FOLDER, { [name]: value }).catch(
    (e) => e,
  );
  expect(error).toBeInstanceOf(UnsupportedError);
  expect((error as UnsupportedError).where).toBe(name);
});

test("what holds in any case may be said", async () => {
  const given = { weights_only: true, ignore_mismatched_sizes: false, device_map: null, device } as const;
  await (await LlavaModel.from_pretrained(FOLDER, given)).dispose();
  await expect(LlavaModel.from_pretrained(FOLDER, { device, dtypes: "float32" })).rejects.toThrow(
    OptionError,
  );
});

test("save_original_format: false saves under the names of the parts", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained(FOLDER, { device });
  const saved = join(folder, "parts");
  await model.save_pretrained(saved, { save_original_format: false });
  await cp(join(saved, "model.safetensors"), join(saved, "expected.safetensors"));
  const tensors = await readTensors(join(saved, "expected.safetensors"));
  const names = [...tensors.keys()];
  expect(names).toContain("lm_head.weight");
  expect(names).toContain("model.vision_tower.pre_layrnorm.weight");
  expect(names).toContain("model.multi_modal_projector.linear_1.bias");
  expect(names).toContain("model.language_model.layers.0.self_attn.q_proj.weight");
  const again = await LlavaForConditionalGeneration.from_pretrained(saved, { device });
  const [a, b] = await Promise.all([model({ input_ids: [[1, 5]] }), again({ input_ids: [[1, 5]] })]);
  expect(b.logits).toEqual(a.logits);
  await model.save_pretrained(join(folder, "nothing"), { is_main_process: false });
  await expect(readFile(join(folder, "nothing", "config.json"))).rejects.toThrow();
  const push = { push_to_hub: true } as never;
  await expect(model.save_pretrained(saved, push)).rejects.toThrow(UnsupportedError);
  await Promise.all([model.dispose(), again.dispose()]);
});
