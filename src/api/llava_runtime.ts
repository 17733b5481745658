import { ShapeError } from "../base/errors.ts";
import { type Device, Value } from "../devices/device.ts";
import { PromptCache } from "../generation/prompt_cache.ts";
import type { CacheDType } from "../kernels/cache_pages.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import {
  type FeatureSelection,
  type ImageFeatures,
  LlavaForConditionalGenerationModule,
  type LlavaModule,
} from "../models/llava/modeling_llava.ts";
import type { VisionOptions } from "../models/vision_tower.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { mergeRows, takeRows } from "../nn/functional.ts";
import { KVCache } from "../nn/kv_cache.ts";
import type { Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { PagePool } from "../nn/page_pool.ts";
import { Rows } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type Batch, repad, repadAttention } from "./batch.ts";
import { type CacheLimits, cacheLimits } from "./cache_limits.ts";
import { namesOf, PictureCache, type Pixels, type SeenPictures } from "./picture_cache.ts";

/** What the rows of a pass hold before the first layer. */
export type TextInput =
  | { kind: "ids"; ids: readonly (readonly number[])[] }
  | { kind: "embeds"; embeds: Tensor };

/** Where the pictures of a pass come from. */
export type ImageInput = ({ kind: "pixels" } & Pixels) | { kind: "features"; features: Tensor };

/** One forward pass over a batch. */
export interface PassOptions {
  batch: Batch;
  text: TextInput;
  /** The rows of the pictures, [sum L, D]. */
  features?: Tensor;
  /** For each column of the batch [B, L]: whether it is a picture's placeholder. */
  placeholders: boolean[][];
  /** A cache for each row of the batch, or (packed) for each sequence. */
  caches: DynamicCache;
  hidden_states: boolean;
  attentions: boolean;
  /** Columns whose logits are wanted; undefined: no logits, but the last hidden state. */
  logitColumns?: readonly number[];
  signal?: AbortSignal;
}

/** Results of a pass, put back into the batch's columns. */
export interface PassResult {
  /** [B, L, D] */
  last_hidden_state?: Tensor;
  /** [B, columns, V] */
  logits?: Tensor;
  hidden_states?: Tensor[];
  attentions?: Tensor[];
  /** [sum L, D] */
  image_hidden_states?: Tensor;
}

/** A loaded model: its modules, its device, and the pool of its caches. */
export class LlavaRuntime {
  readonly config: LlavaConfig;
  readonly device: Device;
  readonly root: LlavaForConditionalGenerationModule;
  readonly pool: PagePool;
  readonly prompts: PromptCache;
  readonly pictures: PictureCache;
  /** Whether there are packed weights. */
  #packed: boolean | undefined;

  /** @param tied whether the head is the table of token embeddings; without: as the config says */
  constructor(
    config: LlavaConfig,
    device: Device,
    limits: CacheLimits = {},
    cacheDtype?: CacheDType,
    tied?: boolean,
  ) {
    this.config = config;
    this.device = device;
    this.root = new LlavaForConditionalGenerationModule(config, tied);
    const { language_model, vision_tower } = this.root.model;
    this.pool = new PagePool(device, language_model.cacheShape, cacheDtype);
    const { promptCacheBytes, pictureCacheBytes } = cacheLimits(limits, this.pool.pageBytes / this.pool.page);
    // Keys that are turned by the length of their whole sequence are another sequence's no more.
    this.prompts = new PromptCache(this.pool, language_model.keysStay ? promptCacheBytes : 0);
    this.pictures = new PictureCache(
      pictureCacheBytes,
      (pixels, selection, signal) => this.#see(pixels, selection, signal),
      ({ vision_feature_select_strategy: strategy }) => strategy === "full" || !vision_tower.merged,
    );
  }

  /** Forgets what was kept for later calls. To be called where weights change. */
  clearCaches(): void {
    this.prompts.clear();
    this.pictures.clear();
    this.#packed = undefined;
  }

  /**
   * Rows of prompts are multiplied by other products than rows that a model chose: where weights are packed, and the
   * device is faster at expanding them, if rows are many.
   */
  get promptsApart(): boolean {
    this.#packed ??= [...this.root.named_parameters()].some(([, { format }]) => format !== undefined);
    return this.device.multipliesExpanded && this.#packed;
  }

  get model(): LlavaModule {
    return this.root.model;
  }

  /** The tree of `LlavaModel`, whose parameters have the names that they have in the whole. */
  get body(): Module {
    return new Body(this.root.model);
  }

  get head(): Linear {
    return this.root.lm_head;
  }

  /** Inside a step: the embeddings of ids, [T] -> [T, D]. A placeholder outside the vocabulary, among given ones, has token 0's. */
  embed(ids: readonly number[] | Value): Value {
    const { embed_tokens } = this.model.language_model;
    if (ids instanceof Value) return embed_tokens.forward(ids);
    const { vocab_size } = this.config.text_config;
    const known = Int32Array.from(ids, (id) => (id < vocab_size ? id : 0));
    return embed_tokens.forward(this.device.upload(new Tensor("int32", [ids.length], known)));
  }

  /** Inside a step: the features of pictures. */
  imageFeatures(
    pixel_values: Tensor,
    selection: FeatureSelection,
    options: VisionOptions,
    trace: Trace,
  ): ImageFeatures {
    return this.model.imageFeatures(this.device.upload(pixel_values), selection, options, trace);
  }

  /**
   * One pass over a batch. The caches grow by it; where it fails, they are as before. Its rows count as a prompt's, one
   * column after what a cache holds as chosen.
   */
  async pass(options: PassOptions): Promise<PassResult> {
    const { batch, caches } = options;
    const before = caches.get_seq_length();
    const packed = isPacked(batch);
    const owners = batch.sequences.map(({ row, blind }, s) =>
      blind ? new KVCache(this.pool) : caches.row(packed ? s : row),
    );
    const lengths = owners.map((cache) => cache.length);
    const keyColumns = batch.sequences.map(({ row, columns, blind }) =>
      blind ? [] : [...(packed ? [] : caches.columns(row)), ...columns.map((c) => before + c)],
    );
    const reads = new Reads();
    let collect: () => PassResult = () => ({});
    try {
      await KVCache.prepare(
        owners,
        batch.sequences.map(({ columns }) => columns.length),
      );
      reads.tensors = await this.device.step(
        () => {
          const segments = batch.sequences.map(({ positions, blind }, s) => ({
            cache: owners[s],
            positions,
            blind,
          }));
          collect = this.#record(
            options,
            new Rows(this.device, this.pool, segments),
            reads,
            before,
            keyColumns,
          );
          return reads.values;
        },
        { signal: options.signal, prompt: !(before > 0 && batch.length === 1) },
      );
    } catch (error) {
      for (const [s, cache] of owners.entries()) cache.crop(lengths[s]);
      throw error;
    } finally {
      for (const [s, cache] of owners.entries()) if (batch.sequences[s].blind) cache.dispose();
    }
    if (!packed) {
      const own = batch.sequences.filter(({ blind }) => !blind);
      const kept = Array.from({ length: batch.rows }, (_, row) =>
        own.filter((s) => s.row === row).flatMap(({ columns }) => columns.map((c) => before + c)),
      );
      caches.extend(batch.length, kept);
    }
    return collect();
  }

  #record(
    options: PassOptions,
    rows: Rows,
    reads: Reads,
    before: number,
    keyColumns: number[][],
  ): () => PassResult {
    const { batch, logitColumns } = options;
    const trace: Trace = { hidden_states: [], attentions: options.attentions ? [] : undefined };
    const features = options.features && this.device.upload(options.features);
    const embedded = this.#embedded(options, features);
    const last = this.model.language_model.forward(embedded, rows, trace); // [T, D]
    const image = features && reads.add(features);
    const states = options.hidden_states ? trace.hidden_states.map((value) => reads.add(value)) : undefined;
    const attentions = trace.attentions?.map((value) => reads.add(value));
    const wanted = logitColumns && keptColumns(batch, logitColumns);
    const hidden = wanted ? undefined : reads.add(last);
    const logits =
      wanted && wanted.rows.length > 0
        ? reads.add(this.head.forward(takeRows(last, wanted.rows)))
        : undefined;
    const heads = this.config.text_config.num_attention_heads;
    const vocabulary = this.head.weight.shape[0];
    return () => ({
      last_hidden_state: hidden && repad(batch, hidden()),
      logits: wanted && repad(wanted.batch, logits?.() ?? new Tensor("float32", [0, vocabulary], [])),
      hidden_states: states?.map((state) => repad(batch, state())),
      attentions: attentions?.map((weights) => repadAttention(batch, weights(), heads, before, keyColumns)),
      image_hidden_states: image?.(),
    });
  }

  /** The rows of pictures. One that was looked at lately is not looked at again. */
  async look(image: ImageInput, selection: FeatureSelection, signal?: AbortSignal): Promise<SeenPictures> {
    if (image.kind === "pixels") return this.pictures.look(image, selection, signal);
    return { rows: image.features, names: await namesOf(image.features) };
  }

  async #see(
    { pixel_values, options }: Pixels,
    selection: FeatureSelection,
    signal?: AbortSignal,
  ): Promise<Tensor> {
    const trace: Trace = { hidden_states: [] };
    const [features] = await this.device.step(
      () => [this.imageFeatures(pixel_values, selection, options, trace).features],
      { signal, prompt: true },
    );
    return features;
  }

  /** The rows before the first layer, pictures in their places: [T, D] */
  #embedded({ batch, text, placeholders }: PassOptions, features: Value | undefined): Value {
    const x =
      text.kind === "ids"
        ? this.embed(batch.sequences.flatMap(({ row, columns }) => columns.map((c) => text.ids[row][c])))
        : this.device.upload(unpaddedRows(batch, text.embeds));
    if (!features) return x;
    checkFeatureCount(placeholders, features);
    const order = featureOrder(placeholders);
    const index = batch.sequences.flatMap(({ row, columns }) => columns.map((c) => order[row][c]));
    return mergeRows(x, features, index);
  }
}

class Body extends Module {
  model: LlavaModule;

  constructor(model: LlavaModule) {
    super();
    this.model = model;
  }
}

/** Values that a step shall read, and their numbers once it has been computed. */
class Reads {
  readonly values: Value[] = [];
  tensors: Tensor[] = [];

  add(value: Value): () => Tensor {
    const at = this.values.push(value) - 1;
    return () => this.tensors[at];
  }
}

/** Whether rows hold several sequences, each with a cache of its own. */
function isPacked(batch: Batch): boolean {
  const rows = batch.sequences.filter(({ blind }) => !blind).map(({ row }) => row);
  return new Set(rows).size < rows.length;
}

/** The rows of [T, D] that belong to the wanted columns, and where they go. */
function keptColumns(batch: Batch, wanted: readonly number[]): { rows: number[]; batch: Batch } {
  const places = new Map(wanted.map((column, i) => [column, i]));
  const rows: number[] = [];
  const sequences = batch.sequences.map((sequence) => ({ ...sequence, columns: [] as number[] }));
  let first = 0;
  for (const [s, { columns }] of batch.sequences.entries()) {
    for (const [i, column] of columns.entries()) {
      const place = places.get(column);
      if (place === undefined) continue;
      rows.push(first + i);
      sequences[s].columns.push(place);
    }
    first += columns.length;
  }
  return { rows, batch: { rows: batch.rows, length: wanted.length, sequences } };
}

/** [B, L, D] without its padding: [T, D] */
function unpaddedRows(batch: Batch, embeds: Tensor): Tensor {
  const D = embeds.shape[2];
  const data = embeds.data as Float32Array;
  const total = batch.sequences.reduce((sum, { columns }) => sum + columns.length, 0);
  const out = new Float32Array(total * D);
  let at = 0;
  for (const { row, columns } of batch.sequences)
    for (const column of columns) {
      const from = (row * batch.length + column) * D;
      out.set(data.subarray(from, from + D), at);
      at += D;
    }
  return new Tensor("float32", [total, D], out);
}

/** For each column the feature row that goes there, or -1: features go in by row, then column. [B, L] */
export function featureOrder(placeholders: readonly (readonly boolean[])[]): number[][] {
  let next = 0;
  return placeholders.map((row) => row.map((is) => (is ? next++ : -1)));
}

/** @throws ShapeError where there are not as many placeholders as feature rows */
export function checkFeatureCount(
  placeholders: readonly (readonly boolean[])[],
  features: Value | Tensor,
): void {
  const count = placeholders.flat().filter(Boolean).length;
  const [rows, D] = features.shape;
  if (count === rows) return;
  throw new ShapeError(
    `Image features and image tokens do not match, tokens: ${count}, features: ${rows * D} (${rows} rows). ` +
      "Did the processor of this model make the prompt, and was it cut off?",
    { where: "pixel_values", expected: rows, got: count },
  );
}

/** All parameters of a module back to the device. */
export function freeParameters(root: Module): void {
  for (const [, parameter] of root.named_parameters()) parameter.free();
}
