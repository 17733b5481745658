import { afterAll, describe, expect, test } from "vitest";
import { loadParameters } from "../../src/api/loading.ts";
import { UnsupportedError } from "../../src/base/errors.ts";
import { commandBytes, writeCommands } from "../../src/codegen/commands.ts";
import { program } from "../../src/codegen/ir.ts";
import { wasm } from "../../src/codegen/target.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { InlineRunner } from "../../src/devices/wasm/inline.ts";
import { WasmMemory } from "../../src/devices/wasm/memory.ts";
import { openWasmDevice } from "../../src/devices/wasm/open_wasm.ts";
import { ThreadRunner } from "../../src/devices/wasm/threads.ts";
import { WasmMachine } from "../../src/devices/wasm/wasm_machine.ts";
import type { Weights } from "../../src/hub/weights.ts";
import { Linear } from "../../src/nn/layers.ts";

describe("the memory", () => {
  test("gives zeros, also where something was before, at addresses that others do not have", () => {
    const memory = new WasmMemory(false);
    const [a, b] = [memory.allocate(100), memory.allocate(100_000)];
    expect(a.address).toBeGreaterThan(0);
    expect(b.address).toBeGreaterThanOrEqual(a.address + 100);
    b.array(Uint8Array, 0, 100_000).fill(7);
    a.write(0, new Uint8Array(100).fill(9));
    b.free();
    const c = memory.allocate(200_000);
    expect(c.address).toBe(b.address);
    expect(c.array(Uint8Array, 0, 200_000).every((byte) => byte === 0)).toBe(true);
    expect([...a.array(Uint8Array, 98, 2)]).toEqual([9, 9]);
    expect(() => b.array(Uint8Array, 0, 1)).toThrow(UnsupportedError);
    expect(() => c.array(Uint8Array, 199_999, 2)).toThrow(UnsupportedError);
  });

  test("that is full says what is needed and what is possible, and goes on", () => {
    const memory = new WasmMemory(true);
    const bytes = 2 ** 32;
    let error: unknown;
    try {
      memory.allocate(bytes);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(String(error)).toContain(String(bytes));
    expect(String(error)).toContain(String(memory.capacity));
    expect(memory.allocate(8).array(Uint8Array, 0, 8).length).toBe(8);
  });
});

describe.each(["threads", "inline"])("a machine with %s", (kind) => {
  const target = wasm();
  const memory = new WasmMemory(kind === "threads");
  const runner = kind === "threads" ? new ThreadRunner(memory, 2) : new InlineRunner(memory);
  const machine = new WasmMachine(target, memory, runner);
  const started = runner instanceof ThreadRunner ? runner.start() : Promise.resolve();
  afterAll(() => machine.stop());

  /** A list with one command, whose program is given the address `at`. */
  function listOf(code: number, at: number, tiles: number): number {
    const region = machine.allocate(commandBytes(1) + 8);
    const { buffer, byteOffset } = region.array(Uint8Array, 0, region.bytes);
    const block = region.address + commandBytes(1);
    new DataView(buffer, block).setBigInt64(0, BigInt(at), true);
    writeCommands(new DataView(buffer, byteOffset, commandBytes(1)), [{ program: code, block, tiles }]);
    return region.address;
  }

  const mark = machine.compile(
    program("mark", target, ["y"], (b, { y }) => b.cursor(y, b.tile.times(4)).writeInt(0, b.tile.plus(1))),
  );

  test("a program that fails is an error of that step alone", async () => {
    await started;
    const beyond = listOf(mark, 2 ** 32 - 4096, 1);
    await expect(machine.run(beyond, 1)).rejects.toThrow(/out of bounds/);
    const y = machine.allocate(400);
    await machine.run(listOf(mark, y.address, 100), 1);
    expect([...y.array(Int32Array, 0, 100)]).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  test("programs that come later are found", async () => {
    await started;
    const later = machine.compile(
      program("later", target, ["y"], (b, { y }) => b.cursor(y).writeInt(0, b.tile.plus(77))),
    );
    const y = machine.allocate(4);
    await machine.run(listOf(later, y.address, 1), 1);
    expect(y.array(Int32Array, 0, 1)[0]).toBe(77);
  });
});

test("the description says what computes, and why", async () => {
  const [threads, inline] = [
    await openWasmDevice({ threads: 2, why: "there is a reason" }),
    await openWasmDevice({ inline: true }),
  ];
  if ("reason" in threads || "reason" in inline) throw new Error("WebAssembly is missing");
  expect(threads.description).toMatch(/^WebAssembly with .*SIMD.* on 2 threads; there is a reason$/);
  expect([threads.threads, inline.threads]).toEqual([2, 1]);
  expect(inline.description).toMatch(/on the calling thread/);
  expect(threads.capacity).toBeLessThanOrEqual(2 ** 32);
  await threads.dispose();
  await inline.dispose();
});

test("weights that a device can never hold are refused before they are read", async () => {
  class Small extends ReferenceDevice {
    readonly capacity = 100;
  }
  const tensor = {
    name: "weight",
    file: "model.safetensors",
    dtype: "float32",
    shape: [7, 5],
    read: () => Promise.reject(new Error("it was read")),
  };
  const weights = { names: () => ["weight"], get: () => tensor } as unknown as Weights;
  const load = (dtype: "float32" | "float16") =>
    loadParameters(new Linear(5, 7, false), weights, new Small(), { dtype, unused: [] });
  await expect(load("float32")).rejects.toThrow(/140 bytes.*reference can hold 100/);
  await expect(load("float32")).rejects.toBeInstanceOf(UnsupportedError);
  await expect(load("float16")).rejects.toThrow("it was read");
});
