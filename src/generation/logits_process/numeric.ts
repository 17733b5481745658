import type { Tensor } from "../../tensor/tensor.ts";
import { logSoftmax } from "../probabilities.ts";
import { editRows, LogitsProcessor } from "./base.ts";

/** The largest finite float32. */
const MAX = (2 - 2 ** -23) * 2 ** 127;

/** NaN becomes 0, infinities the largest finite numbers. */
export class InfNanRemoveLogitsProcessor extends LogitsProcessor {
  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("InfNanRemoveLogitsProcessor", input_ids, scores, (row) => {
      for (let i = 0; i < row.length; i++) {
        row[i] = Number.isNaN(row[i]) ? 0 : Math.min(MAX, Math.max(-MAX, row[i]));
      }
    });
  }
}

/** Scores become logarithms of probabilities. */
export class LogitNormalization extends LogitsProcessor {
  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("LogitNormalization", input_ids, scores, (row) => row.set(logSoftmax(row)));
  }
}
