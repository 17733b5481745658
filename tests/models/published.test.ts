import { readFileSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadParameters } from "../../src/api/loading.ts";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { env } from "../../src/base/env.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { openRepository } from "../../src/hub/open.ts";
import { encodeHeader, planShards } from "../../src/hub/safetensors_write.ts";
import { openWeights } from "../../src/hub/weights.ts";
import type { ConfigDict } from "../../src/models/config_fields.ts";
import { moduleKey } from "../../src/models/llava/checkpoint_keys.ts";
import { LlavaConfig } from "../../src/models/llava/configuration_llava.ts";
import { LlavaForConditionalGenerationModule } from "../../src/models/llava/modeling_llava.ts";
import { PixtralVisionModel } from "../../src/models/pixtral/modeling_pixtral.ts";

env.logger = () => {};

/** How many parameters have a name, layers counted as one, and their shape. */
type Tree = Record<string, [count: number, shape: number[]]>;

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/published/${name}.json`, import.meta.url), "utf8"));
}
const configs = fixture<{
  vision: Record<string, ConfigDict>;
  models: { name: string; config: Record<string, unknown> & { vision_config: string | ConfigDict } }[];
}>("configs");
const { models, trees } = fixture<{ models: Record<string, number>; trees: Tree[] }>("trees");
const names = fixture<{ models: Record<string, Record<string, number>> }>("names").models;

function configOf(name: string): LlavaConfig {
  const { config } = configs.models.find((model) => model.name === name) ?? {};
  if (!config) throw new Error(`the fixture has no config of ${name}`);
  const vision_config =
    typeof config.vision_config === "string" ? configs.vision[config.vision_config] : config.vision_config;
  return LlavaConfig.from_dict({ ...config, vision_config });
}

function treeOf(config: LlavaConfig): Tree {
  const found: Tree = {};
  for (const [name, { shape }] of new LlavaForConditionalGenerationModule(config).named_parameters()) {
    const pattern = name.replace(/layers\.\d+\./, "layers.*.");
    found[pattern] ??= [0, [...shape]];
    found[pattern][0]++;
    expect(shape, name).toEqual(found[pattern][1]);
  }
  return found;
}

describe("module trees of published configs", () => {
  test.each(configs.models.map(({ name }) => name))("%s: names and shapes as in Transformers", (name) => {
    expect(treeOf(configOf(name))).toEqual(trees[models[name]]);
  });

  test.each(Object.keys(names))("%s: the published names", (name) => {
    const tree = trees[models[name]];
    const published = Object.entries(names[name]).map(([key, count]) => [moduleKey(key), count]);
    const expected = Object.entries(tree).map(([key, [count]]) => [key, count]);
    expect(Object.fromEntries(published)).toEqual(Object.fromEntries(expected));
  });

  test("a head_dim that no computation comes of is said when pictures come", () => {
    const { vision_config } = configOf("aws-neuron/tiny-pixtral");
    const tower = new PixtralVisionModel(vision_config as never);
    const pixels = { shape: [1, 3, 32, 32] };
    const forward = (): unknown => tower.forward(pixels as never, {}, { hidden_states: [] });
    expect(forward).toThrow(/head_dim.*16 elements.*88/);
  });
});

interface Stored {
  name: string;
  dtype: "float16";
  shape: number[];
  read(): Promise<Uint8Array>;
}

/** The tensors of llava-1.5-7b under their published names. */
function publishedTensors(name: string): Stored[] {
  const tree = trees[models[name]];
  return Object.entries(names[name]).flatMap(([pattern, count]) =>
    Array.from({ length: count }, (_, layer) => ({
      name: pattern.replace("*", String(layer)),
      dtype: "float16" as const,
      shape: tree[moduleKey(pattern)][1],
      read: () => Promise.reject(new Error("a weight was read")),
    })),
  );
}

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** A checkpoint of zeros that takes no room on the disk. */
async function sparseFolder(config: LlavaConfig, tensors: readonly Stored[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "llava-sparse-"));
  folders.push(folder);
  await writeFile(join(folder, "config.json"), JSON.stringify(config.to_dict()));
  const weight_map: Record<string, string> = {};
  for (const { file, tensors: part } of planShards(tensors, 5e9)) {
    const { header } = encodeHeader(part, { format: "pt" });
    const bytes = part.reduce((sum, { shape }) => sum + 2 * shape.reduce((a, b) => a * b), 0);
    const handle = await open(join(folder, file), "w");
    await handle.write(header);
    await handle.truncate(header.length + bytes);
    await handle.close();
    for (const { name } of part) weight_map[name] = file;
  }
  const index = JSON.stringify({ metadata: {}, weight_map });
  await writeFile(join(folder, "model.safetensors.index.json"), index);
  return folder;
}

describe("a folder with the names and shapes of llava-1.5-7b", () => {
  const name = "llava-hf/llava-1.5-7b-hf";

  test("fits, and is not read to find that out", async () => {
    const config = configOf(name);
    const folder = await sparseFolder(config, publishedTensors(name));
    const start = performance.now();
    const weights = await openWeights(await openRepository(folder));
    expect(weights.names().length).toBe(686);
    expect(new Set(weights.names().map((tensor) => weights.get(tensor).file)).size).toBe(3);
    const signal = AbortSignal.abort(new Error("checked"));
    const root = new LlavaForConditionalGenerationModule(config);
    const loading = loadParameters(root, weights, new ReferenceDevice(), {
      dtype: "auto",
      unused: [],
      signal,
    });
    await expect(loading).rejects.toThrow("checked");
    expect(performance.now() - start).toBeLessThan(1000);
    await weights.close();
  });

  test("what is missing and what has another shape is listed, before anything is read", async () => {
    const missing = "language_model.model.layers.17.mlp.up_proj.weight";
    const misshapen = "vision_tower.vision_model.embeddings.position_embedding.weight";
    const tensors = publishedTensors(name)
      .filter((tensor) => tensor.name !== missing)
      .map((tensor) => (tensor.name === misshapen ? { ...tensor, shape: [257, 1024] } : tensor));
    const folder = await sparseFolder(configOf(name), tensors);
    const start = performance.now();
    const error = await LlavaForConditionalGeneration.from_pretrained(folder, { device: "reference" }).catch(
      (reason) => reason,
    );
    expect(performance.now() - start).toBeLessThan(1000);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(
      `${misshapen}: expected [577,1024], checkpoint has [257,1024] (model-0000`,
    );
    expect(error.message).toContain(
      "missing from the checkpoint: model.language_model.layers.17.mlp.up_proj.weight",
    );
    expect(error.tensors).toEqual(["model.language_model.layers.17.mlp.up_proj.weight", misshapen]);
  });
});
