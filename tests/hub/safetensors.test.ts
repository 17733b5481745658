import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.ts";
import { FileAccess } from "../../src/hub/file_access_node.ts";
import { HEADER_LIMIT, readHeader } from "../../src/hub/safetensors.ts";
import { entry, fixture, folder, MemoryAccess, rejection, safetensors } from "./support.ts";

interface Recorded {
  metadata: Record<string, string>;
  tensors: Record<string, { dtype: string; shape: number[]; bytes: number[] }>;
}

test("every element type is read as Python wrote it", async () => {
  const recorded = JSON.parse(readFileSync(fixture("dtypes.json"), "utf8")) as Recorded;
  const access = await FileAccess.open(fixture("dtypes.safetensors"), "dtypes.safetensors");
  const header = await readHeader(access, "dtypes.safetensors");
  expect(Object.fromEntries(header.metadata)).toEqual(recorded.metadata);
  expect([...header.tensors.keys()].sort()).toEqual(Object.keys(recorded.tensors).sort());
  for (const [name, { dtype, shape, bytes }] of Object.entries(recorded.tensors)) {
    const info = header.tensors.get(name)!;
    expect([info.dtype, info.shape]).toEqual([dtype, shape]);
    expect([...(await access.read(info.begin, info.end - info.begin))]).toEqual(bytes);
  }
  await access.close();
});

const one = entry("F32", [1], 0, 4);
const two = entry("F32", [1], 4, 8);

/** What is wrong, the file, what the message says, the tensor it names. Verdicts as safetensors 0.8 gives them. */
const broken: [string, Uint8Array, RegExp, string?][] = [
  ["no bytes", Buffer.alloc(0), /0 bytes/],
  ["seven bytes", Buffer.alloc(7), /7 bytes/],
  ["header of length 0", safetensors(""), /empty/],
  ["header longer than the file", safetensors({ a: one }, 4, 1000n), /1000 bytes/],
  ["header of 2^63 bytes", safetensors({ a: one }, 4, 2n ** 63n), /9223372036854775808 bytes/],
  ["header of 2^64 - 1 bytes", safetensors({ a: one }, 4, 2n ** 64n - 1n), /18446744073709551615 bytes/],
  ["not UTF-8", safetensors(Buffer.from('{"\xff":1}', "latin1")), /UTF-8/],
  ["not JSON", safetensors("{'a': 1}"), /line 1, column 2/],
  ["NUL padding", safetensors(`${JSON.stringify({ a: one })}\0\0`, 4), /JSON/],
  ["an array", safetensors([]), /not a JSON object/],
  ["null", safetensors("null"), /not a JSON object/],
  ["__metadata__ of numbers", safetensors({ __metadata__: { x: 1 } }), /'x' is not a text/],
  ["__metadata__ a list", safetensors({ __metadata__: [] }), /__metadata__/],
  ["a tensor that is a number", safetensors({ a: 1 }), /expected an object/, "a"],
  ["an unknown dtype", safetensors({ a: entry("F31", [1], 0, 4) }, 4), /dtype.*F31/, "a"],
  ["a dtype this library does not read", safetensors({ a: entry("F8_E4M3", [4], 0, 4) }, 4), /F8_E4M3/, "a"],
  ["a dtype of Object.prototype", safetensors({ a: entry("toString", [1], 0, 4) }, 4), /toString/, "a"],
  ["no dtype", safetensors({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /dtype/, "a"],
  ["a negative size", safetensors({ a: entry("F32", [-1], 0, 4) }, 4), /\[-1\]/, "a"],
  ["a fractional size", safetensors({ a: entry("F32", [1.5], 0, 6) }, 6), /\[1.5\]/, "a"],
  [
    "a size that is text",
    safetensors('{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}', 4),
    /shape/,
    "a",
  ],
  ["no shape", safetensors({ a: { dtype: "F32", data_offsets: [0, 4] } }, 4), /shape/, "a"],
  [
    "a size past 2^53",
    safetensors('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}', 4),
    /shape/,
    "a",
  ],
  ["an uncountable shape", safetensors({ a: entry("F32", [2 ** 40, 2 ** 40], 0, 4) }, 4), /countable/, "a"],
  [
    "an uncountable empty shape",
    safetensors({ a: entry("F32", [2 ** 40, 2 ** 40, 0], 0, 0) }),
    /countable/,
    "a",
  ],
  ["no offsets", safetensors({ a: { dtype: "F32", shape: [1] } }, 4), /data_offsets/, "a"],
  ["three offsets", safetensors({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4, 8] } }, 4), /two/, "a"],
  ["offsets backwards", safetensors({ a: entry("F32", [1], 4, 0) }, 4), /rising/, "a"],
  ["too few bytes for the shape", safetensors({ a: entry("F32", [2], 0, 4) }, 4), /8 bytes.*has 4/, "a"],
  ["a file cut off", safetensors({ a: entry("F32", [2], 0, 8) }, 7), /cut off/, "a"],
  ["bytes after the last tensor", safetensors({ a: one }, 5), /1 bytes follow/],
  ["bytes and no tensor", safetensors({}, 1), /1 bytes follow/],
  ["a gap before the first", safetensors({ a: two }, 8), /gap/, "a"],
  ["a gap", safetensors({ a: one, b: entry("F32", [1], 8, 12) }, 12), /gap/, "b"],
  [
    "an overlap",
    safetensors({ a: entry("F32", [2], 0, 8), b: entry("F32", [2], 4, 12) }, 12),
    /overlaps/,
    "b",
  ],
  ["the same bytes twice", safetensors({ a: one, b: one }, 4), /overlaps/, "b"],
  [
    "an empty tensor inside another",
    safetensors({ a: entry("F32", [2], 0, 8), z: entry("F32", [0], 4, 4) }, 8),
    /overlaps/,
    "z",
  ],
  ["a name twice", safetensors(`{"a":${JSON.stringify(one)},"a":${JSON.stringify(one)}}`, 4), /'a' twice/],
  [
    "a name twice, once escaped",
    safetensors(`{"a":${JSON.stringify(one)},"\\u0061":${JSON.stringify(one)}}`, 4),
    /'a' twice/,
  ],
  [
    "a key of a tensor twice",
    safetensors('{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /'dtype' twice/,
  ],
  [
    "a lone surrogate",
    safetensors('{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /Unicode/,
  ],
];

describe("a broken file is refused, naming file and tensor", () => {
  test.each(broken)("%s", async (_, bytes, message, tensor) => {
    const access = new MemoryAccess(bytes);
    const error = (await rejection(readHeader(access, "model.safetensors"))) as CheckpointError;
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/^model\.safetensors: /);
    expect(error.message).toMatch(message);
    expect(error.file).toBe("model.safetensors");
    expect(error.tensors).toEqual(tensor === undefined ? [] : [tensor]);
    if (tensor !== undefined) expect(error.message).toContain(`tensor '${tensor}'`);
  });
});

/** Files that the Rust implementation takes too. */
const sound: [string, Uint8Array, string[]][] = [
  ["nothing in it", safetensors({}), []],
  ["a scalar", safetensors({ a: entry("F32", [], 0, 4) }, 4), ["a"]],
  ["spaces around the header", safetensors(`  ${JSON.stringify({ a: one })}   `, 4), ["a"]],
  ["tensors in another order than their bytes", safetensors({ b: two, a: one }, 8), ["b", "a"]],
  [
    "empty tensors at the border of others",
    safetensors({ b: one, z: entry("F16", [0, 3], 4, 4), c: two }, 8),
    ["b", "z", "c"],
  ],
  ["unknown keys", safetensors({ a: { ...one, extra: 1 } }, 4), ["a"]],
  ["__metadata__ null", safetensors({ __metadata__: null, a: one }, 4), ["a"]],
  [
    "a tensor named __proto__",
    safetensors(`{"__proto__":${JSON.stringify(one)},"toString":${JSON.stringify(two)}}`, 8),
    ["__proto__", "toString"],
  ],
  ["a name with braces and quotes", safetensors({ '{"a":': one, "a\\": two }, 8), ['{"a":', "a\\"]],
];

test.each(sound)("a sound file is taken: %s", async (_, bytes, names) => {
  const { tensors } = await readHeader(new MemoryAccess(bytes), "x");
  expect([...tensors.keys()]).toEqual(names);
});

test("a lying header length is refused at once, with 8 bytes read", async () => {
  const access = new MemoryAccess(safetensors({}, 0, BigInt(HEADER_LIMIT + 1)), 2 ** 40);
  const began = performance.now();
  await rejection(readHeader(access, "x"));
  expect(performance.now() - began).toBeLessThan(500);
  expect(access.bytesRead).toBe(8);
});

test("a read past the end of a file takes no memory and says so", async () => {
  const path = `${folder({ "a.bin": "12345" })}/a.bin`;
  const access = await FileAccess.open(path, "a.bin");
  expect(Buffer.from(await access.read(1, 3)).toString()).toBe("234");
  for (const [offset, length] of [
    [0, 6],
    [5, 1],
    [-1, 2],
    [0, Number.NaN],
    [2, 2 ** 45],
  ]) {
    const error = await rejection(access.read(offset, length));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/^a\.bin: cut off/);
  }
  await access.close();
});
