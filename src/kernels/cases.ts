import { type DType, fromFloat32 } from "../tensor/dtype.ts";
import { sizeOf, Tensor } from "../tensor/tensor.ts";

/** Numbers from 0 to 1 (not included). */
export type Random = () => number;

/** About normally distributed numbers with a standard deviation of `scale`, none beyond 3.5 times that. */
export function normal(
  random: Random,
  shape: readonly number[],
  scale = 1,
  dtype: DType = "float32",
): Tensor {
  const numbers = new Float32Array(sizeOf(shape));
  for (let i = 0; i < numbers.length; i++) {
    // A sum of four has a variance of 4/12.
    numbers[i] = (random() + random() + random() + random() - 2) * Math.sqrt(3) * scale;
  }
  return new Tensor(dtype, shape, fromFloat32(dtype, numbers));
}

/** Whole numbers from `from` to `to` (not included). */
export function integers(random: Random, count: number, from: number, to: number): Tensor {
  const numbers = Int32Array.from({ length: count }, () => from + Math.floor(random() * (to - from)));
  return new Tensor("int32", [count], numbers);
}

/** An index table. */
export function int32(numbers: readonly number[], ...shape: number[]): Tensor {
  return new Tensor("int32", shape, Int32Array.from(numbers));
}

/** The numbers from 0 to `count` (not included) in a random order. */
export function shuffled(random: Random, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
