import { describe, expect, test } from "vitest";
import { ShapeError } from "../../src/base/errors.ts";
import { sizeOf, Tensor } from "../../src/tensor/tensor.ts";

describe("Tensor", () => {
  test("data must have as many elements as the shape says", () => {
    expect(() => new Tensor("float32", [2, 3], new Float32Array(5))).toThrow(ShapeError);
    expect(() => new Tensor("float32", [2, 3], new Float32Array(5))).toThrow(/\[2,3\] has 6 elements.*5/);
    expect(() => new Tensor("int32", [], [])).toThrow(ShapeError);
    expect(new Tensor("int32", [0, 7], []).data).toEqual(new Int32Array(0));
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([3, 0, 2])).toBe(0);
  });

  test("a typed array is kept, plain numbers are put into one", () => {
    const data = Float32Array.from([1, 2]);
    expect(new Tensor("float32", [2], data).data).toBe(data);
    expect(new Tensor("float64", [2], [0.1, -2]).data).toEqual(Float64Array.from([0.1, -2]));
    expect(new Tensor("int64", [2], [3, -4]).data).toEqual(BigInt64Array.from([3n, -4n]));
    expect(new Tensor("bfloat16", [2], [1, -2]).data).toEqual(Uint16Array.from([0x3f80, 0xc000]));
    expect(new Tensor("float16", [2], [1, -2]).data).toEqual(Uint16Array.from([0x3c00, 0xc000]));
  });

  test("the shape is the tensor's own", () => {
    const shape = [2, 1];
    const tensor = new Tensor("int32", shape, [1, 2]);
    shape[0] = 9;
    expect(tensor.shape).toEqual([2, 1]);
  });
});

describe("fromNested", () => {
  test("takes arrays of any depth, and a plain number", () => {
    expect(
      Tensor.fromNested([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ).toEqual(new Tensor("int32", [2, 3], [1, 2, 3, 4, 5, 6]));
    expect(Tensor.fromNested([[[1.5], [2]]], "float32")).toEqual(new Tensor("float32", [1, 2, 1], [1.5, 2]));
    expect(Tensor.fromNested(7)).toEqual(new Tensor("int32", [], [7]));
  });

  test("takes empty arrays", () => {
    expect(Tensor.fromNested([]).shape).toEqual([0]);
    expect(Tensor.fromNested([[], []]).shape).toEqual([2, 0]);
  });

  test("refuses rows of unequal length, naming both and the remedy", () => {
    expect(() =>
      Tensor.fromNested([
        [1, 2, 3],
        [4, 5],
      ]),
    ).toThrow(/unequal length \(3 and 2\).*padding/);
    expect(() =>
      Tensor.fromNested([
        [1, 2],
        [4, 5, 6],
      ]),
    ).toThrow(ShapeError);
    expect(() => Tensor.fromNested([[], [1]])).toThrow(ShapeError);
    expect(() => Tensor.fromNested([[[1], [2]], [[3]]])).toThrow(ShapeError);
  });

  test("refuses rows of unequal depth", () => {
    expect(() => Tensor.fromNested([[1], 2])).toThrow(ShapeError);
    expect(() => Tensor.fromNested([1, [2]])).toThrow(ShapeError);
    expect(() => Tensor.fromNested([[1], [[2]]])).toThrow(ShapeError);
  });
});

describe("tolist", () => {
  test("nests as deep as the shape", () => {
    expect(new Tensor("int32", [2, 3], [1, 2, 3, 4, 5, 6]).tolist()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(new Tensor("int32", [3, 1, 2], [1, 2, 3, 4, 5, 6]).tolist()).toEqual([
      [[1, 2]],
      [[3, 4]],
      [[5, 6]],
    ]);
    expect(new Tensor("float32", [], [2.5]).tolist()).toBe(2.5);
    expect(new Tensor("int32", [2, 0], []).tolist()).toEqual([[], []]);
  });

  test("gives numbers, whatever the type", () => {
    expect(new Tensor("int64", [1], [5]).tolist()).toEqual([5]);
    expect(new Tensor("bfloat16", [2], [0.5, -3]).tolist()).toEqual([0.5, -3]);
    expect(new Tensor("float16", [2], [0.5, -3]).tolist()).toEqual([0.5, -3]);
    expect(new Tensor("bool", [2], [0, 1]).tolist()).toEqual([0, 1]);
  });
});
