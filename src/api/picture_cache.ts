import { madeOf } from "../base/constant.ts";
import { digestOf } from "../base/digest_node.ts";
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
  seen: Promise<SeenPictures>;
  bytes: number;
}

/** A picture, or several that are looked at together, and what it is known by. */
interface Part {
  key: string | undefined;
  pixels: Pixels;
  /** Whether nobody else can change it. */
  own: boolean;
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

  /** What the text model is given of pictures, end to end. They may change as soon as this has been called. */
  async look(pixels: Pixels, selection: FeatureSelection, signal?: AbortSignal): Promise<SeenPictures> {
    const parts = picturesOf(pixels, this.#divisible(selection)).map((part) => this.#named(part, selection));
    const seen: SeenPictures[] = [];
    for (const part of parts) seen.push(await this.#see(await part, selection, signal));
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

  /** The picture by the content that it has now; a copy, unless it is one that need not be looked at again. */
  #named(pixels: Pixels, selection: FeatureSelection): Part | Promise<Part> {
    const digest = madeOf(pixels.pixel_values.data, digestOf);
    if (typeof digest === "string") {
      const key = keyOf(pixels, selection, digest);
      const known = this.#entries.has(key);
      return { key, pixels: known ? pixels : copied(pixels), own: !known };
    }
    const copy = copied(pixels);
    return Promise.resolve(digest).then((late) => ({
      key: late && keyOf(pixels, selection, late),
      pixels: copy,
      own: true,
    }));
  }

  async #see(
    part: Part,
    selection: FeatureSelection,
    signal: AbortSignal | undefined,
  ): Promise<SeenPictures> {
    const { key, pixels, own } = part;
    if (key === undefined || this.limit === 0) {
      const rows = await this.#look(pixels, selection, signal);
      return { rows, names: key === undefined ? undefined : rowNames(key, rows) };
    }
    const known = this.#entries.get(key);
    if (!known && own) return this.#compute(key, pixels, selection, signal);
    if (!known) return this.look(pixels, selection, signal);
    this.#use(key, known);
    const seen = await known.seen.catch(() => undefined);
    signal?.throwIfAborted();
    // Who began to look may have given up, which does not concern this call.
    if (!seen) return this.look(pixels, selection, signal);
    this.#hits++;
    return seen;
  }

  async #compute(
    key: string,
    pixels: Pixels,
    selection: FeatureSelection,
    signal: AbortSignal | undefined,
  ): Promise<SeenPictures> {
    const looking = this.#look(pixels, selection, signal);
    const entry = { seen: looking.then((rows) => ({ rows, names: rowNames(key, rows) })), bytes: 0 };
    this.#entries.set(key, entry);
    this.#misses++;
    try {
      const seen = await entry.seen;
      if (this.#entries.get(key) === entry) this.#account(entry, seen.rows);
      return seen;
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
  return digest === undefined ? undefined : rowNames(`given:${digest}`, rows);
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

function rowNames(key: string, { shape: [rows] }: Tensor): string[] {
  return Array.from({ length: rows }, (_, row) => `${key}.${row}`);
}

/** One by one, or all together. */
function picturesOf({ pixel_values, options }: Pixels, divisible: boolean): Pixels[] {
  const { dtype, shape, data } = pixel_values;
  const [N, ...rest] = shape;
  const { image_sizes } = options;
  const apart = divisible && N > 0 && (image_sizes?.length ?? N) === N;
  if (!apart) return [{ pixel_values, options }];
  const size = data.length / N;
  return Array.from({ length: N }, (_, n) => ({
    pixel_values: new Tensor(dtype, [1, ...rest], data.subarray(n * size, (n + 1) * size)),
    options: { ...options, image_sizes: image_sizes && [image_sizes[n]] },
  }));
}

function copied({ pixel_values: { dtype, shape, data }, options }: Pixels): Pixels {
  return { pixel_values: new Tensor(dtype, shape, data.slice()), options };
}

/** Equal for equal pictures that are looked at in the same way. */
function keyOf(
  { pixel_values: { shape }, options }: Pixels,
  { vision_feature_layer: layer, vision_feature_select_strategy: strategy }: FeatureSelection,
  digest: string,
): string {
  const how = [shape, options.image_sizes ?? "", options.interpolate_pos_encoding ?? false, layer, strategy];
  return `${how.join(":")}:${digest}`;
}
