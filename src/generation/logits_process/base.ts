import { Callable } from "../../base/callable.ts";
import { OptionError, ShapeError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { toFloat32 } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { CallableList } from "../callable_list.ts";

/** input_ids int32 [B, L], scores float32 [B, V] -> float32 [B, V] */
export type LogitsProcess = (input_ids: Tensor, scores: Tensor) => Tensor;

/** A processor as `generate` takes them: a function or an instance, which may ask a model first. */
export type LogitsProcessFunction = (input_ids: Tensor, scores: Tensor) => Tensor | Promise<Tensor>;

const CallableProcessor = Callable as unknown as abstract new () => LogitsProcess;

/** Base of what changes the scores of the next token. A call gives new scores and leaves those that it got. */
export abstract class LogitsProcessor extends CallableProcessor {
  abstract __call__(input_ids: Tensor, scores: Tensor): Tensor;
}

const CallableProcessors = CallableList as unknown as abstract new (
  items?: Iterable<LogitsProcessFunction>,
) => CallableList<LogitsProcessFunction, [Tensor, Tensor], Tensor | Promise<Tensor>> & LogitsProcessFunction;

/** Processors, run one after the other. The result is a promise only where one of them gives one. */
export class LogitsProcessorList extends CallableProcessors {
  override __call__(input_ids: Tensor, scores: Tensor): Tensor | Promise<Tensor> {
    let current: Tensor | Promise<Tensor> = scores;
    for (const processor of this) {
      if (current instanceof Tensor) current = processor(input_ids, current);
      else current = current.then((before) => processor(input_ids, before));
    }
    return current;
  }
}

/** Ids of the end of a text. */
export type EosIds = number | readonly number[] | Tensor;

/** The ids as a plain list. */
export function idList(ids: EosIds): number[] {
  if (typeof ids === "number") return [ids];
  return Array.from(ids instanceof Tensor ? ids.data : ids, Number);
}

/**
 * New scores, row by row.
 *
 * @param edit changes a row of scores in place. `ids` are the tokens of that row
 * @throws ShapeError where the two do not belong together
 */
export function editRows(
  name: string,
  input_ids: Tensor,
  scores: Tensor,
  edit: (scores: Float32Array, ids: ArrayLike<number>, row: number) => void,
): Tensor {
  const [rows, width] = matrix(name, "scores", scores);
  const [idRows, length] = matrix(name, "input_ids", input_ids);
  if (idRows !== rows) {
    throw new ShapeError(`${name}: input_ids has ${idRows} rows, scores has ${rows}`, {
      expected: rows,
      got: idRows,
    });
  }
  const ids = plainIds(input_ids);
  const out = new Float32Array(toFloat32(scores.dtype, scores.data));
  for (let row = 0; row < rows; row++) {
    edit(out.subarray(row * width, (row + 1) * width), ids.subarray(row * length, (row + 1) * length), row);
  }
  return new Tensor("float32", scores.shape, out);
}

/** Rows and columns of a matrix. @throws ShapeError where it is none */
export function matrix(name: string, what: string, { shape }: Tensor): [rows: number, columns: number] {
  if (shape.length === 2) return [shape[0], shape[1]];
  throw new ShapeError(`${name}: ${what} must be [rows, columns], got [${shape}]`, { got: shape });
}

/** Ids as numbers, whatever integer type they come in. */
export function plainIds({ data }: Tensor): Int32Array {
  return data instanceof Int32Array ? data : Int32Array.from(data as ArrayLike<number>, Number);
}

/** Where a forbidden token's score goes. */
export interface FilterOptions {
  filter_value?: number;
  min_tokens_to_keep?: number;
}

/** Checks the options of a filter. @throws OptionError */
export function filterOptions(name: string, options: FilterOptions): Required<FilterOptions> {
  checkOptions(name, options, ["filter_value", "min_tokens_to_keep"]);
  const { filter_value = Number.NEGATIVE_INFINITY, min_tokens_to_keep = 1 } = options;
  wholeNumber(name, "min_tokens_to_keep", min_tokens_to_keep, 1);
  return { filter_value, min_tokens_to_keep };
}

/** @throws OptionError where the value is not a whole number from `min` */
export function wholeNumber(name: string, option: string, value: unknown, min: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= min) return;
  refuse(name, option, `an integer from ${min}`, value);
}

/** @throws OptionError where the test fails */
export function numberWhere(
  name: string,
  option: string,
  value: unknown,
  expected: string,
  test: (value: number) => boolean,
): void {
  if (typeof value === "number" && test(value)) return;
  refuse(name, option, expected, value);
}

export function refuse(name: string, option: string, expected: string, got: unknown): never {
  throw new OptionError(`${name}: ${option} must be ${expected}, got ${JSON.stringify(got) ?? String(got)}`, {
    where: option,
    expected,
    got,
  });
}
