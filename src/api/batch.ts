import { OptionError, ShapeError, UnsupportedError } from "../base/errors.ts";
import { checkCached, type DynamicCache } from "../nn/dynamic_cache.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";

/** One sequence within a row of the batch: the columns of its tokens, and their positions. */
export interface BatchSequence {
  /** The row of the batch. */
  row: number;
  /** Columns of this call's tokens, padding left out. */
  columns: number[];
  /** One for each column. */
  positions: number[];
  /** One column of padding, which sees nothing. */
  blind?: boolean;
}

/**
 * The public border: a padded batch [B, L] as sequences without padding, and results put back into [B, L].
 * Nothing behind it knows of padding.
 */
export interface Batch {
  rows: number;
  /** L */
  length: number;
  sequences: BatchSequence[];
}

/** What says where the padding is. */
export interface BatchOptions {
  attention_mask?: Ids | null;
  position_ids?: Ids | null;
  past?: DynamicCache;
  /** No cache is kept: positions that start anew are then separate sequences in one row, as in Transformers. */
  packed: boolean;
  /** `[B, L]`: columns whose results are needed although they are padding. */
  needed?: boolean[][];
}

/** Takes the padding off. */
export function unpad(rows: number, length: number, options: BatchOptions): Batch {
  const { past } = options;
  if (past && past.batch_size !== rows) {
    throw new ShapeError(`past_key_values has ${past.batch_size} rows, the batch has ${rows}`, {
      where: "past_key_values",
      expected: rows,
      got: past.batch_size,
    });
  }
  const before = past?.get_seq_length() ?? 0;
  const mask = maskRows(options.attention_mask, rows, length, before);
  if (past && mask) checkCached(mask, past);
  const positions = positionRows(options.position_ids, rows, length, before);
  const sequences: BatchSequence[] = [];
  for (let row = 0; row < rows; row++) {
    const columns = Array.from({ length }, (_, c) => c).filter(
      (c) => mask === undefined || mask[row][before + c],
    );
    const sequence = { row, columns, positions: columns.map((c) => positions[row][c]) };
    const split = options.packed && mask === undefined && options.position_ids;
    sequences.push(...(split ? splitPacked(sequence) : [sequence]));
    for (const column of neededPadding(options.needed?.[row], columns)) {
      sequences.push({ row, columns: [column], positions: [positions[row][column]], blind: true });
    }
  }
  return { rows, length, sequences: sequences.filter(({ columns }) => columns.length > 0) };
}

/** Columns of padding whose results are needed. Before a row's first token they see nothing. */
function neededPadding(needed: boolean[] | undefined, columns: readonly number[]): number[] {
  const padding = (needed ?? []).flatMap((is, c) => (is && !columns.includes(c) ? [c] : []));
  const late = padding.find((c) => c > columns[0]);
  if (late !== undefined) {
    throw new UnsupportedError(
      `labels: column ${late + 1} has a label and follows padding within its row; mask it with -100`,
      { where: "labels", got: late + 1 },
    );
  }
  return padding;
}

/** Which columns hold a token, those of the cache first. */
function maskRows(
  attention_mask: Ids | null | undefined,
  rows: number,
  length: number,
  before: number,
): boolean[][] | undefined {
  if (attention_mask === undefined || attention_mask === null) return undefined;
  if (attention_mask instanceof Tensor && attention_mask.shape.length > 2) {
    throw new OptionError(
      "attention_mask: masks of 4 dimensions are not supported; give one of [batch, length] with 1 for tokens",
      { where: "attention_mask", got: attention_mask.shape },
    );
  }
  const given = idRows("attention_mask", attention_mask);
  if (given.length !== rows || given[0].length !== before + length) {
    const cached = before > 0 ? ` (${before} cached and ${length} new columns)` : "";
    throw new ShapeError(
      `attention_mask: expected shape [${rows}, ${before + length}]${cached}, got [${given.length}, ${given[0]?.length}]`,
      { where: "attention_mask", expected: [rows, before + length], got: [given.length, given[0]?.length] },
    );
  }
  return given.map((row) => row.map((value) => value !== 0));
}

function positionRows(
  position_ids: Ids | null | undefined,
  rows: number,
  length: number,
  before: number,
): number[][] {
  if (position_ids === undefined || position_ids === null) {
    const counted = Array.from({ length }, (_, c) => before + c);
    return Array(rows).fill(counted);
  }
  const given = idRows("position_ids", position_ids);
  const all = given.length === 1 ? Array(rows).fill(given[0]) : given;
  if (all.length !== rows || all[0].length !== length) {
    throw new ShapeError(
      `position_ids: expected shape [${rows}, ${length}], got [${given.length}, ${given[0]?.length}]`,
      { where: "position_ids", expected: [rows, length], got: [given.length, given[0]?.length] },
    );
  }
  return all;
}

function splitPacked({ row, columns, positions }: BatchSequence): BatchSequence[] {
  const parts: BatchSequence[] = [];
  for (const [i, column] of columns.entries()) {
    if (i === 0 || positions[i] !== positions[i - 1] + 1) parts.push({ row, columns: [], positions: [] });
    const part = parts[parts.length - 1];
    part.columns.push(column);
    part.positions.push(positions[i]);
  }
  return parts;
}

/** Puts rows [T, D] of the sequences back into [B, L, D]; padding is zero. */
export function repad(batch: Batch, values: Tensor): Tensor {
  const size = values.shape[1];
  const out = new Float32Array(batch.rows * batch.length * size);
  let from = 0;
  for (const { row, columns } of batch.sequences)
    for (const column of columns) {
      const at = (row * batch.length + column) * size;
      out.set((values.data as Float32Array).subarray(from, from + size), at);
      from += size;
    }
  return new Tensor("float32", [batch.rows, batch.length, size], out);
}

/**
 * Puts attention probabilities, a block [H, rows, keys] a sequence, back into [B, H, L, before + L].
 *
 * @param keyColumns for each sequence, the columns of its keys, those of the cache first
 */
export function repadAttention(
  batch: Batch,
  values: Tensor,
  heads: number,
  before: number,
  keyColumns: readonly (readonly number[])[],
): Tensor {
  const { rows, length } = batch;
  const width = before + length;
  const out = new Float32Array(rows * heads * length * width);
  let from = 0;
  for (const [s, { row, columns }] of batch.sequences.entries())
    for (let h = 0; h < heads; h++)
      for (const column of columns) {
        const at = ((row * heads + h) * length + column) * width;
        for (const key of keyColumns[s]) out[at + key] = values.data[from++] as number;
      }
  return new Tensor("float32", [rows, heads, length, width], out);
}
