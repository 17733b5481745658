import { describe, expect, test } from "vitest";
import { Value } from "../../src/devices/device.ts";
import type { VectorForm } from "../../src/devices/kernel.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { grouped } from "../../src/devices/vector/groups.ts";

const device = new ReferenceDevice();
const fresh = (): Value => new Value(device, "float32", [2, 3]);
const one: VectorForm = { key: "", tiles: 1, build: () => {} };
const two: VectorForm = { ...one, first: { ...one, bytes: 64 } };

/** A command that reads some Values and makes one. */
function command(inputs: Value[], output: Value, form: VectorForm | "none" = one) {
  const named = Object.fromEntries(inputs.map((value, i) => [`x${i}`, value]));
  return {
    command: { inputs: { ...named, none: undefined }, output, inPlace: inputs.includes(output) },
    form: form === "none" ? undefined : form,
  };
}

function besides(commands: ReturnType<typeof command>[], origins = new Map<Value, Value>()): boolean[] {
  return grouped(commands, (value) => origins.get(value) ?? value).map(({ beside }) => beside);
}

describe("commands that are computed side by side", () => {
  const [x, a, b, c, d] = [fresh(), fresh(), fresh(), fresh(), fresh()];

  test("read the same, and make different Values", () => {
    expect(besides([command([x], a), command([x], b), command([x], c)])).toEqual([false, true, true]);
  });

  test("do not read what one of them makes", () => {
    expect(besides([command([x], a), command([x], b), command([x, a], c), command([b], d)])).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test("do not write to what one of them reads or writes", () => {
    expect(besides([command([x], a), command([c, x], x)])).toEqual([false, false]);
    expect(besides([command([x, a], a), command([b, x], b), command([x, a], a)])).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("do not read a view of what one of them makes", () => {
    expect(besides([command([x], a), command([b], c)], new Map([[b, a]]))).toEqual([false, false]);
  });

  test("are of one program each", () => {
    expect(besides([command([x], a), command([x], b, two), command([x], c), command([x], d)])).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect(besides([command([x], a), command([x], b, "none"), command([x], c)])).toEqual([
      false,
      false,
      false,
    ]);
  });
});
