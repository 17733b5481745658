import { setFlagsFromString } from "node:v8";
import { expect, test } from "vitest";
import { wasm } from "../../src/codegen/target.ts";
import { wasmTarget } from "../../src/devices/wasm/features.ts";
import { byteDotPays } from "../../src/devices/wasm/probe.ts";

test("with relaxed SIMD the faster of two sums of byte products is found by running both", () => {
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  // Programs that an engine refuses, or that trap, throw here.
  expect(typeof byteDotPays(wasm({ relaxed: true }))).toBe("boolean");
  expect([true, false].map((sums16) => wasm({ relaxed: true, sums16 }))).toContainEqual(wasmTarget());
});
