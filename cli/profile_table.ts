import type { DeviceLimits, KernelProfile, Profile } from "../src/index.ts";
import { outColours } from "./colours.ts";

/** Kernels that take less than this share of the whole are shown together. */
const SMALL = 0.005;

/** Where the time goes, for people. */
export function profileLines(title: string, profile: Profile, limits: DeviceLimits): string[] {
  const { ms, kernels } = profile;
  const large = kernels.filter((kernel) => kernel.ms + kernel.waiting_ms >= SMALL * ms);
  const small = kernels.filter((kernel) => !large.includes(kernel));
  const head = ["", "times", "ms", "of all", "waiting", "GB/s", "GOP/s", "of limit"];
  const rows = [
    ...large.map((kernel) => kernelRow(kernel, ms, limits)),
    ...(small.length > 0 ? [sumRow(`${small.length} others`, small, ms)] : []),
    ...parts(profile).map(([name, part]) => [name, "", part.toFixed(2), percent(part / ms), "", "", "", ""]),
    ["all", "", ms.toFixed(2), "", profile.waiting_ms.toFixed(2), "", "", ""],
  ];
  const widths = head.map((_, c) => Math.max(...[head, ...rows].map((row) => row[c].length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c] + 2))).join("");
  return ["", outColours.bold(title), outColours.dim(line(head)), ...rows.map(line)];
}

/** What is no kernel. */
function parts(profile: Profile): [string, number][] {
  return [
    ["threads waiting for each other", profile.waiting_ms],
    ["until threads are at work", profile.wake_ms],
    ["until the caller goes on", profile.back_ms],
    ["JavaScript: noting kernels down", profile.record_ms],
    ["JavaScript: writing the list", profile.prepare_ms],
    ["JavaScript: copying results", profile.read_ms],
    ["JavaScript: between steps", profile.between_ms],
  ];
}

function kernelRow(kernel: KernelProfile, all: number, limits: DeviceLimits): string[] {
  const { ms, bytes, operations, numbers } = kernel;
  const read = bytes / ms / 1e6;
  const computed = operations / ms / 1e6;
  const peak = { bytes: limits.peak_byte_ops_per_second, float32: limits.peak_ops_per_second, bfloat16: 0 };
  const shares = [(1e9 * read) / limits.read_bytes_per_second];
  if (peak[numbers] > 0) shares.push((1e9 * computed) / peak[numbers]);
  return [
    ...nameAndTimes(kernel.kernel, [kernel], all),
    read.toFixed(1),
    operations > 0 ? computed.toFixed(0) : "",
    percent(Math.max(...shares)),
  ];
}

function sumRow(name: string, kernels: readonly KernelProfile[], all: number): string[] {
  return [...nameAndTimes(name, kernels, all), "", "", ""];
}

function nameAndTimes(name: string, kernels: readonly KernelProfile[], all: number): string[] {
  const sum = (part: (kernel: KernelProfile) => number): number =>
    kernels.reduce((total, kernel) => total + part(kernel), 0);
  const ms = sum((kernel) => kernel.ms);
  return [
    name,
    sum((kernel) => kernel.times).toFixed(0),
    ms.toFixed(2),
    percent(ms / all),
    sum((kernel) => kernel.waiting_ms).toFixed(2),
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
