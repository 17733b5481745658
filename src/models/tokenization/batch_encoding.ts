import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Encoding } from "../../text/encoding.ts";
import { BatchFeature, type Features, type TensorType } from "../processing/batch_feature.ts";

/** What a tokenizer gives, as tensors of [rows, tokens]. */
export interface TokenTensors {
  input_ids: Tensor;
  attention_mask: Tensor;
  token_type_ids?: Tensor;
  special_tokens_mask?: Tensor;
  /** [rows, tokens, 2] */
  offset_mapping?: Tensor;
  /** [rows] */
  length?: Tensor;
  overflow_to_sample_mapping?: Tensor;
  assistant_masks?: Tensor;
  labels?: Tensor;
}

/** The same as number arrays: of one text `number[]`, of several `number[][]`. */
export type TokenLists<Row> = {
  input_ids: Row;
  attention_mask: Row;
  token_type_ids?: Row;
  special_tokens_mask?: Row;
  offset_mapping?: Row extends number[] ? [number, number][] : [number, number][][];
  length?: number[];
  overflow_to_sample_mapping?: number[];
  assistant_masks?: Row;
  labels?: Row;
};

/** Options of `convert_to_tensors`. */
interface ConvertOptions {
  /** Puts everything into one row. */
  prepend_batch_axis?: boolean;
  skip_tensor_conversion?: readonly string[] | null;
}

class EncodedBatch extends (BatchFeature as unknown as new (
  data?: Features,
  tensor_type?: TensorType | null,
) => BatchFeature<object>) {
  readonly #encodings: readonly Encoding[] | null;

  constructor(
    data: Features = {},
    encoding: Encoding | readonly Encoding[] | null = null,
    tensor_type: TensorType | null = null,
    prepend_batch_axis = false,
  ) {
    super(data);
    this.#encodings =
      encoding === null || Array.isArray(encoding) ? (encoding as Encoding[] | null) : [encoding as Encoding];
    this.convert_to_tensors(tensor_type, { prepend_batch_axis });
  }

  /** Whether what is known of each token is at hand. */
  get is_fast(): boolean {
    return this.#encodings !== null;
  }

  /** What is known of each token, row by row. */
  get encodings(): readonly Encoding[] | null {
    return this.#encodings;
  }

  /** 1 for single texts, 2 for pairs, null where it is not known. */
  get n_sequences(): number | null {
    const first = this.#encodings?.[0];
    return first === undefined ? null : first.sequence_ids.includes(1) ? 2 : 1;
  }

  override convert_to_tensors(tensor_type: TensorType | null = null, options: ConvertOptions = {}): this {
    const { prepend_batch_axis = false, ...rest } = options;
    checkOptions("convert_to_tensors", rest, ["skip_tensor_conversion", "prepend_batch_axis"]);
    if (tensor_type !== null && prepend_batch_axis) {
      for (const [key, value] of Object.entries(this))
        if (Array.isArray(value)) Object.assign(this, { [key]: [value] });
    }
    return super.convert_to_tensors(tensor_type, rest);
  }

  /** The tokens of a row. */
  tokens(batch_index = 0): string[] {
    return [...this.#row(batch_index).tokens];
  }

  /** Which word of its text each token belongs to. */
  word_ids(batch_index = 0): (number | null)[] {
    return [...this.#row(batch_index).word_ids];
  }

  /** Which text of a pair each token belongs to. */
  sequence_ids(batch_index = 0): (number | null)[] {
    return [...this.#row(batch_index).sequence_ids];
  }

  /**
   * The token that a character (code point) lies in, or null. With one number, of the first row.
   *
   * @param sequence_index which text of a pair the character is of
   */
  char_to_token(batch_or_char_index: number, char_index?: number | null, sequence_index = 0): number | null {
    const [row, char] = this.#place(batch_or_char_index, char_index);
    const found = row.offsets.findIndex(
      ([start, end], i) => row.sequence_ids[i] === sequence_index && char >= start && char < end,
    );
    return found < 0 ? null : found;
  }

  /** The characters (code points) that a token stands for, or null for one that was added. */
  token_to_chars(
    batch_or_token_index: number,
    token_index?: number | null,
  ): { start: number; end: number } | null {
    const [row, token] = this.#place(batch_or_token_index, token_index);
    const offset = row.offsets[token < 0 ? row.length + token : token];
    if (offset === undefined) {
      throw new OptionError(`token_to_chars: there is no token ${token} among ${row.length}`, {
        where: "token_index",
        got: token,
      });
    }
    const place = token < 0 ? row.length + token : token;
    return row.sequence_ids[place] === null ? null : { start: offset[0], end: offset[1] };
  }

  #place(first: number, second: number | null | undefined): [Encoding, number] {
    return second === undefined || second === null ? [this.#row(0), first] : [this.#row(first), second];
  }

  #row(index: number): Encoding {
    if (this.#encodings === null) {
      throw new OptionError("This BatchEncoding was not made by a tokenizer: nothing is known of its tokens");
    }
    const row = this.#encodings.at(index);
    if (row !== undefined) return row;
    throw new OptionError(`There is no row ${index} among ${this.#encodings.length}`, {
      where: "batch_index",
      got: index,
    });
  }
}

/**
 * The output of a tokenizer: a BatchFeature that also knows, for each token, the text that it stands for. Its own
 * enumerable keys are its data.
 */
export type BatchEncoding<T extends object = TokenTensors> = EncodedBatch & T;
export const BatchEncoding = EncodedBatch as unknown as {
  new <T extends object = TokenTensors>(
    data?: T,
    encoding?: Encoding | readonly Encoding[] | null,
    tensor_type?: TensorType | null,
    prepend_batch_axis?: boolean,
  ): BatchEncoding<T>;
  readonly prototype: EncodedBatch;
};
