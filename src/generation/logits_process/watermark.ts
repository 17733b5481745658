import { warnOnce } from "../../base/env.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { largest } from "../probabilities.ts";
import { TorchRandom } from "../torch_random.ts";
import type { WatermarkingOptions } from "../watermarking_config.ts";
import { editRows, LogitsProcessor, numberWhere, refuse, wholeNumber } from "./base.ts";

const TABLE_SIZE = 1_000_003;
/** How many of the best tokens `selfhash` looks at. */
const CANDIDATES = 40;
const OPTIONS = ["greenlist_ratio", "bias", "hashing_key", "seeding_scheme", "context_width"];

/**
 * Favours a part of the vocabulary that the tokens before decide, so that the text can be told from other text
 * (arXiv 2306.04634). The parts are those that Transformers chooses on the CPU.
 */
export class WatermarkLogitsProcessor extends LogitsProcessor {
  readonly vocab_size: number;
  readonly greenlist_size: number;
  readonly bias: number;
  readonly seeding_scheme: "lefthash" | "selfhash";
  readonly hash_key: number;
  readonly context_width: number;
  readonly #random: TorchRandom;
  #table: Int32Array | undefined;

  /** @param device where the random numbers come from; only those of `cpu` can be had */
  constructor(vocab_size: number, device: "cpu" = "cpu", options: WatermarkingOptions = {}) {
    super();
    const name = "WatermarkLogitsProcessor";
    wholeNumber(name, "vocab_size", vocab_size, 1);
    checkCpu(name, device);
    checkOptions(name, options, OPTIONS);
    const ratio = options.greenlist_ratio ?? 0.25;
    numberWhere(name, "greenlist_ratio", ratio, "a number between 0 and 1", (r) => r > 0 && r < 1);
    const scheme = options.seeding_scheme ?? "lefthash";
    if (scheme !== "lefthash" && scheme !== "selfhash")
      refuse(name, "seeding_scheme", "lefthash or selfhash", scheme);
    this.vocab_size = vocab_size;
    this.greenlist_size = Math.trunc(vocab_size * ratio);
    this.bias = options.bias ?? 2;
    this.seeding_scheme = scheme;
    this.hash_key = options.hashing_key ?? 15485863;
    this.context_width = options.context_width ?? 1;
    this.#random = new TorchRandom(this.hash_key);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const length = input_ids.shape[1];
    if (length < this.context_width) {
      warnOnce(`The watermark needs ${this.context_width} tokens before it begins; there are ${length}.`);
      return scores;
    }
    return editRows("WatermarkLogitsProcessor", input_ids, scores, (row, ids) => {
      const list = Array.from(ids);
      const favoured = this.seeding_scheme === "selfhash" ? this.#selfhash(list, row) : this.#greenlist(list);
      for (const id of favoured) row[id] += Math.fround(this.bias);
    });
  }

  /** The part of the vocabulary that follows this text. */
  #greenlist(ids: readonly number[]): Int32Array {
    this.#random.manual_seed(this.#seed(ids));
    return this.#random.permutation(this.vocab_size, this.greenlist_size);
  }

  /** Of the best tokens, those that are in the part which follows the text with them. */
  #selfhash(ids: readonly number[], row: Float32Array): number[] {
    const best = largest(row, CANDIDATES);
    return Array.from(best).filter((id) => this.#greenlist([...ids, id]).includes(id));
  }

  /** As Python computes it: 64-bit integers that wrap in the products. */
  #seed(ids: readonly number[]): bigint {
    const modulus = 2n ** 64n - 1n;
    const key = BigInt(this.hash_key);
    if (this.seeding_scheme === "lefthash") return mod(key * BigInt(ids[ids.length - 1]), modulus);
    const table = this.#hashTable();
    const entry = (id: number): bigint => BigInt(table[id % TABLE_SIZE] + 1);
    const context = ids.slice(-this.context_width);
    const own = entry(context[context.length - 1]);
    const hashes = context.map((id) => BigInt.asIntN(64, BigInt.asIntN(64, key * entry(id)) * own));
    hashes.sort((a, b) => (a < b ? -1 : 1));
    return mod(hashes[0], modulus);
  }

  #hashTable(): Int32Array {
    this.#table ??= new TorchRandom(this.hash_key).permutation(TABLE_SIZE);
    return this.#table;
  }
}

function mod(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus;
}

/** @throws OptionError where the random numbers should come from another device than torch's `cpu` */
export function checkCpu(name: string, device: unknown): void {
  if (device !== "cpu") refuse(name, "device", '"cpu"', device);
}
