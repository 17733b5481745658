import type { Tensor } from "../tensor/tensor.ts";
import type { Value } from "./device.ts";
import type { HostArrays, KernelInputs } from "./kernel.ts";
import type { Command } from "./recording_device.ts";

/**
 * Computes a command by its kernel's reference.
 *
 * @param find gives a Value's numbers. Those of the output are written over: zeros, unless the kernel works in place.
 */
export function runReference(
  { kernel, inputs, params, output }: Command,
  find: (value: Value) => Tensor,
): void {
  const arrays: Record<string, Tensor> = { y: find(output) };
  for (const [name, value] of Object.entries(inputs)) if (value) arrays[name] = find(value);
  kernel.reference(arrays as HostArrays<KernelInputs>, params);
}
