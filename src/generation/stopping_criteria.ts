import { warnOnce } from "../base/env.ts";
import { OptionError, ShapeError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { toFloat32 } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { CallableList } from "./callable_list.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import { type EosIds, idList, matrix, plainIds } from "./logits_process/base.ts";
import { mergeCustom } from "./merge_custom.ts";
import { softmax } from "./probabilities.ts";
import { type StoppingTokenizer, StopStringCriteria } from "./stop_strings.ts";
import {
  type StoppingAnswer,
  StoppingCriteria,
  type StoppingFunction,
  type StoppingOptions,
  type StoppingScores,
} from "./stopping_base.ts";

export { StoppingCriteria, type StoppingFunction, type StoppingTokenizer, StopStringCriteria };

function allRows(input_ids: Tensor, ended: boolean): boolean[] {
  return new Array<boolean>(input_ids.shape[0]).fill(ended);
}

/** At `max_length` tokens, prompt included. */
export class MaxLengthCriteria extends StoppingCriteria {
  readonly max_length: number;
  readonly max_position_embeddings: number | null;

  /** @param options.max_position_embeddings what the model was made for; past it there is a warning */
  constructor(max_length: number, options: { max_position_embeddings?: number | null } = {}) {
    super();
    checkOptions("MaxLengthCriteria", options, ["max_position_embeddings"]);
    this.max_length = max_length;
    this.max_position_embeddings = options.max_position_embeddings ?? null;
  }

  override __call__(input_ids: Tensor): boolean[] {
    return allRows(input_ids, endsAtLength(this, input_ids.shape[1]));
  }
}

function endsAtLength(
  { max_length, max_position_embeddings: longest }: MaxLengthCriteria,
  length: number,
): boolean {
  if (longest !== null && length < max_length && length > longest) {
    warnOnce(`The text is longer than the ${longest} tokens that the model was made for.`);
  }
  return length >= max_length;
}

/** After `max_time` seconds. */
export class MaxTimeCriteria extends StoppingCriteria {
  readonly max_time: number;
  readonly initial_timestamp: number;

  /** @param options.initial_timestamp seconds since 1970; now where left out */
  constructor(max_time: number, options: { initial_timestamp?: number | null } = {}) {
    super();
    checkOptions("MaxTimeCriteria", options, ["initial_timestamp"]);
    this.max_time = max_time;
    this.initial_timestamp = options.initial_timestamp ?? Date.now() / 1000;
  }

  override __call__(input_ids: Tensor): boolean[] {
    return allRows(input_ids, Date.now() / 1000 - this.initial_timestamp > this.max_time);
  }
}

/** At a token that ends texts. */
export class EosTokenCriteria extends StoppingCriteria {
  readonly eos_token_id: readonly number[];

  constructor(eos_token_id: EosIds) {
    super();
    this.eos_token_id = idList(eos_token_id);
  }

  override __call__(input_ids: Tensor, _scores?: StoppingScores, options: StoppingOptions = {}): boolean[] {
    const [rows, length] = matrix("EosTokenCriteria", "input_ids", input_ids);
    const ids = plainIds(input_ids);
    const fresh = Math.min(length, options.new_token_length ?? 1);
    return Array.from({ length: rows }, (_, row) => {
      const end = (row + 1) * length;
      return ids.subarray(end - fresh, end).some((id) => this.eos_token_id.includes(id));
    });
  }
}

/** Where a draft model is not sure of its token any more. One row. */
export class ConfidenceCriteria extends StoppingCriteria {
  readonly assistant_confidence_threshold: number;

  constructor(assistant_confidence_threshold: number) {
    super();
    this.assistant_confidence_threshold = assistant_confidence_threshold;
  }

  override __call__(input_ids: Tensor, scores: StoppingScores = null): boolean[] {
    const last = scores !== null && "length" in scores ? scores[scores.length - 1] : scores;
    if (!last)
      throw new OptionError("ConfidenceCriteria needs the scores of the last step", { where: "scores" });
    const [, V] = matrix("ConfidenceCriteria", "scores", last);
    const probabilities = softmax(toFloat32(last.dtype, last.data).subarray(0, V));
    const token = plainIds(input_ids)[input_ids.shape[1] - 1];
    return allRows(input_ids, probabilities[token] < this.assistant_confidence_threshold);
  }
}

const CallableCriteria = CallableList as unknown as abstract new (
  items?: Iterable<StoppingFunction>,
) => CallableList<
  StoppingFunction,
  [Tensor, StoppingScores?, StoppingOptions?],
  boolean[] | Promise<boolean[]>
> &
  ((input_ids: Tensor, scores?: StoppingScores, options?: StoppingOptions) => boolean[] | Promise<boolean[]>);

/** Criteria; a row ends where one of them says so. The result is a promise only where one of them gives one. */
export class StoppingCriteriaList extends CallableCriteria {
  /** Of the MaxLengthCriteria among them, where there is one. */
  get max_length(): number | null {
    for (const criterion of this) if (criterion instanceof MaxLengthCriteria) return criterion.max_length;
    return null;
  }

  override __call__(
    input_ids: Tensor,
    scores: StoppingScores = null,
    options: StoppingOptions = {},
  ): boolean[] | Promise<boolean[]> {
    const answers = this.map((criterion) => criterion(input_ids, scores, options));
    const rows = input_ids.shape[0];
    if (answers.some((answer) => answer instanceof Promise)) {
      return Promise.all(answers).then((all) => anyOf(rows, all));
    }
    return anyOf(rows, answers as StoppingAnswer[]);
  }
}

function anyOf(rows: number, answers: readonly StoppingAnswer[]): boolean[] {
  for (const answer of answers) {
    if (typeof answer === "boolean" || answer.length === rows) continue;
    throw new ShapeError(`A stopping criterion gave ${answer.length} answers for ${rows} rows`, {
      expected: rows,
      got: answer.length,
    });
  }
  return Array.from({ length: rows }, (_, row) =>
    answers.some((answer) => (typeof answer === "boolean" ? answer : answer[row])),
  );
}

/**
 * What criteria say of a row that has got one more token, where they are all of those that look at this token and at the
 * row's length alone: so that no tensors need be made for every token.
 */
export function tokenRule(
  criteria: StoppingCriteriaList,
): ((token: number, length: number) => boolean) | undefined {
  const rules = criteria.map((criterion) => {
    // One of a class that is derived from these may do as it likes.
    const of = Object.getPrototypeOf(criterion);
    if (criterion instanceof MaxLengthCriteria && of === MaxLengthCriteria.prototype)
      return (_: number, length: number) => endsAtLength(criterion, length);
    if (criterion instanceof EosTokenCriteria && of === EosTokenCriteria.prototype)
      return (token: number) => criterion.eos_token_id.includes(token);
    return undefined;
  });
  if (rules.includes(undefined)) return undefined;
  return (token, length) => rules.some((rule) => rule?.(token, length));
}

/** The criteria, with a limit of length; warns where they have another one. */
export function validate_stopping_criteria(
  stopping_criteria: StoppingCriteriaList,
  max_length: number,
): StoppingCriteriaList {
  const criteria = new StoppingCriteriaList(stopping_criteria);
  if (criteria.max_length === null) criteria.push(new MaxLengthCriteria(max_length));
  else if (criteria.max_length !== max_length) {
    warnOnce(`The stopping criteria end at ${criteria.max_length} tokens, max_length is ${max_length}.`);
  }
  return criteria;
}

/** What the criteria of a call to `generate` come from, beside its settings. */
export interface CriteriaSources {
  /** The caller's own. One of a class that is made here takes that one's place; others come after. */
  stopping_criteria?: Iterable<StoppingFunction> | null;
  /** Needed for `stop_strings`. */
  tokenizer?: StoppingTokenizer | null;
  max_position_embeddings?: number | null;
}

/**
 * All criteria of a call, in Transformers' order.
 *
 * @param config with the defaults filled in; `max_length` is that of the call
 * @throws OptionError where there are stop strings and no tokenizer
 */
export function get_stopping_criteria(
  config: GenerationConfig,
  sources: CriteriaSources,
): StoppingCriteriaList {
  const criteria = new StoppingCriteriaList();
  const {
    max_length,
    max_time,
    stop_strings,
    eos_token_id,
    assistant_confidence_threshold: threshold,
  } = config;
  if (max_length !== null) {
    const { max_position_embeddings } = sources;
    criteria.push(new MaxLengthCriteria(max_length, { max_position_embeddings }));
  }
  if (max_time !== null) criteria.push(new MaxTimeCriteria(max_time));
  if (stop_strings !== null) {
    if (!sources.tokenizer) {
      throw new OptionError(
        "stop_strings needs the tokenizer: generate({ ..., tokenizer: processor.tokenizer })",
        {
          where: "tokenizer",
        },
      );
    }
    criteria.push(new StopStringCriteria(sources.tokenizer, stop_strings));
  }
  if (eos_token_id !== null) criteria.push(new EosTokenCriteria(eos_token_id));
  if (config.is_assistant === true && threshold !== null && threshold > 0) {
    criteria.push(new ConfidenceCriteria(threshold));
  }
  return mergeCustom(criteria, sources.stopping_criteria ?? []);
}
