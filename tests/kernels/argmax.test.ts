import { expect, test } from "vitest";
import { argmax } from "../../src/kernels/argmax.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import recorded from "../fixtures/kernels/argmax.json" with { type: "json" };

const WORDS: Readonly<Record<string, number>> = {
  inf: Number.POSITIVE_INFINITY,
  "-inf": Number.NEGATIVE_INFINITY,
  nan: Number.NaN,
};

test.each(recorded.cases)("of several largest numbers it is the one that torch gives: $numbers", (entry) => {
  const x = Float32Array.from(entry.numbers, (text) => WORDS[text] ?? Number(text));
  // Rows of others before and behind.
  const rows = new Float32Array(3 * x.length).fill(7);
  rows.set(x, x.length);
  const y = new Tensor("int32", [3], new Int32Array(3));
  argmax.reference({ x: new Tensor("float32", [3, x.length], rows), y }, {});
  expect(Array.from(y.data, Number)).toEqual([0, entry.place, 0]);
});
