import { OptionError, ShapeError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { checkTensor, type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Labels that do not count. */
const IGNORED = -100;

/** How labels are given. */
export interface LossOptions {
  /** `[B, L]`: the tokens themselves; they are shifted here. -100: not counted. */
  labels?: number[][];
  /** `[B, L]`: the tokens that come next, shifted already. Wins over `labels`. */
  shift_labels?: number[][];
}

/** `[B, L]`: what each column should predict; -100 where nothing is counted. */
export function lossTargets({ labels, shift_labels }: LossOptions): number[][] | undefined {
  return shift_labels ?? labels?.map((row) => [...row.slice(1), IGNORED]);
}

/** `[B, L]`: the columns whose predictions count. */
export function countedColumns(targets: number[][]): boolean[][] {
  return targets.map((row) => row.map((target) => target !== IGNORED));
}

/**
 * Cross-entropy of the next token, as Transformers' `ForCausalLMLoss`.
 *
 * @param logits [B, L, V]
 * @param targets [B, L]
 * @param items divides the sum, in place of the number of counted targets
 * @returns a scalar; NaN where no target counts
 */
export function causalLMLoss(logits: Tensor, targets: number[][], items?: number): Tensor {
  const [B, L, V] = logits.shape;
  if (targets.length !== B || targets[0].length !== L) {
    throw new ShapeError(
      `labels: expected shape [${B}, ${L}], got [${targets.length}, ${targets[0]?.length}]`,
      {
        where: "labels",
        expected: [B, L],
        got: [targets.length, targets[0]?.length],
      },
    );
  }
  let sum = 0;
  let count = 0;
  for (let b = 0; b < B; b++)
    for (let l = 0; l < L; l++) {
      const target = targets[b][l];
      if (target === IGNORED) continue;
      if (target < 0 || target >= V) {
        throw new ShapeError(`labels: ${target} is no token of the model, which has ids 0 to ${V - 1}`, {
          where: "labels",
          got: target,
        });
      }
      const row = (logits.data as Float32Array).subarray((b * L + l) * V, (b * L + l + 1) * V);
      sum += logSumExp(row) - row[target];
      count++;
    }
  return new Tensor("float32", [], [sum / (items ?? count)]);
}

function logSumExp(row: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const value of row) if (value > highest) highest = value;
  let sum = 0;
  for (const value of row) sum += Math.exp(value - highest);
  return highest + Math.log(sum);
}

/** Options of `loss_function`. */
export interface LossFunctionOptions {
  /** Divides the sum, in place of the number of labels that count. */
  num_items_in_batch?: number | null;
  /** Labels that do not count. Default: -100. */
  ignore_index?: number;
  /** `[B, L]`: the tokens that come next, in place of `labels`. */
  shift_labels?: Ids | null;
}

/**
 * Cross-entropy of the next token, as Transformers' `ForCausalLMLoss`.
 *
 * @param logits float32 [B, L, V]
 * @param labels [B, L]: the tokens themselves; they are shifted here
 * @param vocab_size V
 * @returns a scalar; NaN where no label counts
 * @throws ShapeError where the sizes do not go together, or a label is no token
 */
export function lossFunction(
  logits: Tensor,
  labels: Ids | null,
  vocab_size: number,
  options: LossFunctionOptions = {},
): Tensor {
  checkOptions("loss_function", options, ["num_items_in_batch", "ignore_index", "shift_labels"]);
  const { num_items_in_batch, ignore_index = IGNORED, shift_labels } = options;
  checkTensor("logits", logits, [-1, -1, vocab_size], "rows, columns, vocab_size", "float32");
  const counted = (name: string, ids: Ids | null | undefined): number[][] | undefined =>
    ids ? idRows(name, ids).map((row) => row.map((id) => (id === ignore_index ? IGNORED : id))) : undefined;
  const targets = lossTargets({
    labels: counted("labels", labels),
    shift_labels: counted("shift_labels", shift_labels),
  });
  if (!targets) throw new OptionError("loss_function: give labels, or shift_labels", { where: "labels" });
  return causalLMLoss(logits, targets, num_items_in_batch ?? undefined);
}
