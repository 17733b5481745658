import { OptionError, UnsupportedError } from "../base/errors.ts";
import { GENERATION_DEFAULTS } from "../models/generation_defaults.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { argmax } from "../tensor/argmax.ts";
import { Tensor } from "../tensor/tensor.ts";
import { adaptDraftLength, draftLength } from "./assisted.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { Draft, Drafter } from "./drafter.ts";
import type { GenerationSettings } from "./generation_fields.ts";
import { promptsOf } from "./generation_inputs.ts";
import { type GenerationModel, generationModelOf } from "./generation_model.ts";
import type { LogitsProcessorList } from "./logits_process/base.ts";
import type { Random } from "./sampling.ts";
import type { Group } from "./scheduler.ts";
import type { SequenceOutput } from "./scheduler_step.ts";
import { type Input, Sequence } from "./sequence.ts";
import { ConfidenceCriteria, EosTokenCriteria } from "./stopping_criteria.ts";
import type { GenerationCall } from "./strategy.ts";

/** Settings of drafts. */
type DraftSetting =
  | "num_assistant_tokens"
  | "num_assistant_tokens_schedule"
  | "assistant_confidence_threshold";

/** A smaller model with the same tokenizer, which goes ahead on a scheduler of its own. */
export class DraftModel implements Drafter {
  readonly #model: GenerationModel;
  readonly #call: GenerationCall;
  readonly #processors: LogitsProcessorList;
  readonly #random: Random | undefined;
  readonly #cache: DynamicCache;
  readonly #sequence: Sequence;
  readonly #threshold: number;
  readonly #schedule: string;
  #length: number;
  #prompt: Input | undefined;
  /** What the cache holds, of the row's tokens after the prompt. */
  #held: number[] = [];

  /** @throws OptionError where the draft model cannot follow; UnsupportedError where its tokens are others */
  constructor(call: GenerationCall, processors: LogitsProcessorList, random?: Random) {
    this.#model = draftModelOf(call);
    this.#call = call;
    this.#processors = processors;
    this.#random = random;
    this.#cache = this.#model.newCache(1);
    this.#sequence = new Sequence(this.#cache.row(0), { shared: true });
    const setting = settingsOf(call, this.#model.generation_config);
    this.#length = setting("num_assistant_tokens");
    this.#schedule = setting("num_assistant_tokens_schedule");
    this.#threshold = setting("assistant_confidence_threshold");
  }

  async propose(tokens: readonly number[]): Promise<Draft> {
    const { config, options } = this.#call;
    const count = draftLength(this.#length, config.max_length ?? 0, tokens.length);
    if (count === 0) return { tokens: [] };
    await this.#feed(tokens);
    const run = new DraftRun(this.#sequence, tokens, count, {
      processors: this.#processors,
      pick: (scores) => this.#random?.sample(scores) ?? argmax(scores),
      ended: this.#ended(),
      signal: options.signal,
    });
    await this.#model.scheduler.add(run);
    // All but the last were fed.
    this.#held.push(...run.tokens.slice(0, -1));
    return { tokens: run.tokens, scores: run.scores };
  }

  judged(proposed: number, kept: number): void {
    this.#length = adaptDraftLength(this.#length, this.#schedule, kept === proposed);
  }

  release(): void {
    if (this.#schedule === "heuristic") this.#model.generation_config.num_assistant_tokens = this.#length;
    this.#cache.dispose();
  }

  /** Whether a draft ends with its last token: at an end of the text, or where the model is not sure any more. */
  #ended(): (ids: Tensor, scores: Tensor) => boolean {
    const { eos_token_id } = this.#call.config;
    const end = eos_token_id === null ? undefined : new EosTokenCriteria(eos_token_id);
    const doubt = this.#threshold > 0 ? new ConfidenceCriteria(this.#threshold) : undefined;
    return (ids, scores) => Boolean(end?.(ids)[0] || doubt?.(ids, scores)[0]);
  }

  /** Forgets what did not stay, and gives what the cache does not hold: the prompt at first. */
  async #feed(tokens: readonly number[]): Promise<void> {
    const cache = this.#cache.row(0);
    const fresh = tokens.slice(this.#call.rows.tokens[0].length);
    if (!this.#prompt) {
      this.#prompt = await this.#encode();
      this.#sequence.feed(this.#prompt);
      return;
    }
    let same = 0;
    while (same < this.#held.length && this.#held[same] === fresh[same]) same++;
    const prompt = this.#prompt.ids.length;
    cache.crop(prompt + same);
    this.#held = [...fresh];
    const ids = fresh.slice(same);
    this.#sequence.feed({ ids, positions: ids.map((_, i) => prompt + same + i) });
  }

  /** The whole prompt as the draft model sees it, pictures by its own tower. */
  async #encode(): Promise<Input> {
    const { rows, pictures, options } = this.#call;
    const { tokens, cached } = rows;
    const source = await this.#model.encode({ input_ids: tokens, cached, pictures, signal: options.signal });
    const [{ input }] = promptsOf({ ...rows, cached: 0 }, undefined, source);
    return input;
  }
}

interface DraftRules {
  processors: LogitsProcessorList;
  pick: (scores: Float32Array) => number;
  ended: (ids: Tensor, scores: Tensor) => boolean;
  signal?: AbortSignal;
}

/** One draft. */
class DraftRun implements Group {
  readonly sequences: readonly Sequence[];
  readonly signal: AbortSignal | undefined;
  readonly tokens: number[] = [];
  readonly scores: Float32Array[] = [];
  readonly #row: readonly number[];
  readonly #count: number;
  readonly #rules: DraftRules;

  constructor(sequence: Sequence, row: readonly number[], count: number, rules: DraftRules) {
    this.sequences = [sequence];
    this.signal = rules.signal;
    this.#row = row;
    this.#count = count;
    this.#rules = rules;
  }

  async choose([{ logits }]: readonly SequenceOutput[]): Promise<boolean> {
    const { processors, pick, ended } = this.#rules;
    const raw = new Tensor("float32", [1, logits[0].length], logits[0]);
    const scores = processors.length > 0 ? await processors(this.#ids(), raw) : raw;
    const token = pick(scores.data as Float32Array);
    this.tokens.push(token);
    this.scores.push(scores.data as Float32Array);
    if (this.tokens.length === this.#count || ended(this.#ids(), scores)) return false;
    const [sequence] = this.sequences;
    sequence.feed({ ids: [token], positions: [sequence.cache.length] });
    return true;
  }

  #ids(): Tensor {
    const row = [...this.#row, ...this.tokens];
    return new Tensor("int32", [1, row.length], row);
  }
}

function draftModelOf({ model, options, rows }: GenerationCall): GenerationModel {
  const draft = generationModelOf(options.assistant_model);
  if (draft.vocab_size !== model.vocab_size) {
    throw new UnsupportedError(
      `assistant_model: its vocabulary has ${draft.vocab_size} tokens, the model's ${model.vocab_size}. ` +
        "A draft model with another tokenizer (assistant_tokenizer) is not supported.",
      { where: "assistant_model", expected: model.vocab_size, got: draft.vocab_size },
    );
  }
  if (options.inputs_embeds || rows.tokens[0].length === 0) {
    throw new OptionError(
      "assistant_model: it cannot follow inputs_embeds, which are rows of one model only. Give input_ids alone.",
      { where: "inputs_embeds" },
    );
  }
  return draft;
}

/** What the call says, else the draft model's own settings, else the defaults. */
function settingsOf({ options }: GenerationCall, own: GenerationConfig) {
  return <Name extends DraftSetting>(name: Name): NonNullable<GenerationSettings[Name]> => {
    const given = options[name] ?? options.generation_config?.[name] ?? own[name];
    return (given ?? GENERATION_DEFAULTS[name]) as NonNullable<GenerationSettings[Name]>;
  };
}
