import { describe, expect, test } from "vitest";
import { Value } from "../../src/devices/device.ts";
import type { FirstProgram, VectorForm } from "../../src/devices/kernel.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { grouped } from "../../src/devices/vector/groups.ts";

const device = new ReferenceDevice();
const fresh = (): Value => new Value(device, "float32", [2, 3]);
const one: VectorForm = { key: "", tiles: 1, build: () => {} };
const rows: VectorForm = { ...one, tiles: 2, rows: true };
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

  test("are of one program each, or begin with their second one", () => {
    expect(besides([command([x], a), command([x], b, two), command([x], c), command([x], d, two)])).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect(besides([command([x], a), command([x], b, "none"), command([x], c)])).toEqual([
      false,
      false,
      false,
    ]);
  });

  test("share what is to be computed before, where it is the same of the same input", () => {
    const reads = (more: Partial<FirstProgram>): VectorForm => ({
      ...one,
      first: { ...one, bytes: 64, reads: "x0", ...more },
    });
    const shared = (...commands: ReturnType<typeof command>[]): boolean[] =>
      grouped(commands, (value) => (value === d ? x : value)).map(({ beside, shares }) => {
        expect(shares).toBe(beside);
        return shares;
      });
    const first = command([x, a], b, reads({}));
    const different = [
      { key: "other" },
      { bytes: 128 },
      { tiles: 2 },
      { numbers: { rows: 3 } },
      { reads: "x1" },
    ];
    expect(shared(first, command([x, c], fresh(), reads({})), command([d], fresh(), reads({})))).toEqual([
      false,
      true,
      true,
    ]);
    for (const more of different)
      expect(shared(first, command([x, c], fresh(), reads(more)))).toEqual([false, false]);
    expect(shared(first, command([c, x], fresh(), reads({})))).toEqual([false, false]);
    expect(shared(first, command([x, b], fresh(), reads({})))).toEqual([false, false]);
    expect(shared(command([x], b, two), command([x], c, two))).toEqual([false, false]);
    // What was computed before ends with the group.
    expect(shared(first, command([b], c), command([x], fresh(), reads({}))).at(-1)).toBe(false);
  });
});

describe("commands that are computed row by row behind one another", () => {
  const [x, w, a, b, c, d] = [fresh(), fresh(), fresh(), fresh(), fresh(), fresh()];
  /** `|`: threads wait before it, `=`: it is computed beside, `>`: behind. */
  const joints = (commands: ReturnType<typeof command>[]): string =>
    grouped(commands, (value) => value)
      .map(({ beside, behind }) => (behind ? ">" : beside ? "=" : "|"))
      .join("");

  test("read what the latest makes, and what that one is computed behind", () => {
    expect(joints([command([x], a, rows), command([a, w], b, rows), command([b, a], c, rows)])).toBe("|>>");
    // What needs nothing of the latest is computed beside it, and may have others behind it.
    expect(joints([command([x], a, rows), command([x], b, rows), command([b], c, rows)])).toBe("|=>");
    expect(joints([command([x], a, rows), command([a], b, rows), command([x], c)])).toBe("|>=");
  });

  test("read nothing that others beside them make", () => {
    const beside = [command([x], a, rows), command([x], b, rows)];
    expect(joints([...beside, command([a], c, rows)])).toBe("|=|");
    expect(joints([...beside, command([b, a], c, rows)])).toBe("|=|");
  });

  test("write to nothing that others of the group read or write", () => {
    expect(joints([command([x], a, rows), command([a, x], x, rows)])).toBe("||");
    expect(joints([command([x], a, rows), command([a], b, rows), command([b, a], a, rows)])).toBe("|>|");
  });

  test("are of rows, and as many, and have no program before their own", () => {
    const next = (form: VectorForm | "none"): string =>
      joints([command([x], a, rows), command([a], b, form), command([b], d, rows)]);
    expect(next(rows)).toBe("|>>");
    expect(next({ ...rows, rows: false })).toBe("|||");
    expect(next({ ...rows, tiles: 1 })).toBe("|||");
    expect(next({ ...rows, first: { ...one, bytes: 64 } })).toBe("||>");
    expect(next("none")).toBe("|||");
  });
});
