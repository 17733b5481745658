import { OptionError, ShapeError } from "../base/errors.ts";
import type { DType } from "./dtype.ts";
import { sizeOf, Tensor } from "./tensor.ts";

/** Token ids as they may be given: a tensor [B, L] or [L], nested arrays, or one row. */
export type Ids = Tensor | readonly number[] | readonly (readonly number[])[];

/**
 * Whole numbers as rows.
 *
 * @param name the option's name, for messages
 * @throws ShapeError where the rows are of unequal length
 */
export function idRows(name: string, ids: Ids): number[][] {
  const rows = ids instanceof Tensor ? tensorRows(name, ids) : arrayRows(name, ids);
  for (const row of rows) {
    if (row.length !== rows[0].length) {
      throw new ShapeError(
        `${name}: rows are of unequal length (${rows[0].length} and ${row.length}); give the processor padding: true`,
        { where: name, expected: rows[0].length, got: row.length },
      );
    }
    const bad = row.find((id) => !Number.isInteger(id));
    if (bad !== undefined)
      throw new OptionError(`${name}: expected whole numbers, got ${bad}`, { where: name, got: bad });
  }
  return rows;
}

function tensorRows(name: string, { shape, data }: Tensor): number[][] {
  if (shape.length < 1 || shape.length > 2) {
    throw new ShapeError(`${name}: expected shape [batch, length], got [${shape}]`, {
      where: name,
      got: shape,
    });
  }
  const [batch, length] = shape.length === 2 ? shape : [1, shape[0]];
  return Array.from({ length: batch }, (_, b) =>
    Array.from(data.subarray(b * length, b * length + length), Number),
  );
}

function arrayRows(name: string, ids: readonly number[] | readonly (readonly number[])[]): number[][] {
  if (!Array.isArray(ids)) {
    throw new OptionError(`${name}: expected a Tensor or arrays of numbers, got ${typeof ids}`, {
      where: name,
    });
  }
  return ids.some(Array.isArray) || ids.length === 0
    ? (ids as readonly (readonly number[])[]).map((row) => [...row])
    : [[...(ids as readonly number[])]];
}

/**
 * @param placeholder an id that may lie outside
 * @throws OptionError where an id is not a row of the embedding matrix
 */
export function checkVocabulary(
  name: string,
  rows: readonly (readonly number[])[],
  vocabulary: number,
  placeholder?: number,
): void {
  for (const row of rows)
    for (const id of row) {
      if ((id >= 0 && id < vocabulary) || id === placeholder) continue;
      throw new OptionError(`${name}: ${id} is no token of the model, which has ids 0 to ${vocabulary - 1}`, {
        where: name,
        expected: `0 to ${vocabulary - 1}`,
        got: id,
      });
    }
}

/** @throws ShapeError where a tensor is not what it must be; -1 stands for any size */
export function checkTensor(
  name: string,
  tensor: unknown,
  shape: readonly number[],
  hint: string,
  dtype: DType,
): Tensor {
  const fits =
    tensor instanceof Tensor &&
    tensor.dtype === dtype &&
    tensor.shape.length === shape.length &&
    shape.every((size, i) => size === -1 || size === tensor.shape[i]);
  if (fits && sizeOf(tensor.shape) > 0) return tensor;
  const got = tensor instanceof Tensor ? `${tensor.dtype} [${tensor.shape}]` : typeof tensor;
  const expected = shape.map((size) => (size === -1 ? "*" : size)).join(", ");
  throw new ShapeError(`${name}: expected a ${dtype} Tensor of shape [${expected}] (${hint}), got ${got}`, {
    where: name,
    expected: shape,
    got: tensor instanceof Tensor ? tensor.shape : typeof tensor,
  });
}
