import { digestOf } from "../base/digest.ts";
import type { FeatureSelection } from "../models/llava/modeling_llava.ts";
import type { VisionOptions } from "../models/vision_tower.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Pictures that a tower can look at. */
export interface Pixels {
  /** [N, C, H, W] */
  pixel_values: Tensor;
  options: VisionOptions;
}

/** What the text model is given of pictures. */
export interface SeenPictures {
  /** [sum L, D] */
  rows: Tensor;
  /** Says of each row what it is: rows of the same name are equal. Undefined where that cannot be told. */
  names: readonly string[] | undefined;
}

/** What came of keeping what pictures gave. */
export interface PictureCacheReport {
  /** Pictures that had been looked at before. */
  hits: number;
  /** Pictures that had to be looked at. */
  misses: number;
  /** Pictures whose features are kept. */
  pictures: number;
  /** Bytes of them, on the host. */
  bytes: number;
  /** Most bytes that there may be. 0: nothing is kept. */
  limit: number;
}

/** Looks at pictures: tower and projector. -> [L, D] */
type Look = (pixels: Pixels, selection: FeatureSelection, signal?: AbortSignal) => Promise<Tensor>;

interface Entry {
  rows: Promise<Tensor>;
  bytes: number;
}

/** Pictures that are kept at most, however small they are. */
const PICTURES = 64;

/** Looks at each distinct picture once: what was seen is kept, by the content of its pixels, up to a number of bytes. */
export class PictureCache {
  readonly limit: number;
  readonly #look: Look;
  readonly #divisible: (selection: FeatureSelection) => boolean;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;

  /**
   * @param limit bytes
   * @param look computes features
   * @param divisible whether several pictures together give what each gives alone
   */
  constructor(limit: number, look: Look, divisible: (selection: FeatureSelection) => boolean) {
    this.limit = limit;
    this.#look = look;
    this.#divisible = divisible;
  }

  get report(): PictureCacheReport {
    return {
      hits: this.#hits,
      misses: this.#misses,
      pictures: this.#entries.size,
      bytes: this.#bytes,
      limit: this.limit,
    };
  }

  /** What the text model is given of pictures, end to end. */
  async look(pixels: Pixels, selection: FeatureSelection, signal?: AbortSignal): Promise<SeenPictures> {
    const seen: SeenPictures[] = [];
    for (const part of picturesOf(pixels, this.#divisible(selection))) {
      const key = await keyOf(part, selection);
      const rows = await this.#rows(key, part, selection, signal);
      seen.push({ rows, names: rowNames(key, rows) });
    }
    if (seen.length === 1) return seen[0];
    const known = seen.every(({ names }) => names !== undefined);
    return {
      rows: concatRows(seen.map(({ rows }) => rows)),
      names: known ? seen.flatMap(({ names }) => names ?? []) : undefined,
    };
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  async #rows(
    key: string | undefined,
    pixels: Pixels,
    selection: FeatureSelection,
    signal: AbortSignal | undefined,
  ): Promise<Tensor> {
    if (key === undefined || this.limit === 0) return this.#look(pixels, selection, signal);
    const known = this.#entries.get(key);
    if (!known) return this.#compute(key, pixels, selection, signal);
    this.#use(key, known);
    const rows = await known.rows.catch(() => undefined);
    signal?.throwIfAborted();
    // Who began to look may have given up, which does not concern this call.
    if (!rows) return this.#rows(key, pixels, selection, signal);
    this.#hits++;
    return rows;
  }

  async #compute(
    key: string,
    pixels: Pixels,
    selection: FeatureSelection,
    signal: AbortSignal | undefined,
  ): Promise<Tensor> {
    const entry = { rows: this.#look(pixels, selection, signal), bytes: 0 };
    this.#entries.set(key, entry);
    this.#misses++;
    try {
      const rows = await entry.rows;
      if (this.#entries.get(key) === entry) this.#account(entry, rows);
      return rows;
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }

  #use(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  #account(entry: Entry, { data }: Tensor): void {
    entry.bytes = data.byteLength;
    this.#bytes += entry.bytes;
    for (const [oldest, { bytes }] of this.#entries) {
      if (this.#bytes <= this.limit && this.#entries.size <= PICTURES) break;
      this.#entries.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}

/** Names of the rows of a Tensor that was given, by its content. */
export async function namesOf(rows: Tensor): Promise<readonly string[] | undefined> {
  const digest = await digestOf(rows.data);
  return rowNames(digest && `given:${digest}`, rows);
}

/** [L, D] each -> [sum L, D] */
export function concatRows(parts: readonly Tensor[]): Tensor {
  const D = parts[0].shape[1];
  const rows = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const out = new Float32Array(rows * D);
  let at = 0;
  for (const { data } of parts) {
    out.set(data as Float32Array, at);
    at += data.length;
  }
  return new Tensor("float32", [rows, D], out);
}

function rowNames(key: string | undefined, { shape: [rows] }: Tensor): string[] | undefined {
  return key === undefined ? undefined : Array.from({ length: rows }, (_, row) => `${key}.${row}`);
}

/** Copies of the pictures, which stay as they are from now on: one by one, or all together. */
function picturesOf({ pixel_values, options }: Pixels, divisible: boolean): Pixels[] {
  const { dtype, shape, data } = pixel_values;
  const [N, ...rest] = shape;
  const { image_sizes } = options;
  const apart = divisible && N > 0 && (image_sizes?.length ?? N) === N;
  if (!apart) return [{ pixel_values: new Tensor(dtype, shape, data.slice()), options }];
  const size = data.length / N;
  return Array.from({ length: N }, (_, n) => ({
    pixel_values: new Tensor(dtype, [1, ...rest], data.slice(n * size, (n + 1) * size)),
    options: { ...options, image_sizes: image_sizes && [image_sizes[n]] },
  }));
}

/** Equal for equal pictures that are looked at in the same way. */
async function keyOf(
  { pixel_values: { data, shape }, options }: Pixels,
  { vision_feature_layer: layer, vision_feature_select_strategy: strategy }: FeatureSelection,
): Promise<string | undefined> {
  const digest = await digestOf(data);
  const how = [shape, options.image_sizes ?? "", options.interpolate_pos_encoding ?? false, layer, strategy];
  return digest && `${how.join(":")}:${digest}`;
}
