import { expect, test } from "vitest";
import { UnsupportedError } from "../../src/base/errors.ts";
import { avx2 } from "../../src/codegen/target.ts";
import type { Machine, Region } from "../../src/devices/vector/machine.ts";
import { VectorDevice } from "../../src/devices/vector/vector_device.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

const MOST = 1024;

/** Memory of pieces of `MOST` bytes at most, which nobody can use once they are freed. Runs nothing. */
function machineOf(): Machine {
  const allocate = (bytes: number): Region => {
    if (bytes > MOST) throw new UnsupportedError(`there are no ${bytes} bytes`);
    let memory: ArrayBuffer | undefined = new ArrayBuffer(bytes);
    const alive = (): ArrayBuffer => {
      if (!memory) throw new Error("memory is used after it was freed");
      return memory;
    };
    return {
      address: 64,
      bytes,
      array: (type, offset, length) => new type(alive(), offset, length),
      write: (offset, source) => new Uint8Array(alive()).set(source, offset),
      free: () => {
        memory = undefined;
      },
    };
  };
  const stop = async (): Promise<void> => {};
  return {
    target: avx2(),
    threads: 1,
    steady: true,
    allocate,
    compile: () => 1,
    run: stop,
    abort() {},
    stop,
    dispose() {},
  };
}

test("a step that finds no memory leaves the device usable for smaller ones", async () => {
  const device = new VectorDevice("test", machineOf(), "runs nothing");
  const step = (columns: number): Promise<Tensor[]> =>
    device.step(() => [
      device.upload(new Tensor("float32", [1, columns], new Float32Array(columns).fill(3))),
    ]);
  await step(7);
  await expect(step(1000)).rejects.toThrow(UnsupportedError);
  for (const columns of [5, 11]) {
    const [{ shape, data }] = await step(columns);
    expect([shape, [...data]]).toEqual([[1, columns], Array(columns).fill(3)]);
  }
  await device.dispose();
});
