import type { Spec } from "../devices/device.ts";
import { BYTES, float16ToNumber, numberToFloat16 } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { f32 } from "./host.ts";
import { byteCode, byteScale } from "./signed_bytes.ts";

/*
 * How keys and values lie in pages. A block is what a page holds of one head: numbers of keys [d, page], which stand
 * across, or of values [page, d]. Behind numbers of 8 bits, in the same block, come the scales of its tokens, float32
 * [page]: 4 bytes more a token, by which the shape of such a pool is larger.
 */

/** What keys and values can be kept in. "q8": signed bytes, and a float32 scale for each token and head. */
export const CACHE_DTYPES = ["float32", "float16", "q8"] as const;
export type CacheDType = (typeof CACHE_DTYPES)[number];

/** Element types of pools. */
export type CacheElement = "float32" | "float16" | "int8";

/** What a pool holds. */
export type CachePart = "keys" | "values";

const SCALE_BYTES = 4;

/** The largest number of 16 bits: larger ones are kept as this, where rounding would make them infinite. */
export const MOST_F16 = 65504;

/** What pages are made for. */
export interface PageShape {
  element: CacheElement;
  kv_heads: number;
  /** Numbers of a key, and of a value. */
  dim: number;
  /** Tokens of a page. */
  page: number;
}

/** The element type in which a cache of some type is kept. */
export function elementOf(dtype: CacheDType): CacheElement {
  return dtype === "q8" ? "int8" : dtype;
}

/** A pool of pages: [P, Hkv, d, page] of keys, [P, Hkv, page, d] of values; in 8 bits with d + 4 in place of d. */
export function poolSpec(part: CachePart, pages: number, { element, kv_heads, dim, page }: PageShape): Spec {
  const width = dim + scaleBytes(element);
  const block = part === "keys" ? [width, page] : [page, width];
  return { dtype: element, shape: [pages, kv_heads, ...block] };
}

/** Bytes that a token takes beside its numbers. */
function scaleBytes(element: CacheElement): number {
  return element === "int8" ? SCALE_BYTES : 0;
}

/** How a pool's blocks are laid out. */
export class PageLayout implements PageShape {
  readonly part: CachePart;
  readonly element: CacheElement;
  readonly kv_heads: number;
  readonly dim: number;
  readonly page: number;

  constructor(part: CachePart, { element, kv_heads, dim, page }: PageShape) {
    this.part = part;
    this.element = element;
    this.kv_heads = kv_heads;
    this.dim = dim;
    this.page = page;
  }

  /** That of a pool. */
  static of({ dtype, shape }: Spec, part: CachePart): PageLayout {
    const [, kv_heads, rows, columns] = shape;
    const [width, page] = part === "keys" ? [rows, columns] : [columns, rows];
    const element = dtype as CacheElement;
    return new PageLayout(part, { element, kv_heads, dim: width - scaleBytes(element), page });
  }

  /** Bytes of a number. */
  get bytes(): number {
    return BYTES[this.element];
  }

  /** Numbers of a block. */
  get numbers(): number {
    return this.page * this.dim;
  }

  /** Bytes of a block, its scales included. */
  get blockBytes(): number {
    return this.numbers * this.bytes + this.page * scaleBytes(this.element);
  }

  /** Numbers from one token to the next, and from one number of a token to the next. */
  get strides(): { token: number; number: number } {
    return this.part === "keys" ? { token: 1, number: this.page } : { token: this.dim, number: 1 };
  }
}

/** Writes what a token has of one head. `slot`: page * (tokens of a page) + place in it. */
export function writeToken(
  pool: Tensor,
  part: CachePart,
  slot: number,
  head: number,
  numbers: Float32Array,
): void {
  const layout = PageLayout.of(pool, part);
  const { page, dim, strides } = layout;
  const place = slot % page;
  const block = Math.floor(slot / page) * layout.kv_heads + head;
  const at = (d: number): number => place * strides.token + d * strides.number;
  if (layout.element === "int8") {
    const view = new DataView(pool.data.buffer, pool.data.byteOffset + block * layout.blockBytes);
    const { scale, inverse } = byteScale(numbers);
    for (let d = 0; d < dim; d++) view.setInt8(at(d), byteCode(numbers[d], inverse));
    view.setFloat32(layout.numbers + SCALE_BYTES * place, scale, true);
    return;
  }
  const first = block * layout.numbers;
  for (let d = 0; d < dim; d++)
    pool.data[first + at(d)] = layout.element === "float32" ? numbers[d] : halfOf(numbers[d]);
}

function halfOf(number: number): number {
  return numberToFloat16(Math.min(MOST_F16, Math.max(-MOST_F16, number)));
}

/** The numbers of the pages of a list, in its order: blocks of all heads, as float32. */
export function pageNumbers(pool: Tensor, part: CachePart, list: ArrayLike<number>): Float32Array {
  const layout = PageLayout.of(pool, part);
  const size = layout.kv_heads * layout.numbers;
  const out = new Float32Array(list.length * size);
  for (let i = 0; i < list.length; i++)
    for (let h = 0; h < layout.kv_heads; h++) {
      const block = list[i] * layout.kv_heads + h;
      readBlock(pool, layout, block, out.subarray(i * size + h * layout.numbers));
    }
  return out;
}

function readBlock(pool: Tensor, layout: PageLayout, block: number, out: Float32Array): void {
  const { element, numbers, blockBytes, page, strides } = layout;
  if (element === "float32") {
    out.set(f32(pool).subarray(block * numbers, (block + 1) * numbers));
    return;
  }
  if (element === "float16") {
    for (let i = 0; i < numbers; i++) out[i] = float16ToNumber(Number(pool.data[block * numbers + i]));
    return;
  }
  const view = new DataView(pool.data.buffer, pool.data.byteOffset + block * blockBytes);
  for (let i = 0; i < numbers; i++) {
    const token = Math.floor(i / strides.token) % page;
    out[i] = view.getInt8(i) * view.getFloat32(numbers + SCALE_BYTES * token, true);
  }
}
