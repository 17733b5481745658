import { Callable } from "../../base/callable.ts";
import { ShapeError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { toFloat32 } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { logSoftmax } from "../probabilities.ts";
import { editRows, LogitsProcessor, matrix, numberWhere, plainIds } from "./base.ts";

const { fround } = Math;

/** The scores' first half are of the prompts, the second of the prompts to keep away from; they are combined. */
export class ClassifierFreeGuidanceLogitsProcessor extends LogitsProcessor {
  readonly guidance_scale: number;

  constructor(guidance_scale: number) {
    super();
    const name = "ClassifierFreeGuidanceLogitsProcessor";
    numberWhere(name, "guidance_scale", guidance_scale, "a number above 1", (g) => g > 1);
    this.guidance_scale = guidance_scale;
  }

  /** input_ids [B, L], scores [2*B, V] -> [B, V] */
  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const name = "ClassifierFreeGuidanceLogitsProcessor";
    const [rows, width] = matrix(name, "scores", scores);
    const [prompts] = matrix(name, "input_ids", input_ids);
    if (rows !== 2 * prompts) {
      throw new ShapeError(
        `${name}: scores must have ${2 * prompts} rows, two for each of input_ids, got ${rows}`,
        {
          expected: 2 * prompts,
          got: rows,
        },
      );
    }
    const all = toFloat32(scores.dtype, scores.data);
    const scale = fround(this.guidance_scale);
    const out = new Float32Array(prompts * width);
    for (let i = 0; i < out.length; i++) {
      const without = all[out.length + i];
      out[i] = without + fround(fround(all[i] - without) * scale);
    }
    return new Tensor("float32", [prompts, width], out);
  }
}

/** What guidance needs of a model. */
export type GuidanceModel = (options: {
  input_ids: Tensor;
  attention_mask: Tensor;
  use_cache: boolean;
  past_key_values: unknown;
}) => Promise<{ logits: Tensor; past_key_values?: unknown }>;

export interface GuidanceOptions {
  /** What to keep away from, int32 [B, N]; where left out, the last token of the prompt alone. */
  unconditional_ids?: Tensor | null;
  unconditional_attention_mask?: Tensor | null;
  use_cache?: boolean;
}

const CallableGuidance = Callable as unknown as abstract new () => (
  input_ids: Tensor,
  scores: Tensor,
) => Promise<Tensor>;

/** Keeps away from what the model would say without the prompt, or after another one. It asks the model a second time. */
export class UnbatchedClassifierFreeGuidanceLogitsProcessor extends CallableGuidance {
  readonly guidance_scale: number;
  readonly model: GuidanceModel;
  #ids: Tensor | null;
  #mask: Tensor | null;
  readonly #useCache: boolean;
  #past: unknown = null;
  #started = false;

  constructor(guidance_scale: number, model: GuidanceModel, options: GuidanceOptions = {}) {
    super();
    const name = "UnbatchedClassifierFreeGuidanceLogitsProcessor";
    checkOptions(name, options, ["unconditional_ids", "unconditional_attention_mask", "use_cache"]);
    this.guidance_scale = guidance_scale;
    this.model = model;
    this.#ids = options.unconditional_ids ?? null;
    this.#mask = options.unconditional_attention_mask ?? null;
    this.#useCache = options.use_cache ?? true;
  }

  async __call__(input_ids: Tensor, scores: Tensor): Promise<Tensor> {
    const name = "UnbatchedClassifierFreeGuidanceLogitsProcessor";
    const conditional = editRows(name, input_ids, scores, (row) => row.set(logSoftmax(row)));
    if (this.guidance_scale === 1) return conditional;
    const without = await this.#unconditional(input_ids);
    const scale = fround(this.guidance_scale);
    return editRows(name, input_ids, conditional, (row, _, i) => {
      const other = logSoftmax(without.subarray(i * row.length, (i + 1) * row.length));
      for (let j = 0; j < row.length; j++) row[j] = fround(scale * fround(row[j] - other[j])) + other[j];
    });
  }

  /** The last logits of the unconditional text, rows end to end. */
  async #unconditional(input_ids: Tensor): Promise<Float32Array> {
    const last = lastColumn(input_ids);
    let next: Tensor;
    if (!this.#started) {
      this.#ids ??= last;
      this.#mask ??= ones(this.#ids);
      next = this.#ids;
      this.#started = true;
    } else {
      this.#mask = appendColumn(this.#mask as Tensor, ones(last));
      next = this.#useCache ? last : appendColumn(this.#ids as Tensor, last);
      this.#ids = next;
    }
    const output = await this.model({
      input_ids: next,
      attention_mask: this.#mask,
      use_cache: this.#useCache,
      past_key_values: this.#past,
    });
    this.#past = output.past_key_values ?? null;
    const [rows, length, width] = output.logits.shape;
    const all = toFloat32(output.logits.dtype, output.logits.data);
    const out = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const at = (row * length + length - 1) * width;
      out.set(all.subarray(at, at + width), row * width);
    }
    return out;
  }
}

// [B, L] -> [B, 1]
function lastColumn(ids: Tensor): Tensor {
  const [rows, length] = ids.shape;
  const all = plainIds(ids);
  return new Tensor(
    "int32",
    [rows, 1],
    Array.from({ length: rows }, (_, i) => all[(i + 1) * length - 1]),
  );
}

function ones(like: Tensor): Tensor {
  return new Tensor("int32", like.shape, new Int32Array(like.data.length).fill(1));
}

// [B, L], [B, 1] -> [B, L + 1]
function appendColumn(left: Tensor, right: Tensor): Tensor {
  const [rows, length] = left.shape;
  const [a, b] = [plainIds(left), plainIds(right)];
  const out = Array.from({ length: rows }, (_, i) => [...a.subarray(i * length, (i + 1) * length), b[i]]);
  return new Tensor("int32", [rows, length + 1], out.flat());
}
