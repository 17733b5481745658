import { expect } from "vitest";
import type { Device } from "../../src/devices/device.ts";
import { pagedAttention } from "../../src/kernels/attention.ts";
import { int32, normal } from "../../src/kernels/cases.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { describeDevices } from "./devices.ts";

const [HEADS, KV_HEADS, DIM, PAGE] = [6, 2, 24, 64];
/** Rows of each sequence, and the keys before them: tokens that are decoded beside prompts. */
const SEQUENCES = [
  [1, 299],
  [40, 130],
  [1, 5],
  [1, 128],
] as const;

/** Each sequence has its own pages, in the order in which they stand here. */
function inputs(chosen: readonly number[]): Record<"q" | "keys" | "values" | "table" | "pages", Tensor> {
  const random = seeded("alone");
  const pages = SEQUENCES.map(([rows, past]) => Math.ceil((rows + past) / PAGE));
  const total = pages.reduce((a, b) => a + b);
  const q = SEQUENCES.map(([rows]) => normal(random, [rows, HEADS * DIM], 2));
  const table: number[] = [];
  const list: number[] = [];
  const numbers: number[] = [];
  for (const s of chosen) {
    const [rows, past] = SEQUENCES[s];
    table.push(numbers.length / (HEADS * DIM), rows, past, list.length);
    const first = pages.slice(0, s).reduce((a, b) => a + b, 0);
    list.push(...Array.from({ length: pages[s] }, (_, i) => first + i));
    numbers.push(...Array.from(q[s].data, Number));
  }
  return {
    q: new Tensor("float32", [numbers.length / (HEADS * DIM), HEADS * DIM], numbers),
    keys: normal(random, [total, KV_HEADS, DIM, PAGE]),
    values: normal(random, [total, KV_HEADS, PAGE, DIM]),
    table: int32(table, chosen.length, 4),
    pages: int32(list, list.length),
  };
}

async function attend(device: Device, chosen: readonly number[]): Promise<number[]> {
  const { q, keys, values, table, pages } = inputs(chosen);
  const params = { heads: HEADS, kv_heads: KV_HEADS, scale: DIM ** -0.5, window: 0 };
  const [y] = await device.step(() => {
    const given = {
      q: device.upload(q),
      keys: device.upload(keys),
      values: device.upload(values),
      table: device.upload(table),
      pages: device.upload(pages),
    };
    return [device.run(pagedAttention, given, params)];
  });
  return Array.from(y.data, Number);
}

await describeDevices((test, open) => {
  test("a sequence gets the same bits alone and among others", async () => {
    const device = await open();
    const all = await attend(device, [0, 1, 2, 3]);
    const alone: number[] = [];
    for (const s of SEQUENCES.keys()) alone.push(...(await attend(device, [s])));
    expect(alone).toEqual(all);
    await device.dispose();
  });
});
