import { describe, expect, expectTypeOf, it } from "vitest";
import { OptionError, ShapeError } from "../../src/base/errors.ts";
import { BatchFeature } from "../../src/models/processing/batch_feature.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

const half = () => new Tensor("float32", [2], [1.5, -2.25]);

describe("BatchFeature", () => {
  it("holds its data as own keys, and can do what a dictionary can", () => {
    const pixel_values = half();
    const batch = new BatchFeature({ pixel_values, names: ["a", "b"] });
    expectTypeOf(batch.pixel_values).toEqualTypeOf<Tensor>();
    expectTypeOf(batch.get("names")).toEqualTypeOf<string[]>();
    expect({ ...batch }).toEqual({ pixel_values, names: ["a", "b"] });
    expect(batch.keys()).toEqual(["pixel_values", "names"]);
    expect(batch.values()).toEqual([pixel_values, ["a", "b"]]);
    expect(batch.items()).toEqual([
      ["pixel_values", pixel_values],
      ["names", ["a", "b"]],
    ]);
    expect(batch.get("nothing")).toBeUndefined();
    expect(batch.get("keys", 3)).toBe(3);
    expect("pixel_values" in batch).toBe(true);
    expect(batch).toBeInstanceOf(BatchFeature);
    expect({ ...new BatchFeature() }).toEqual({});
  });

  it("makes numbers tensors, and leaves the rest", () => {
    const data = {
      whole: [
        [1, 2, 3],
        [4, 5, 6],
      ],
      broken: [0.5, 1],
      stacked: [half(), half()],
      names: ["a"],
      skipped: [1, 2],
    };
    const batch = new BatchFeature(data, "pt", ["skipped"]);
    expect(batch.whole).toEqual(new Tensor("int32", [2, 3], [1, 2, 3, 4, 5, 6]));
    expect(batch.broken).toEqual(new Tensor("float32", [2], [0.5, 1]));
    expect(batch.stacked).toEqual(new Tensor("float32", [2, 2], [1.5, -2.25, 1.5, -2.25]));
    expect([batch.names, batch.skipped]).toEqual([["a"], [1, 2]]);
    batch.convert_to_tensors("np");
    expect(batch.skipped).toBeInstanceOf(Tensor);
    expect(new BatchFeature({ a: [1] }).a).toEqual([1]);
  });

  it("refuses what has no one shape, naming it", () => {
    const ragged = () => new BatchFeature({ input_ids: [[1, 2], [3]] }, "pt");
    expect(ragged).toThrow(ShapeError);
    expect(ragged).toThrow(/'input_ids'.*padding/);
    const unequal = { pixel_values: [half(), new Tensor("float32", [3], [1, 2, 3])] };
    expect(() => new BatchFeature(unequal, "pt")).toThrow(/'pixel_values'/);
    expect(() => new BatchFeature({}, "tf" as "pt")).toThrow(OptionError);
  });

  it("casts its fractions, and lets a device be named", () => {
    const ids = new Tensor("int32", [1], [7]);
    const batch = new BatchFeature({ pixel_values: half(), ids });
    expect(batch.to("cpu")).toBe(batch);
    expect(batch.pixel_values.dtype).toBe("float32");
    batch.to("webgpu", "float16");
    expect(batch.pixel_values.dtype).toBe("float16");
    expect(batch.pixel_values.tolist()).toEqual([1.5, -2.25]);
    expect(batch.ids).toBe(ids);
    expect(batch.to("float32").pixel_values).toEqual(half());
    expect(() => batch.to("cuda")).toThrow(OptionError);
  });
});
