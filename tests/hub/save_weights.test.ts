import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CheckpointError, OptionError } from "../../src/base/errors.ts";
import { FolderRepository } from "../../src/hub/folder_node.ts";
import {
  encodeHeader,
  encodeIndex,
  parseSize,
  planShards,
  type TensorToWrite,
} from "../../src/hub/safetensors_write.ts";
import { saveWeights } from "../../src/hub/save_weights_node.ts";
import { openWeights } from "../../src/hub/weights.ts";
import { fixture, folder, rejection } from "./support.ts";

const tensor = (name: string, elements: number, dtype: TensorToWrite["dtype"] = "uint8"): TensorToWrite => ({
  name,
  dtype,
  shape: [elements],
  read: async () => new Uint8Array(elements * (dtype === "float32" ? 4 : 1)).fill(name.charCodeAt(0)),
});

test("a file equals Python's, byte for byte, for every element type", async () => {
  const python = readFileSync(fixture("dtypes.safetensors"));
  const source = await openWeights(new FolderRepository("x", folder({ "model.safetensors": python })));
  const tensors = source
    .names()
    .sort()
    .map((name) => source.get(name));
  const { header, ordered } = encodeHeader(tensors, Object.fromEntries(source.metadata));
  const bytes = await Promise.all(ordered.map((each) => each.read()));
  expect(Buffer.concat([header, ...bytes]).equals(python)).toBe(true);
  await source.close();
});

test("a sharded save equals that of Transformers, byte for byte", async () => {
  const source = await openWeights(new FolderRepository("x", fixture("sharded")));
  const order = JSON.parse(readFileSync(fixture("sharded/state_dict.json"), "utf8")) as [string][];
  const out = folder();
  const files = await saveWeights(
    out,
    order.map(([name]) => source.get(name)),
    { max_shard_size: "1KB" },
  );
  expect(files).toEqual(readdirSync(fixture("sharded")).filter((file) => file.startsWith("model")));
  expect(readdirSync(out).sort()).toEqual([...files].sort());
  for (const file of files) {
    expect(readFileSync(join(out, file)).equals(readFileSync(fixture(`sharded/${file}`))), file).toBe(true);
  }
  await source.close();
});

test("a single file into the folder that is read from, and back", async () => {
  const first = folder();
  await saveWeights(first, [tensor("a", 3), tensor("b", 5, "float32")]);
  expect(readdirSync(first)).toEqual(["model.safetensors"]);
  const weights = await openWeights(new FolderRepository("x", first));
  await saveWeights(
    first,
    weights.names().map((name) => weights.get(name)),
    { max_shard_size: 10 },
  );
  await weights.close();
  expect(readdirSync(first)).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  const again = await openWeights(new FolderRepository("x", first));
  expect([...(await again.get("b").read())]).toEqual(Array(20).fill(98));
  await saveWeights(
    first,
    again.names().map((name) => again.get(name)),
  );
  await again.close();
  expect(readdirSync(first)).toEqual(["model.safetensors"]);
});

test("what a former save left is removed, and nothing else", async () => {
  const kept = [
    "config.json",
    "model.fp16.safetensors",
    "model-00001-of-00002.safetensors.bak",
    "modelx-00001-of-00003.safetensors",
    "pytorch_model-00001-of-00002.bin",
  ];
  const stale = ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors"];
  const out = folder(Object.fromEntries([...kept, ...stale].map((file) => [file, "old"])));
  const files = await saveWeights(out, [tensor("a", 8), tensor("b", 8)], { max_shard_size: 8 });
  expect(readdirSync(out).sort()).toEqual([...kept, ...files].sort());
  await saveWeights(out, [tensor("a", 8), tensor("b", 8)], { max_shard_size: 8, variant: "bf16" });
  expect(readdirSync(out)).toContain("model.bf16-00002-of-00002.safetensors");
  expect(readdirSync(out)).toContain("model.safetensors.index.bf16.json");
  expect(readdirSync(out)).toContain("model-00002-of-00002.safetensors");
});

describe("a save that fails leaves the former one", () => {
  const failing: [string, TensorToWrite, RegExp][] = [
    ["a tensor cannot be read", { ...tensor("b", 2), read: () => Promise.reject(new Error("no")) }, /^no$/],
    [
      "a tensor has too few bytes",
      { ...tensor("b", 2), read: async () => new Uint8Array(1) },
      /'b'.*has 2 bytes, got 1/,
    ],
    ["a name comes twice", tensor("a", 2), /same name/],
    ["a name is that of the metadata", tensor("__metadata__", 2), /same name/],
  ];
  test.each(failing)("%s", async (_, bad, message) => {
    const out = folder({ "model.safetensors": "old" });
    expect((await rejection(saveWeights(out, [tensor("a", 1), bad]))).message).toMatch(message);
    expect(readdirSync(out)).toEqual(["model.safetensors"]);
    expect(readFileSync(join(out, "model.safetensors"), "utf8")).toBe("old");
  });

  test("aborted", async () => {
    const out = folder({ "model.safetensors": "old" });
    const reason = new Error("enough");
    expect(await rejection(saveWeights(out, [tensor("a", 1)], { signal: AbortSignal.abort(reason) }))).toBe(
      reason,
    );
    expect(readdirSync(out)).toEqual(["model.safetensors"]);
  });

  test("a folder that is a file", async () => {
    const path = join(folder({ file: "x" }), "file");
    expect(await rejection(saveWeights(path, [tensor("a", 1)]))).toBeInstanceOf(CheckpointError);
  });

  test.skipIf(process.getuid?.() === 0)("a folder that cannot be written to", async () => {
    const out = folder();
    chmodSync(out, 0o500);
    expect(await rejection(saveWeights(out, [tensor("a", 1)]))).toBeInstanceOf(CheckpointError);
  });
});

test("an unknown option is refused", async () => {
  const error = await rejection(saveWeights(folder(), [], { max_shard_sise: 1 } as object));
  expect(error.message).toMatch(/'max_shard_sise'.*'max_shard_size'/);
});

test("no tensors make an empty file that can be read", async () => {
  const out = folder();
  await saveWeights(out, []);
  const weights = await openWeights(new FolderRepository("x", out));
  expect(weights.names()).toEqual([]);
  await weights.close();
});

// As split_torch_state_dict_into_shards of huggingface_hub 2.4 shares them out.
test.each([
  [
    [6, 6, 2, 6, 2, 2],
    ["a", "bc", "def"],
  ],
  [
    [4, 20, 4, 3],
    ["b", "ac", "d"],
  ],
  [
    [20, 20],
    ["a", "b"],
  ],
  [[1, 1], ["ab"]],
])("tensors of %j bytes in shards of 10", (sizes, expected) => {
  const shards = planShards(
    sizes.map((size, i) => tensor("abcdef"[i], size)),
    10,
  );
  expect(shards.map(({ tensors }) => tensors.map(({ name }) => name).join(""))).toEqual(expected);
});

// As huggingface_hub 2.4's parse_size_to_int.
test.each([
  ["5MB", 5_000_000],
  ["1.5kb", 1500],
  [" 50 GB ", 50e9],
  ["2TB", 2e12],
  [7, 7],
])("%j are %d bytes", (size, bytes) => {
  expect(parseSize(size)).toBe(bytes);
});

test.each(["5", "5MiB", "GB", "-1GB", "", 0, -1, Number.NaN])("%j is no size", (size) => {
  expect(() => parseSize(size)).toThrow(OptionError);
});

test("names beyond ASCII are escaped in the index, as Python escapes them", () => {
  const index = encodeIndex([{ file: "model-00001-of-00001.safetensors", tensors: [tensor("ü😀", 1)] }], 1);
  expect(index).toContain('"\\u00fc\\ud83d\\ude00": ');
  expect(JSON.parse(index).weight_map["ü😀"]).toBe("model-00001-of-00001.safetensors");
});
