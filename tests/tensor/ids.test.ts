import { describe, expect, test } from "vitest";
import { OptionError, ShapeError } from "../../src/base/errors.ts";
import { checkTensor, checkVocabulary, idRows } from "../../src/tensor/ids.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

describe("idRows", () => {
  test("takes a tensor, nested arrays, or one row", () => {
    const rows = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    expect(idRows("input_ids", Tensor.fromNested(rows))).toEqual(rows);
    expect(idRows("input_ids", Tensor.fromNested(rows, "int64"))).toEqual(rows);
    expect(idRows("input_ids", rows)).toEqual(rows);
    expect(idRows("input_ids", [7, 8])).toEqual([[7, 8]]);
    expect(idRows("input_ids", new Tensor("int32", [2], [7, 8]))).toEqual([[7, 8]]);
  });

  test("its rows are copies", () => {
    const rows = [[1, 2]];
    idRows("input_ids", rows)[0][0] = 9;
    expect(rows).toEqual([[1, 2]]);
  });

  test("refuses what is no rows of whole numbers, naming the option", () => {
    expect(() => idRows("input_ids", [[1, 2], [3]])).toThrow(ShapeError);
    expect(() => idRows("input_ids", [[1, 2], [3]])).toThrow(/input_ids: .*\(2 and 1\).*padding/);
    expect(() => idRows("input_ids", [[1, 2.5]])).toThrow(/input_ids: .*2\.5/);
    expect(() => idRows("labels", new Tensor("int32", [1, 1, 2], [1, 2]))).toThrow(/labels: .*\[1,1,2\]/);
    expect(() => idRows("input_ids", new Tensor("int32", [], [1]))).toThrow(ShapeError);
    expect(() => idRows("input_ids", "1 2" as never)).toThrow(OptionError);
    expect(() => idRows("input_ids", [["1"]] as never)).toThrow(OptionError);
    expect(() => idRows("input_ids", [[Number.NaN]])).toThrow(OptionError);
  });
});

test("checkVocabulary refuses ids outside, but for the placeholder", () => {
  expect(() => checkVocabulary("input_ids", [[0, 99]], 100)).not.toThrow();
  expect(() => checkVocabulary("input_ids", [[0], [100]], 100)).toThrow(/input_ids: 100 .* 0 to 99/);
  expect(() => checkVocabulary("input_ids", [[-1]], 100)).toThrow(OptionError);
  expect(() => checkVocabulary("input_ids", [[120]], 100, 120)).not.toThrow();
  expect(() => checkVocabulary("input_ids", [[121]], 100, 120)).toThrow(OptionError);
});

describe("checkTensor", () => {
  const check = (tensor: unknown): Tensor =>
    checkTensor("pixel_values", tensor, [-1, 3, 4], "a hint", "float32");

  test("gives the tensor where it fits", () => {
    const tensor = new Tensor("float32", [2, 3, 4], new Float32Array(24));
    expect(check(tensor)).toBe(tensor);
  });

  test.each([
    ["another size", new Tensor("float32", [2, 4, 3], new Float32Array(24))],
    ["another rank", new Tensor("float32", [3, 4], new Float32Array(12))],
    ["another type", new Tensor("float16", [1, 3, 4], new Uint16Array(12))],
    ["nothing in it", new Tensor("float32", [0, 3, 4], new Float32Array(0))],
    ["no tensor", [[[1]]]],
  ])("refuses %s, saying what is expected", (_, tensor) => {
    expect(() => check(tensor)).toThrow(ShapeError);
    expect(() => check(tensor)).toThrow(
      /pixel_values: expected a float32 Tensor of shape \[\*, 3, 4\] \(a hint\)/,
    );
  });
});
