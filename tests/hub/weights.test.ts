import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { env } from "../../src/base/env.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { FolderRepository } from "../../src/hub/folder_node.ts";
import { openWeights, weightFiles } from "../../src/hub/weights.ts";
import { entry, fixture, folder, rejection, safetensors } from "./support.ts";

const one = safetensors({ a: entry("F32", [1], 0, 4) }, 4);
const both = safetensors({ a: entry("F32", [1], 0, 4), b: entry("F32", [1], 4, 8) }, 8);
const index = (weight_map: unknown): string => JSON.stringify({ metadata: { total_size: 1 }, weight_map });
const shardNames = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

function repository(files: Record<string, string | Uint8Array>): FolderRepository {
  return new FolderRepository("here", folder(files));
}

afterEach(() => {
  vi.restoreAllMocks();
});

test("a sharded save of Transformers opens whole", async () => {
  const shapes = JSON.parse(readFileSync(fixture("sharded/state_dict.json"), "utf8")) as [string, number[]][];
  const weights = await openWeights(new FolderRepository("sharded", fixture("sharded")));
  expect(weights.names().sort()).toEqual(shapes.map(([name]) => name).sort());
  for (const [name, shape] of shapes) {
    const tensor = weights.get(name);
    expect([tensor.dtype, tensor.shape]).toEqual(["float32", shape]);
    expect((await tensor.read()).length).toBe(4 * shape.reduce((a, b) => a * b, 1));
  }
  // torch initialises the scale of a layer norm with ones.
  expect([...new Float32Array((await weights.get("pre_layrnorm.weight").read()).buffer)]).toEqual(
    Array(6).fill(1),
  );
  expect(Object.fromEntries(weights.metadata)).toEqual({ format: "pt" });
  await weights.close();
});

test("model.safetensors goes before the index, and a variant has names of its own", async () => {
  const files = {
    "model.safetensors": one,
    "model.safetensors.index.json": index({ b: shardNames[0] }),
    [shardNames[0]]: both,
    "model.fp16.safetensors": both,
    "model.safetensors.index.bf16.json": index({ a: "model.bf16-00001-of-00001.safetensors" }),
    "model.bf16-00001-of-00001.safetensors": one,
  };
  const here = repository(files);
  const names = async (variant?: string): Promise<string[]> => {
    const weights = await openWeights(here, { variant });
    await weights.close();
    return weights.names();
  };
  expect(await names()).toEqual(["a"]);
  expect(await names("fp16")).toEqual(["a", "b"]);
  expect(await names("bf16")).toEqual(["a"]);
  expect(await weightFiles(here, { variant: "bf16" })).toEqual([
    "model.safetensors.index.bf16.json",
    "model.bf16-00001-of-00001.safetensors",
  ]);
});

test("tensors that the index lacks are used, with one warning; of a name in two shards the index's is used", async () => {
  const said = vi.spyOn(env, "logger").mockImplementation(() => {});
  const second = safetensors(
    { a: entry("F16", [1], 0, 2), b: entry("F16", [1], 2, 4), c: entry("U8", [1], 4, 5) },
    5,
  );
  const weights = await openWeights(
    repository({
      "model.safetensors.index.json": index({ a: shardNames[1], b: shardNames[0] }),
      [shardNames[0]]: both,
      [shardNames[1]]: second,
    }),
  );
  expect(weights.names().sort()).toEqual(["a", "b", "c"]);
  expect(weights.get("a").dtype).toBe("float16");
  expect(weights.get("b").dtype).toBe("float32");
  expect(weights.get("c").file).toBe(shardNames[1]);
  expect(said.mock.calls).toEqual([[expect.stringMatching(/lacks 1 tensors.*c \(model-00002/)]]);
  await weights.close();
});

/** What is wrong, the files, what the message says, the file at fault. */
const broken: [string, Record<string, string | Uint8Array>, RegExp, string][] = [
  [
    "nothing there",
    {},
    /looked for model\.safetensors and model\.safetensors\.index\.json/,
    "model.safetensors",
  ],
  [
    "only pytorch_model.bin",
    { "pytorch_model.bin": "x" },
    /pytorch_model\.bin.*save_pretrained/,
    "model.safetensors",
  ],
  ["only another variant", { "model.fp16.safetensors": one }, /'variant'/, "model.safetensors"],
  ["an empty index", { "model.safetensors.index.json": "" }, /empty/, "model.safetensors.index.json"],
  [
    "an index without map",
    { "model.safetensors.index.json": "{}" },
    /weight_map/,
    "model.safetensors.index.json",
  ],
  [
    "an index with a list",
    { "model.safetensors.index.json": index([]) },
    /weight_map/,
    "model.safetensors.index.json",
  ],
  [
    "an empty map",
    { "model.safetensors.index.json": index({}) },
    /weight_map/,
    "model.safetensors.index.json",
  ],
  [
    "a number for a file",
    { "model.safetensors.index.json": index({ a: 1 }) },
    /'a'.*got 1/,
    "model.safetensors.index.json",
  ],
  [
    "a .bin shard",
    { "model.safetensors.index.json": index({ a: "m.bin" }) },
    /m\.bin/,
    "model.safetensors.index.json",
  ],
  [
    "a shard that is not there",
    { "model.safetensors.index.json": index({ a: shardNames[0], b: shardNames[1] }), [shardNames[0]]: one },
    /names 2 files, but model-00002-of-00002.safetensors is not there/,
    shardNames[1],
  ],
  [
    "a tensor not in its shard",
    {
      "model.safetensors.index.json": index({ a: shardNames[0], b: shardNames[0], c: shardNames[0] }),
      [shardNames[0]]: both,
    },
    /1 tensors .*: c$/,
    shardNames[0],
  ],
  [
    "a tensor in the wrong shard",
    {
      "model.safetensors.index.json": index({ a: shardNames[0], b: shardNames[0] }),
      [shardNames[0]]: one,
      [shardNames[1]]: both,
    },
    /: b$/,
    shardNames[0],
  ],
  [
    "a damaged shard",
    { "model.safetensors.index.json": index({ a: shardNames[0] }), [shardNames[0]]: "no" },
    /2 bytes/,
    shardNames[0],
  ],
  [
    "a shard above the folder",
    { "model.safetensors.index.json": index({ a: "../x.safetensors" }) },
    /'\.\.'/,
    "../x.safetensors",
  ],
  [
    "an absolute shard",
    { "model.safetensors.index.json": index({ a: "/etc/x.safetensors" }) },
    /absolute/,
    "/etc/x.safetensors",
  ],
  [
    "a shard on a drive",
    { "model.safetensors.index.json": index({ a: "C:x.safetensors" }) },
    /absolute/,
    "C:x.safetensors",
  ],
  [
    "a shard with backslashes",
    { "model.safetensors.index.json": index({ a: "..\\x.safetensors" }) },
    /backslash/,
    "..\\x.safetensors",
  ],
];

describe("weights that cannot be used are refused", () => {
  test.each(broken)("%s", async (_, files, message, file) => {
    const error = (await rejection(openWeights(repository(files)))) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(message);
    expect(error.file).toBe(file);
  });
});

test("a tensor that is not there is named", async () => {
  const weights = await openWeights(repository({ "model.safetensors": one }));
  expect(() => weights.get("toString")).toThrow(/no tensor 'toString'/);
  await weights.close();
});

test("links of a snapshot lead out of the folder, folders named like a file are no file", async () => {
  const blobs = folder({ blob: one });
  const path = folder();
  symlinkSync(join(blobs, "blob"), join(path, "model.safetensors"));
  mkdirSync(join(path, "config.json"));
  const here = new FolderRepository("here", path);
  expect(await here.list()).toEqual(["model.safetensors"]);
  expect(await here.has("config.json")).toBe(false);
  const weights = await openWeights(here);
  expect(weights.names()).toEqual(["a"]);
  await weights.close();
});
