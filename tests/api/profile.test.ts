import { expect, test } from "vitest";
import { profileLines } from "../../cli/profile_table.ts";
import { middleHalf, profileOf, spaced } from "../../src/api/profile.ts";
import type { StepTimes } from "../../src/devices/step_times.ts";
import {
  benchModel,
  type KernelProfile,
  LlavaForConditionalGeneration,
  type Profile,
} from "../../src/index.ts";

function step(begin: number, end: number): StepTimes {
  const times = { bytes: 100, operations: 10, numbers: "float32" as const };
  const commands = [
    { kernel: "a", runs: 1, worked: 1, waited: 0.25, ...times },
    // Two programs of one kernel: the first has no bytes and operations of its own.
    { kernel: "b", runs: 0, worked: 1.5, waited: 0, ...times, bytes: 0, operations: 0 },
    { kernel: "b", runs: 1, worked: 2.5, waited: 0, ...times },
    { kernel: "a", runs: 1, worked: 2, waited: 0.5, ...times },
  ];
  const rest = end - begin - 7.75 - 1.5;
  return { begin, end, record: 0.5, prepare: 0.25, read: 0.5, wake: 0.25, back: rest, commands };
}

test("parts of a profile: kernels by name, the longest first, and all of the time", () => {
  const steps = spaced([step(0, 10), step(11, 22), step(25, 40), step(41, 51), step(52, 63)]);
  expect(steps.map(({ between }) => between)).toEqual([0, 1, 3, 1, 1]);
  // The longest and the shortest step are left out.
  const middle = middleHalf(steps);
  expect(middle.map(({ times }) => times.begin)).toEqual([41, 11, 52]);
  const profile = profileOf(middle, 3);
  expect(profile.kernels).toEqual([
    { kernel: "b", times: 1, ms: 4, waiting_ms: 0, bytes: 100, operations: 10, numbers: "float32" },
    { kernel: "a", times: 2, ms: 3, waiting_ms: 0.75, bytes: 200, operations: 20, numbers: "float32" },
  ]);
  expect(profile.ms).toBeCloseTo((11 + 12 + 12) / 3);
  const { kernels, ms, ...parts } = profile;
  expect(Object.values(parts).reduce((sum, part) => sum + part)).toBeCloseTo(ms);
  const limits = { read_bytes_per_second: 2e5, peak_ops_per_second: 1e5, peak_byte_ops_per_second: 1 };
  const lines = profileLines("here", profile, limits).map((line) => line.trim().split(/ {2,}/));
  expect(lines[3]).toEqual(["b", "1", "4.00", "34 %", "0.00", "0.0", "0", "13 %"]);
  expect(lines.at(-1)).toEqual(["all", "11.67", "0.75"]);
});

test("where the time of a model goes", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { device: "cpu" });
  if (model.device !== "native") {
    // Without a clock in its programs, a device says so.
    expect(() => model.watchSteps(undefined)).toThrow(/cannot tell/);
    await model.dispose();
    return;
  }
  const options = { prompt_tokens: 9, new_tokens: 4, runs: 3, sequences: 2 };
  const { profile } = await benchModel(model, { ...options, profile: true });
  const { num_hidden_layers } = model.config.text_config;
  const some = (part: Profile | undefined, name: string): KernelProfile[] =>
    part?.kernels.filter(({ kernel }) => kernel.startsWith(name)) ?? [];
  const multiplied = (part?: Profile): number =>
    some(part, "linear ").reduce((sum, { operations }) => sum + operations, 0);
  for (const part of [profile?.decode, profile?.batch])
    expect(some(part, "paged_attention").map(({ times }) => times)).toEqual([num_hidden_layers]);
  // What is computed row by row, one kernel behind the other, is one entry.
  expect(some(profile?.decode, "add + rms_norm").length).toBeGreaterThan(0);
  // All of the prompt, though it has been asked before: nine rows.
  expect(multiplied(profile?.prefill) / multiplied(profile?.decode)).toBeGreaterThan(5);
  // Two sequences beside one.
  expect(multiplied(profile?.decode)).toBeGreaterThan(0);
  expect(multiplied(profile?.batch)).toBeCloseTo(2 * multiplied(profile?.decode));
  for (const part of [profile?.vision, profile?.prefill, profile?.decode, profile?.batch]) {
    const { kernels = [], ms = 0, ...parts } = part ?? {};
    expect(kernels.length).toBeGreaterThan(3);
    expect(kernels.every(({ ms, bytes, times }) => ms > 0 && bytes > 0 && times >= 1)).toBe(true);
    const sum = Object.values(parts).reduce((total, value) => total + value, 0);
    expect(Object.values(parts).every((value) => value >= 0)).toBe(true);
    // Parts of the whole. How much of it they are follows from what else the machine does meanwhile.
    expect(sum).toBeGreaterThan(0);
    expect(sum / ms).toBeLessThan(1.5);
  }
  expect((await benchModel(model, options)).profile).toBeUndefined();
  await model.dispose();
}, 60_000);

test("a device that cannot tell says so", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { device: "reference" });
  expect(() => model.watchSteps(() => {})).toThrow(/a reference device cannot tell what its kernels take/);
  await model.dispose();
});
