import { Tensor } from "../tensor/tensor.ts";
import type { TraceBlock, Traced } from "./scheduler_step.ts";

/** What the layers computed of one row of a batch. */
export interface TracedRow {
  blocks: readonly TraceBlock[];
  /** Where the computed tokens stand, counted from the step's first column. */
  columns: readonly number[];
  /** Where all keys stand that the last of them sees, counted from the batch's first column. */
  keys: readonly number[];
}

/** `hidden_states` and `attentions` of a generation: for each step a tensor a layer. */
export class LayerOutputs {
  readonly traced: Traced;
  /** [steps][layers + 1]: [B, L, D], where L is the prompt's length and then 1. */
  readonly hidden_states: Tensor[][] = [];
  /** [steps][layers]: [B, H, L, keys]. */
  readonly attentions: Tensor[][] = [];

  constructor(traced: Traced) {
    this.traced = traced;
  }

  /**
   * Adds a step. Padding is zero.
   *
   * @param length columns of the step
   * @param width columns of the batch with those of the step
   */
  add(rows: readonly TracedRow[], length: number, width: number): void {
    if (this.traced.hidden_states) this.hidden_states.push(hiddenStates(rows, length));
    if (this.traced.attentions) this.attentions.push(attentions(rows, length, width));
  }
}

function hiddenStates(rows: readonly TracedRow[], length: number): Tensor[] {
  const { hidden_states, rows: first } = rows[0].blocks[0];
  const D = hidden_states[0].length / first;
  return hidden_states.map((_, layer) => {
    const out = new Float32Array(rows.length * length * D);
    for (const [b, { blocks, columns }] of rows.entries()) {
      let i = 0;
      for (const block of blocks)
        for (let r = 0; r < block.rows; r++) {
          const values = block.hidden_states[layer].subarray(r * D, (r + 1) * D);
          out.set(values, (b * length + columns[i++]) * D);
        }
    }
    return new Tensor("float32", [rows.length, length, D], out);
  });
}

function attentions(rows: readonly TracedRow[], length: number, width: number): Tensor[] {
  const [{ attentions: layers, rows: count, keys }] = rows[0].blocks;
  const heads = layers[0].length / (count * keys);
  return layers.map((_, layer) => {
    const out = new Float32Array(rows.length * heads * length * width);
    for (const [b, row] of rows.entries())
      for (let h = 0; h < heads; h++) {
        let i = 0;
        for (const block of row.blocks)
          for (let r = 0; r < block.rows; r++) {
            const at = ((b * heads + h) * length + row.columns[i++]) * width;
            const from = (h * block.rows + r) * block.keys;
            for (let k = 0; k < block.keys; k++) out[at + row.keys[k]] = block.attentions[layer][from + k];
          }
      }
    return new Tensor("float32", [rows.length, heads, length, width], out);
  });
}

/** The part of blocks from row `from` to row `to` (not included). */
export function sliceBlocks(blocks: readonly TraceBlock[], from: number, to: number): TraceBlock[] {
  const parts: TraceBlock[] = [];
  let first = 0;
  for (const block of blocks) {
    const [a, b] = [Math.max(from - first, 0), Math.min(to - first, block.rows)];
    if (a < b) parts.push(sliceBlock(block, a, b));
    first += block.rows;
  }
  return parts;
}

function sliceBlock(
  { rows, keys, hidden_states, attentions }: TraceBlock,
  from: number,
  to: number,
): TraceBlock {
  const seen = keys - (rows - to);
  return {
    rows: to - from,
    keys: seen,
    hidden_states: hidden_states.map((values) => {
      const D = values.length / rows;
      return values.slice(from * D, to * D);
    }),
    attentions: attentions.map((values) => {
      const heads = values.length / (rows * keys);
      const out = new Float32Array(heads * (to - from) * seen);
      for (let h = 0; h < heads; h++)
        for (let r = from; r < to; r++) {
          const at = (h * rows + r) * keys;
          out.set(values.subarray(at, at + seen), (h * (to - from) + r - from) * seen);
        }
      return out;
    }),
  };
}
