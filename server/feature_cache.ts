import { createHash } from "node:crypto";
import { BaseModelOutputWithPooling, type LlavaForConditionalGeneration, Tensor } from "../src/index.ts";
import { orAborted } from "./abort.ts";

type Model = Pick<LlavaForConditionalGeneration, "get_image_features">;

/** What a model sees in one picture. */
interface Features {
  /** [1, P, V] */
  last_hidden_state: Tensor;
  /** [L, D] */
  pooled: Tensor;
}

interface Entry {
  features: Promise<Features>;
  bytes: number;
}

/** Told of every look-up. */
export type CacheListener = (hit: boolean) => void;

/** Looks at each distinct picture once: what was seen is kept, by the content of its pixels, up to a number of bytes. */
export class FeatureCache {
  readonly #model: Model;
  readonly #limit: number;
  readonly #listen: CacheListener;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(model: Model, limit: number, listen: CacheListener = () => {}) {
    this.#model = model;
    this.#limit = limit;
    this.#listen = listen;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The features of all pictures, as `mm_encoder_outputs` takes them.
   *
   * @param pixel_values [N, C, H, W]
   * @param image_sizes [N, 2], for a tower that takes pictures of any size
   */
  async features(
    pixel_values: Tensor,
    image_sizes: Tensor | undefined,
    signal: AbortSignal,
  ): Promise<BaseModelOutputWithPooling> {
    const [N, ...shape] = pixel_values.shape;
    const all = Array.from({ length: N }, (_, n) =>
      this.#one(part(pixel_values, n, shape), image_sizes && part(image_sizes, n, [2])),
    );
    const features = await orAborted(Promise.all(all), signal);
    return new BaseModelOutputWithPooling({
      last_hidden_state: features[0].last_hidden_state,
      pooler_output: features.map(({ pooled }) => pooled),
    });
  }

  #one(pixel_values: Tensor, image_sizes: Tensor | undefined): Promise<Features> {
    const key = keyOf(pixel_values, image_sizes);
    const known = this.#entries.get(key);
    this.#listen(known !== undefined);
    if (known) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.features;
    }
    const entry: Entry = { features: this.#compute(pixel_values, image_sizes), bytes: 0 };
    this.#entries.set(key, entry);
    entry.features.then(
      (features) => this.#store(key, entry, features),
      () => this.#entries.delete(key),
    );
    return entry.features;
  }

  /** Not stopped by a request that ends: others may wait for the same picture by then. */
  async #compute(pixel_values: Tensor, image_sizes: Tensor | undefined): Promise<Features> {
    const { last_hidden_state, pooler_output } = await this.#model.get_image_features({
      pixel_values,
      image_sizes,
    });
    return { last_hidden_state, pooled: pooler_output[0] };
  }

  #store(key: string, entry: Entry, { last_hidden_state, pooled }: Features): void {
    if (this.#entries.get(key) !== entry) return;
    entry.bytes = last_hidden_state.data.byteLength + pooled.data.byteLength;
    this.#bytes += entry.bytes;
    for (const [oldest, { bytes }] of this.#entries) {
      if (this.#bytes <= this.#limit) break;
      this.#entries.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}

/** One of the first dimension: [N, ...shape] -> [1, ...shape] */
function part({ dtype, data }: Tensor, n: number, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return new Tensor(dtype, [1, ...shape], data.slice(n * size, (n + 1) * size));
}

function keyOf(pixel_values: Tensor, image_sizes: Tensor | undefined): string {
  const { data, shape } = pixel_values;
  const hash = createHash("sha256").update(`${shape} ${image_sizes?.data.join() ?? ""};`);
  return hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest("base64");
}
