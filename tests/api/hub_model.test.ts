import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  AutoProcessor,
  HubError,
  LlavaForConditionalGeneration,
  type Progress,
  pull,
} from "../../src/index.ts";
import { MockHub } from "../hub/mock_hub.ts";

/*
 * The documented example with a Hub id: the bundled checkpoint, served by a Hub on this machine.
 */

const DEMO = fileURLToPath(new URL("../../checkpoints/llava-demo/", import.meta.url));
const PICTURE = join(DEMO, "pictures/fruit.jpg");

let hub: MockHub;
let cache: string;

beforeAll(async () => {
  hub = await MockHub.start();
  cache = await mkdtemp(join(tmpdir(), "llava-hub-"));
  for (const file of await readdir(DEMO, { withFileTypes: true })) {
    if (file.isFile())
      hub.add(file.name, await readFile(join(DEMO, file.name)), file.name.endsWith(".safetensors"));
  }
  // Never fetched: safetensors go before them, and nothing asks for the others.
  hub.add("pytorch_model.bin", "not to be fetched", true);
  hub.add("README.md", "# not to be fetched");
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("HTTP_PROXY", "");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(cache, { recursive: true, force: true });
});

async function ask(
  options: { local_files_only?: boolean; progress_callback?: (progress: Progress) => void } = {},
) {
  const model = await LlavaForConditionalGeneration.from_pretrained("org/model", {
    dtype: "auto",
    ...options,
  });
  const processor = await AutoProcessor.from_pretrained("org/model", options);
  const conversation = [
    {
      role: "user",
      content: [
        { type: "image", path: PICTURE },
        { type: "text", text: "How many strawberries are there?" },
      ],
    },
  ];
  const inputs = await processor.apply_chat_template(conversation, {
    add_generation_prompt: true,
    tokenize: true,
    return_dict: true,
    return_tensors: "pt",
  });
  const generate_ids = await model.generate({ ...inputs, max_new_tokens: 30 });
  await model.dispose();
  return processor.batch_decode(generate_ids, { skip_special_tokens: true })[0];
}

test("a Hub id: downloads what is needed, answers, and answers again without the network", async () => {
  const seen: Progress[] = [];
  const answer = await ask({ progress_callback: (progress) => seen.push(progress) });
  expect(answer).toMatch(/ASSISTANT: There are two strawberries\.$/);
  expect(seen.some(({ status, file }) => status === "download" && file?.endsWith(".safetensors"))).toBe(true);
  expect(seen.some(({ status }) => status === "load")).toBe(true);
  const fetched = hub.log.join("\n");
  expect(fetched).not.toMatch(/pytorch_model\.bin|README/);
  hub.log = [];
  expect(await ask({ local_files_only: true })).toBe(answer);
  expect(hub.log).toEqual([]);
});

test("a revision is that of every file: its own weights, settings and processor", async () => {
  const commit = "b".repeat(40);
  hub.refs.set("v2", commit);
  const options = { revision: "v2", device: "reference" } as const;
  const model = await LlavaForConditionalGeneration.from_pretrained("org/model", options);
  await AutoProcessor.from_pretrained("org/model", { revision: "v2" });
  const stored = join(cache, "models--org--model");
  expect((await readFile(join(stored, "refs/v2"), "utf8")).trim()).toBe(commit);
  const files = await readdir(join(stored, "snapshots", commit));
  for (const file of ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
    expect(files).toContain(file);
  const again = { ...options, local_files_only: true };
  await (await LlavaForConditionalGeneration.from_pretrained("org/model", again)).dispose();
  await model.dispose();
  const unknown = LlavaForConditionalGeneration.from_pretrained("org/model", { revision: "v9" });
  await expect(unknown).rejects.toThrow(/no revision 'v9'/);
  hub.refs.delete("v2");
});

test("pull gives the folder, which is a checkpoint like any other", async () => {
  const folder = await pull("org/model");
  const model = await LlavaForConditionalGeneration.from_pretrained(folder);
  expect(model.config.text_config.hidden_size).toBe(256);
  await model.dispose();
});

test("a model that is not there", async () => {
  const missing = LlavaForConditionalGeneration.from_pretrained("org/nothing");
  await expect(missing).rejects.toThrow(HubError);
  await expect(missing).rejects.toThrow(/org\/nothing/);
});
