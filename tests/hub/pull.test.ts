import { existsSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { CheckpointError, HubError } from "../../src/base/errors.ts";
import { cacheInfo } from "../../src/hub/cache_info_node.ts";
import { openRepository } from "../../src/hub/open.ts";
import { pull } from "../../src/hub/pull.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { COMMIT, MockHub, OLD_COMMIT } from "./mock_hub.ts";
import { entry, folder, rejection, safetensors } from "./support.ts";

const one = safetensors({ a: entry("F32", [1], 0, 4) }, 4);
const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

let hub: MockHub;
beforeAll(async () => {
  hub = await MockHub.start();
});
afterAll(() => hub.stop());

let home: string;
beforeEach(() => {
  hub.reset();
  home = folder();
  for (const name of [
    "HTTP_PROXY",
    "http_proxy",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
    "HF_HUB_CACHE",
  ]) {
    vi.stubEnv(name, "");
  }
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HOME", home);
  const needed = [
    "config.json",
    "tokenizer.json",
    "chat_template.jinja",
    "additional_chat_templates/rag.jinja",
  ];
  for (const path of needed) hub.add(path, `{"file": "${path}"}`);
  const unneeded = [
    "README.md",
    ".gitattributes",
    "pytorch_model.bin",
    "training_args.bin",
    "image.png",
    "model.fp16.safetensors",
    "onnx/model.onnx",
    "tf_model.h5",
    "other.safetensors",
    "sub/config.json",
  ];
  for (const path of unneeded) hub.add(path, "no", path.endsWith(".bin"));
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const snapshot = (): string => join(home, "hub/models--org--model/snapshots", COMMIT);
const files = (): string[] => (readdirSync(snapshot(), { recursive: true }) as string[]).sort();

test("all that a model needs is fetched, and nothing else", async () => {
  hub.add("model.safetensors", one, true);
  expect(await pull("org/model")).toBe(snapshot());
  expect(files()).toEqual([
    "additional_chat_templates",
    "additional_chat_templates/rag.jinja",
    "chat_template.jinja",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
  ]);
  hub.log = [];
  await pull("org/model");
  expect(hub.log).toHaveLength(1);

  vi.stubEnv("HF_HUB_OFFLINE", "1");
  const repository = await openRepository("org/model");
  const weights = await openWeights(repository);
  expect(weights.names()).toEqual(["a"]);
  await weights.close();
  expect(await pull("org/model")).toBe(snapshot());
});

test("of shards those of the index", async () => {
  hub.add("model.safetensors.index.json", JSON.stringify({ weight_map: { a: shards[0], b: shards[1] } }));
  for (const shard of shards) hub.add(shard, one, true);
  hub.add("model-00001-of-00003.safetensors", one, true);
  await pull("org/model");
  expect(files().filter((file) => file.startsWith("model"))).toEqual([
    ...shards,
    "model.safetensors.index.json",
  ]);
});

test("a variant", async () => {
  hub.add("model.safetensors", one, true);
  hub.add("model.fp16.safetensors", one, true);
  await pull("org/model", { variant: "fp16" });
  expect(files()).toContain("model.fp16.safetensors");
  expect(files()).not.toContain("model.safetensors");
});

test("without safetensors it says what to do, and fetches no .bin", async () => {
  const error = await rejection(pull("org/model"));
  expect(error).toBeInstanceOf(CheckpointError);
  expect(error.message).toMatch(/'variant'/);
  hub.files.delete("model.fp16.safetensors");
  expect((await rejection(pull("org/model"))).message).toMatch(/pytorch_model\.bin.*'revision'/);
  expect(hub.log.filter((line) => line.includes(".bin"))).toEqual([]);
});

test("a folder stays where it is", async () => {
  const path = folder({ "model.safetensors": one, "config.json": "{}" });
  expect(await pull(path)).toBe(path);
  expect(await pull("llava-demo")).toMatch(/checkpoints.llava-demo$/);
  expect(await rejection(pull("org/model", { revison: "x" } as object))).toHaveProperty(
    "message",
    expect.stringMatching(/'revision'/),
  );
});

test("HF_HUB_OFFLINE keeps everything off the network", async () => {
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  expect(await rejection(openRepository("org/model"))).toBeInstanceOf(HubError);
  expect(hub.log).toEqual([]);
});

test("the cache's content is counted, what is shared once", async () => {
  vi.stubEnv("LLAVA_CACHE", join(home, "own"));
  const packed = { folder: join(home, "own/packed"), bytes: 0, copies: [] };
  expect(await cacheInfo()).toEqual({ folder: join(home, "hub"), bytes: 0, models: [], packed });
  hub.add("model.safetensors", one, true);
  await pull("org/model");
  hub.refs.set("v1.0", OLD_COMMIT);
  hub.refs.set("refs/pr/1", OLD_COMMIT);
  hub.add("config.json", "{}");
  for (const revision of ["v1.0", "refs/pr/1"])
    await (await openRepository("org/model", { revision })).text("config.json");
  const blobs = join(home, "hub/models--org--model/blobs");
  // As newer versions of huggingface_hub share content between models.
  mkdirSync(join(home, "hub/blobs/ab"), { recursive: true });
  writeFileSync(join(home, "hub/blobs/ab/abcd"), "shared");
  symlinkSync("../../blobs/ab/abcd", join(blobs, "e".repeat(64)));
  writeFileSync(join(blobs, "x.llava.incomplete"), "unfinished");
  mkdirSync(join(home, "hub/datasets--org--other"));

  const { models, bytes } = await cacheInfo({ cache_dir: join(home, "hub") });
  const size = [...hub.files].reduce(
    (sum, [path, file]) => sum + (existsSync(join(snapshot(), path)) ? file.bytes.length : 0),
    0,
  );
  const first = '{"file": "config.json"}'.length;
  expect(bytes).toBe(size + first + "shared".length);
  expect(models).toEqual([
    {
      id: "org/model",
      folder: join(home, "hub/models--org--model"),
      bytes,
      unfinishedBytes: expect.any(Number),
      lastUsed: expect.any(Date),
      revisions: [
        {
          commit: COMMIT,
          refs: ["main"],
          files: expect.arrayContaining(["config.json", "model.safetensors"]),
        },
        { commit: OLD_COMMIT, refs: ["refs/pr/1", "v1.0"], files: ["config.json"] },
      ],
    },
  ]);
  expect(models[0].unfinishedBytes % 512).toBe(0);
  expect(models[0].unfinishedBytes).toBeGreaterThan(0);
  expect(realpathSync(join(snapshot(), "config.json"))).toContain("blobs");
});
