import { describe, expect, test } from "vitest";
import type { AnyKernel } from "../../src/devices/recording_device.ts";
import { ACTIVATIONS, type ActivationName, activation } from "../../src/kernels/activation.ts";
import { erf } from "../../src/kernels/erf.ts";
import { linear } from "../../src/kernels/linear.ts";
import { patches } from "../../src/kernels/patches.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { allKernels } from "./kernels.ts";
import { type Call, Recorded } from "./recorded.ts";
import { difference, referenceOf } from "./trial.ts";

const recorded = await Recorded.read();
const KERNELS = new Map((await allKernels()).map((kernel) => [kernel.name, kernel]));

/**
 * Not here: `activation` has its own tests below, `argmax` in `argmax.test.ts`; three kernels measure a device, and are part of no model; those of
 * packed weights are rules of this library, which `formats.test.ts` holds against plain products.
 */
const ELSEWHERE = new Set([
  ...[activation.name, "argmax", "row_maxima", "multiply_adds", "byte_dots"],
  ...["quantise_rows", "packed_linear", "expanded_linear", "packed_embedding", "pack_weights", "checksum"],
]);

function numbers(name: string): number[] {
  return Array.from(recorded.tensor(name).data, Number);
}

/** What the reference form gives for a recorded call, and the tolerance that goes with it. */
function computed(call: Call): { y: Tensor; tolerance: number } {
  if (call.kernel === "patches+linear") {
    const { pixels, weight, bias } = call.tensors;
    const patch = { tensors: { pixels }, params: call.params };
    const x = referenceOf(patches as unknown as AnyKernel, patch);
    const flat = new Tensor(weight.dtype, [weight.shape[0], x.shape[1]], weight.data);
    const product = { tensors: { x, weight: flat, bias }, params: {} };
    return { y: referenceOf(linear as unknown as AnyKernel, product), tolerance: linear.tolerance };
  }
  const kernel = KERNELS.get(call.kernel);
  if (!kernel) throw new Error(`there is no kernel ${call.kernel}`);
  return { y: referenceOf(kernel, call), tolerance: kernel.tolerance };
}

describe("kernels give what PyTorch and Transformers give", () => {
  for (const [i, call] of recorded.calls.entries()) {
    test(`${i} ${call.kernel}: ${call.what}`, () => {
      const { y, tolerance } = computed(call);
      expect(y.shape).toEqual(call.y.shape);
      expect(difference(y, call.y)).toBeLessThanOrEqual(tolerance);
    });
  }

  test("every kernel is among them", () => {
    const called = new Set(recorded.calls.map(({ kernel }) => kernel));
    const missing = [...KERNELS.keys()].filter((name) => !ELSEWHERE.has(name) && !called.has(name));
    expect(missing).toEqual([]);
  });
});

describe("activations", () => {
  test("all that need no numbers of their own are there", () => {
    expect(Object.keys(ACTIVATIONS).toSorted()).toEqual([...recorded.activations].toSorted());
  });

  test.each(recorded.activations)("%s in float64", (name) => {
    const f = ACTIVATIONS[name as ActivationName];
    for (const [i, expected] of numbers(`activations.${name}.float64`).entries()) {
      const x = numbers("activations.x")[i];
      const y = f(x);
      if (Number.isFinite(expected)) {
        // Near 0 the numbers themselves must be right, elsewhere what is left after cancelling.
        const allowed =
          Math.abs(x) < 1 ? 4e-15 * Math.abs(expected) : 4e-15 * Math.max(1, Math.abs(expected));
        expect(Math.abs(y - expected), `${name}(${x}) is ${expected}, not ${y}`).toBeLessThanOrEqual(allowed);
      } else expect(y, `${name}(${x})`).toBe(expected);
    }
  });

  test.each(recorded.activations)("%s in float32", (name) => {
    const x = Float32Array.from(numbers("activations.x"));
    const y = new Float32Array(x.length);
    const arrays = { x: new Tensor("float32", [x.length], x), y: new Tensor("float32", [x.length], y) };
    activation.reference(arrays, { act: name as ActivationName });
    for (const [i, expected] of numbers(`activations.${name}.float32`).entries()) {
      // On some processors PyTorch's float32 gelu of Infinity is not a number.
      if (x[i] === Number.POSITIVE_INFINITY) continue;
      if (Number.isFinite(expected)) {
        const allowed = activation.tolerance * Math.max(1, Math.abs(expected));
        expect(Math.abs(y[i] - expected), `${name}(${x[i]})`).toBeLessThanOrEqual(allowed);
      } else expect(y[i], `${name}(${x[i]})`).toBe(expected);
    }
  });
});

test("erf is right to the last digits", () => {
  const y = numbers("erf.y");
  for (const [i, x] of numbers("erf.x").entries())
    expect(Math.abs(erf(x) - y[i]), `erf(${x})`).toBeLessThanOrEqual(4.5e-16 * Math.abs(y[i]));
  expect(erf(Number.NaN)).toBeNaN();
  expect(Object.is(erf(-0), -0)).toBe(true);
});
