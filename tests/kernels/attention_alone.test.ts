import { expect } from "vitest";
import type { Device, Value } from "../../src/devices/device.ts";
import { pagedAttention } from "../../src/kernels/attention.ts";
import { cacheWrite } from "../../src/kernels/cache.ts";
import {
  CACHE_DTYPES,
  type CacheDType,
  type CachePart,
  elementOf,
  poolSpec,
} from "../../src/kernels/cache_pages.ts";
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

const PAGES = SEQUENCES.map(([rows, past]) => Math.ceil((rows + past) / PAGE));
const ALL_PAGES = PAGES.reduce((a, b) => a + b);
const SHAPE = { kv_heads: KV_HEADS, dim: DIM, page: PAGE };
const PARTS = ["keys", "values"] as const;

/** Each sequence has its own pages, in the order in which they stand here. */
function inputs(chosen: readonly number[]): Record<"q" | "table" | "pages", Tensor> {
  const random = seeded("alone");
  const q = SEQUENCES.map(([rows]) => normal(random, [rows, HEADS * DIM], 2));
  const table: number[] = [];
  const list: number[] = [];
  const numbers: number[] = [];
  for (const s of chosen) {
    const [rows, past] = SEQUENCES[s];
    table.push(numbers.length / (HEADS * DIM), rows, past, list.length);
    const first = PAGES.slice(0, s).reduce((a, b) => a + b, 0);
    list.push(...Array.from({ length: PAGES[s] }, (_, i) => first + i));
    numbers.push(...Array.from(q[s].data, Number));
  }
  return {
    q: new Tensor("float32", [numbers.length / (HEADS * DIM), HEADS * DIM], numbers),
    table: int32(table, chosen.length, 4),
    pages: int32(list, list.length),
  };
}

/** Pools with the keys and values of all sequences. */
async function filled(device: Device, dtype: CacheDType): Promise<Record<CachePart, Value>> {
  const random = seeded("held");
  const [keys, values] = PARTS.map((part) =>
    device.allocate(poolSpec(part, ALL_PAGES, { ...SHAPE, element: elementOf(dtype) })),
  );
  await device.step(() => {
    const slots = device.upload(
      int32(
        Array.from({ length: ALL_PAGES * PAGE }, (_, i) => i),
        ALL_PAGES * PAGE,
      ),
    );
    for (const [part, pool] of [["keys", keys] as const, ["values", values] as const]) {
      const x = device.upload(normal(random, [ALL_PAGES * PAGE, KV_HEADS * DIM]));
      device.run(cacheWrite, { pool, x, slots }, { part });
    }
    return [];
  });
  return { keys, values };
}

async function attend(
  device: Device,
  pools: Record<CachePart, Value>,
  chosen: readonly number[],
): Promise<number[]> {
  const { q, table, pages } = inputs(chosen);
  const params = { heads: HEADS, kv_heads: KV_HEADS, scale: DIM ** -0.5, window: 0 };
  const [y] = await device.step(() => {
    const given = { ...pools, q: device.upload(q), table: device.upload(table), pages: device.upload(pages) };
    return [device.run(pagedAttention, given, params)];
  });
  return Array.from(y.data, Number);
}

await describeDevices((test, open) => {
  for (const dtype of CACHE_DTYPES)
    test(`a sequence gets the same bits alone and among others: ${dtype}`, async () => {
      const device = await open();
      const pools = await filled(device, dtype);
      const all = await attend(device, pools, [0, 1, 2, 3]);
      const alone: number[] = [];
      for (const s of SEQUENCES.keys()) alone.push(...(await attend(device, pools, [s])));
      expect(alone).toEqual(all);
      await device.dispose();
    });
});
