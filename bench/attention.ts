/*
 * What attention over the cache takes: one token of each of some sequences, or the last `rows` rows of a prompt, in the
 * layers of a whole model, each of which has its own keys and values, so that they come from memory.
 *
 *   node --import ./scripts/typescript.mjs bench/attention.ts [shape, ...] [keys=600] [sequences=1,8] \
 *     [cache=float32,float16,q8] [rows=1] [device=native|wasm] [runs=40] [threads=2]
 *
 * LLAVA_CPU chooses the instructions. Each figure is the shortest of many runs, less the time of a step that does nothing.
 */
import type { Device, Value } from "../src/devices/device.ts";
import { openNativeDevice } from "../src/devices/native/open_native_node.ts";
import { openWasmDevice } from "../src/devices/wasm/open_wasm.ts";
import { pagedAttention } from "../src/kernels/attention.ts";
import { cacheWrite } from "../src/kernels/cache.ts";
import { CACHE_DTYPES, type CacheDType } from "../src/kernels/cache_pages.ts";
import { KVCache } from "../src/nn/kv_cache.ts";
import { PagePool } from "../src/nn/page_pool.ts";
import { Rows } from "../src/nn/rows.ts";
import { Tensor } from "../src/tensor/tensor.ts";

const SHAPES: Readonly<Record<string, { layers: number; heads: number; kv_heads: number; dim: number }>> = {
  "llava-0.5b": { layers: 24, heads: 14, kv_heads: 2, dim: 64 },
  "llava-1.1b": { layers: 22, heads: 32, kv_heads: 4, dim: 64 },
  "llava-1.5-7b": { layers: 8, heads: 32, kv_heads: 32, dim: 128 },
};

const settings = new Map(
  process.argv
    .slice(2)
    .filter((text) => text.includes("="))
    .map((text) => text.split("=") as [string, string]),
);
const named = process.argv.slice(2).filter((text) => !text.includes("="));
const names = named.length > 0 ? named : Object.keys(SHAPES);
const keys = Number(settings.get("keys") ?? 600);
const counts = (settings.get("sequences") ?? "1,8").split(",").map(Number);
const types = new Set((settings.get("cache") ?? CACHE_DTYPES.join()).split(","));
const RUNS = Number(settings.get("runs") ?? 40);

const threads = Number(settings.get("threads") ?? 2);
const rows = Number(settings.get("rows") ?? 1);
const open = settings.get("device") === "wasm" ? openWasmDevice : openNativeDevice;
const opened = await open({ threads });
if ("reason" in opened) throw new Error(`no such device here, because ${opened.reason}`);
const device: Device = opened;
console.log(device.description);

function noise(...shape: number[]): Tensor {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 0.37) * 2);
  return new Tensor("float32", shape, data);
}

/** Milliseconds of the shortest of some runs. */
async function shortest(record: () => Value[]): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const begin = performance.now();
    await device.step(record);
    least = Math.min(least, performance.now() - begin);
  }
  return least;
}

/** One shape with one type of cache. */
async function measure(name: string, dtype: CacheDType): Promise<void> {
  const { layers, heads, kv_heads, dim } = SHAPES[name];
  const pool = new PagePool(device, { layers, kv_heads, head_dim: dim }, dtype);
  const caches: KVCache[] = [];
  const fill = async (cache: KVCache, rows: number): Promise<void> => {
    await cache.prepare(rows);
    await device.step(() => {
      const own = new Rows(device, pool, [{ cache, positions: Array(rows).fill(0) }]);
      const x = device.upload(noise(rows, kv_heads * dim));
      for (let i = 0; i < layers; i++) {
        device.run(cacheWrite, { pool: own.layer(i).keys, x, slots: own.slots }, { part: "keys" });
        device.run(cacheWrite, { pool: own.layer(i).values, x, slots: own.slots }, { part: "values" });
      }
      return [];
    });
  };
  const q = noise(1, heads * dim);
  for (const count of counts) {
    while (caches.length < count) {
      const cache = new KVCache(pool);
      caches.push(cache);
      await fill(cache, keys - rows);
    }
    const some = caches.slice(0, count);
    for (const cache of some) await cache.prepare(rows);
    const record = (): Value[] => {
      const own = new Rows(
        device,
        pool,
        some.map((cache) => ({ cache, positions: Array(rows).fill(0) })),
      );
      for (const cache of some) cache.crop(keys - rows);
      let x = device.upload(
        new Tensor(
          "float32",
          [count * rows, heads * dim],
          Float32Array.from({ length: count * rows * heads * dim }, (_, i) =>
            Number(q.data[i % (heads * dim)]),
          ),
        ),
      );
      for (let i = 0; i < layers; i++) {
        const { keys, values } = own.layer(i);
        x = device.run(
          pagedAttention,
          { q: x, keys, values, table: own.table, pages: own.pages },
          { heads, kv_heads, scale: dim ** -0.5, window: 0 },
        );
      }
      return [x];
    };
    const empty = await shortest(() => [device.upload(q)]);
    const all = await shortest(record);
    const each = (all - empty) / layers;
    const bytes = (count * keys * pool.pageBytes) / pool.page / layers;
    const flops = count * rows * (keys - (rows - 1) / 2) * heads * dim * 4;
    console.log(
      `${name.padEnd(14)} ${dtype.padEnd(8)} ${count} x ${keys} keys  ${each.toFixed(4)} ms a layer  ${(bytes / each / 1e6).toFixed(1).padStart(5)} GB/s  ${(flops / each / 1e6).toFixed(0).padStart(4)} GFLOP/s`,
    );
  }
  for (const cache of caches) cache.dispose();
  pool.dispose();
}

for (const name of names) for (const dtype of CACHE_DTYPES) if (types.has(dtype)) await measure(name, dtype);
await device.dispose();
