import { OptionError } from "../../base/errors.ts";
import { type NestedNumbers, Tensor } from "../../tensor/tensor.ts";

/** Ids of one row: one id, a list, or a typed array. */
export type IdsRow = number | readonly number[] | Int32Array | BigInt64Array | Uint32Array;

/** Ids of one row or of several; also what a tokenizer gave. */
export type Ids = IdsRow | readonly IdsRow[] | Tensor | { readonly input_ids: IdsRow | Tensor };

export interface DecodeOptions {
  skip_special_tokens?: boolean;
  clean_up_tokenization_spaces?: boolean | null;
}

/**
 * Ids as lists of numbers, and whether several rows were given.
 *
 * @throws OptionError where they are no ids
 */
export function idsOf(value: Ids): { rows: number[][]; nested: boolean } {
  if (value instanceof Tensor) return idsOfNested(value.tolist(), value);
  if (typeof value === "object" && "input_ids" in value) return idsOf(value.input_ids as Ids);
  return idsOfNested(plainOf(value), value);
}

function idsOfNested(list: NestedNumbers, value: unknown): { rows: number[][]; nested: boolean } {
  const rows = typeof list === "number" ? [list] : list;
  const nested = Array.isArray(rows[0]);
  const all = (nested ? rows : [rows]) as NestedNumbers[];
  if (!all.every((row) => Array.isArray(row) && row.every((id) => Number.isInteger(id)))) throw noIds(value);
  return { rows: all as number[][], nested };
}

function plainOf(value: unknown): NestedNumbers {
  if (typeof value === "number") return value;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return Array.from(value as unknown as ArrayLike<number | bigint>, Number);
  }
  if (Array.isArray(value)) return value.map(plainOf);
  throw noIds(value);
}

function noIds(value: unknown): OptionError {
  const got = typeof value === "object" ? JSON.stringify(value)?.slice(0, 60) : typeof value;
  return new OptionError(`decode: expected ids as a Tensor or as lists of whole numbers, got ${got}`, {
    where: "token_ids",
    got: value,
  });
}

const CLEAN_UPS = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];

/** Takes away spaces before punctuation and English endings. */
export function cleanUp(text: string): string {
  return CLEAN_UPS.reduce((current, spaced) => current.replaceAll(spaced, spaced.trim()), text);
}
