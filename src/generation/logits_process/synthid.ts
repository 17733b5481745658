import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { softmax } from "../probabilities.ts";
import { TorchRandom } from "../torch_random.ts";
import { editRows, LogitsProcessor, matrix, plainIds, refuse, wholeNumber } from "./base.ts";
import { checkCpu } from "./watermark.ts";

const MULTIPLIER = 6364136223846793005n;
const LOWEST = -(2 - 2 ** -23) * 2 ** 127;
const { fround } = Math;

/** Goes on with a hash, as 64-bit integers that wrap. */
function accumulate(hash: bigint, data: Iterable<number | bigint>): bigint {
  for (const item of data) hash = BigInt.asIntN(64, (hash + BigInt(item)) * MULTIPLIER + 1n);
  return hash;
}

export interface SynthIDOptions {
  /** Leaves the first `ngram_len - 1` tokens unmarked. */
  skip_first_ngram_calls?: boolean;
  /** Takes all scores as equal. */
  debug_mode?: boolean;
}

/** Marks text as SynthID does (Nature 634, 818): tournaments that keys and the tokens before decide. */
export class SynthIDTextWatermarkLogitsProcessor extends LogitsProcessor {
  readonly ngram_len: number;
  readonly keys: readonly number[];
  readonly context_history_size: number;
  readonly skip_first_ngram_calls: boolean;
  readonly debug_mode: boolean;
  readonly #table: Uint8Array;
  #contexts: number[][] | undefined;
  #histories: bigint[][] = [];
  #calls = 0;

  constructor(
    ngram_len: number,
    keys: readonly number[],
    sampling_table_size: number,
    sampling_table_seed: number,
    context_history_size: number,
    device: "cpu" = "cpu",
    options: SynthIDOptions = {},
  ) {
    super();
    const name = "SynthIDTextWatermarkLogitsProcessor";
    wholeNumber(name, "ngram_len", ngram_len, 2);
    wholeNumber(name, "sampling_table_size", sampling_table_size, 1);
    wholeNumber(name, "context_history_size", context_history_size, 1);
    if (sampling_table_size > 2 ** 28)
      refuse(name, "sampling_table_size", "at most 2^28", sampling_table_size);
    checkCpu(name, device);
    checkOptions(name, options, ["skip_first_ngram_calls", "debug_mode"]);
    const random = new TorchRandom(sampling_table_seed);
    this.ngram_len = ngram_len;
    this.keys = [...keys];
    this.context_history_size = context_history_size;
    this.skip_first_ngram_calls = options.skip_first_ngram_calls ?? false;
    this.debug_mode = options.debug_mode ?? false;
    this.#table = Uint8Array.from({ length: sampling_table_size }, () => random.random() % 2);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const name = "SynthIDTextWatermarkLogitsProcessor";
    this.#follow(input_ids);
    this.#calls++;
    const plain = editRows(name, input_ids, scores, (row) => {
      if (this.debug_mode) row.fill(1);
    });
    if (this.skip_first_ngram_calls && this.#calls < this.ngram_len) return plain;
    return editRows(name, input_ids, plain, (row, _, i) => {
      const context = accumulate(1n, this.#contexts?.[i] ?? []);
      const marked = this.#tournament(row, context);
      const history = this.#histories[i];
      if (!history.includes(context)) row.set(marked);
      history.unshift(context);
      history.pop();
    });
  }

  /** Keeps the last tokens of each row. The first call begins with zeros, whatever the prompt is. */
  #follow(input_ids: Tensor): void {
    const [rows, length] = matrix("SynthIDTextWatermarkLogitsProcessor", "input_ids", input_ids);
    if (this.#contexts === undefined) {
      this.#contexts = Array.from({ length: rows }, () => new Array<number>(this.ngram_len - 1).fill(0));
      this.#histories = Array.from({ length: rows }, () =>
        new Array<bigint>(this.context_history_size).fill(0n),
      );
      return;
    }
    const ids = plainIds(input_ids);
    for (const [row, context] of this.#contexts.entries()) {
      context.push(ids[(row + 1) * length - 1]);
      context.shift();
    }
  }

  /** For each key, tokens whose bit is set gain what the others lose. */
  #tournament(row: Float32Array, context: bigint): Float32Array {
    const probabilities = softmax(row);
    const hashes = Array.from(row, (_, id) => accumulate(context, [id]));
    for (const key of this.keys) {
      const bits = hashes.map((hash) => this.#bit(accumulate(hash, [key])));
      let mass = 0;
      for (let i = 0; i < row.length; i++) mass += bits[i] * probabilities[i];
      const share = fround(mass);
      for (let i = 0; i < row.length; i++) probabilities[i] *= fround(1 + bits[i] - share);
    }
    return probabilities.map((p) => (p > 0 ? Math.log(p) : LOWEST));
  }

  #bit(hash: bigint): number {
    const size = BigInt(this.#table.length);
    return this.#table[Number(((hash % size) + size) % size)];
  }

  /**
   * The bits of each token of a text, as a detector needs them.
   * input_ids [B, L] -> [B, L - (ngram_len - 1), keys]
   */
  compute_g_values(input_ids: Tensor): Tensor {
    const [rows, length] = matrix("compute_g_values", "input_ids", input_ids);
    const ids = plainIds(input_ids);
    const count = Math.max(0, length - (this.ngram_len - 1));
    const out: number[] = [];
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < count; i++) {
        const start = row * length + i;
        const hash = accumulate(1n, ids.subarray(start, start + this.ngram_len));
        for (const key of this.keys) out.push(this.#bit(accumulate(hash, [key])));
      }
    }
    return new Tensor("int32", [rows, count, this.keys.length], out);
  }

  /**
   * 1 where a token's context is new in its text, 0 where it came before (such tokens are not marked).
   * input_ids [B, L] -> [B, L - (ngram_len - 1)]
   */
  compute_context_repetition_mask(input_ids: Tensor): Tensor {
    const [rows, length] = matrix("compute_context_repetition_mask", "input_ids", input_ids);
    const ids = plainIds(input_ids);
    const count = Math.max(0, length - (this.ngram_len - 1));
    const out: number[] = [];
    for (let row = 0; row < rows; row++) {
      const history = new Array<bigint>(this.context_history_size).fill(0n);
      for (let i = 0; i < count; i++) {
        const start = row * length + i;
        const context = accumulate(1n, ids.subarray(start, start + this.ngram_len - 1));
        out.push(history.includes(context) ? 0 : 1);
        history.unshift(context);
        history.pop();
      }
    }
    return new Tensor("int32", [rows, count], out);
  }

  /**
   * 1 before the first end of each text, 0 from it on.
   * input_ids [B, L] -> [B, L]
   */
  compute_eos_token_mask(input_ids: Tensor, eos_token_id: number): Tensor {
    const [rows, length] = matrix("compute_eos_token_mask", "input_ids", input_ids);
    const ids = plainIds(input_ids);
    const out = new Int32Array(rows * length);
    for (let row = 0; row < rows; row++) {
      const end = ids.subarray(row * length, (row + 1) * length).indexOf(eos_token_id);
      out.fill(1, row * length, row * length + (end < 0 ? length : end));
    }
    return new Tensor("int32", [rows, length], out);
  }

  /** The mean of the bits of marked text, had the model been indifferent. */
  expected_mean_g_value(vocab_size: number, coinflip_prob = 0.5): number {
    return coinflip_prob + coinflip_prob * (1 - coinflip_prob) * (1 - 1 / vocab_size);
  }
}
