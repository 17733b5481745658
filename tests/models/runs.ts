import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import type { Generated } from "../../src/generation/generate.ts";
import type { GenerateOptions } from "../../src/generation/generate_options.ts";
import { GenerateBeamDecoderOnlyOutput } from "../../src/generation/generation_output.ts";
import type { StoppingTokenizer } from "../../src/generation/stop_strings.ts";
import { BaseStreamer } from "../../src/generation/streamers.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { Expected, folderOf, TOLERANCE } from "./expected.ts";

/** Shape, sum of numbers times cos(0.7 i + 0.3), norm, how many are infinite. */
export type Digest = [shape: number[], sum: number, norm: number, infinite: number];

/** Options as they are recorded. */
type RecordedOptions = GenerateOptions & {
  /** In place of a function: every so many tokens is allowed, counted from row and last token. */
  allowed?: number;
  /** In place of a tokenizer: the one whose tokens are two letters each. */
  letters?: boolean;
};

/** A call of `generate` as scripts/fixtures/generate_runs.py records it. What was drawn by chance is left out. */
export interface Run {
  checkpoint: string;
  inputs: string;
  /** Columns that a cache holds, once for each continuation. */
  past?: number;
  options: RecordedOptions;
  assistant?: string;
  assistant_config?: Record<string, unknown>;
  /** Tokens that the streamer was given at a time. */
  puts?: number[];
  num_assistant_tokens?: number;
  error?: string;
  sequences?: number[][];
  scores?: Digest[];
  logits?: Digest[];
  hidden_states?: Digest[][];
  attentions?: Digest[][];
  cached?: number;
  sequences_scores?: Digest;
  beam_indices?: number[][];
  /** compute_transition_scores without and with normalize_logits. */
  transitions?: [Digest, Digest];
}

export function recordedRuns(file: string): Run[] {
  const url = new URL(`../fixtures/generation/${file}`, import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { runs: Run[] }).runs;
}

/** What a run is called. */
export function nameOf({ checkpoint, inputs, past, options, assistant, assistant_config }: Run): string {
  const draft = assistant ? ` after ${assistant} ${JSON.stringify(assistant_config)}` : "";
  const held = past ? ` after ${past} columns` : "";
  return `${checkpoint}, ${inputs}${held}: ${JSON.stringify(options).slice(0, 160)}${draft}`;
}

/** Loaded checkpoints, each once. */
export class Checkpoints {
  readonly #models = new Map<string, Promise<LlavaForConditionalGeneration>>();
  readonly #facts = new Map<string, Promise<Expected>>();

  model(name: string, copy = ""): Promise<LlavaForConditionalGeneration> {
    const loaded = this.#models.get(name + copy) ?? load(name);
    this.#models.set(name + copy, loaded);
    return loaded;
  }

  facts(name: string): Promise<Expected> {
    const facts = this.#facts.get(name) ?? Expected.read(name);
    this.#facts.set(name, facts);
    return facts;
  }

  async dispose(): Promise<void> {
    for (const model of this.#models.values()) await (await model).dispose();
  }
}

async function load(name: string): Promise<LlavaForConditionalGeneration> {
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf(name));
  model.generation_config.eos_token_id = null;
  return model;
}

/** What is continued; scripts/fixtures/generate_runs.py has the same. */
async function inputsOf(
  kind: string,
  expected: Expected,
  model: LlavaForConditionalGeneration,
): Promise<GenerateOptions> {
  const { input_ids, attention_mask } = expected.facts;
  const [first, second] = input_ids;
  const own = second.slice(attention_mask[1].indexOf(1));
  const inputs_embeds = expected.tensor("text.embeds");
  switch (kind) {
    case "batch":
      return { input_ids, attention_mask, ...expected.pictures() };
    case "single":
      return { input_ids: [own], ...expected.pictures(2) };
    case "text":
      return { input_ids: [first.slice(-5)] };
    case "twice":
      return { input_ids: [[...first.slice(-5), ...first.slice(-6, -2), ...first.slice(-5, -1)]] };
    case "texts":
      return {
        input_ids: [first.slice(-5), second.slice(-5)],
        attention_mask: [
          [0, 0, 1, 1, 1],
          [1, 1, 1, 1, 1],
        ],
      };
    case "embeds":
      return { inputs_embeds };
    case "both":
      return { inputs_embeds, input_ids: [first.slice(-5)] };
    case "picture embeds": {
      const { hidden_states } = await model({ input_ids: [own], output_hidden_states: true });
      return { inputs_embeds: hidden_states?.[0], ...expected.pictures(2) };
    }
    case "mask":
      return { attention_mask: [[1]] };
    default:
      return {};
  }
}

/** The same with a cache that holds the first columns; scripts/fixtures/generate_runs.py has the same. */
async function continued(
  { input_ids, attention_mask, ...pictures }: GenerateOptions,
  { past = 0, options }: Run,
  model: LlavaForConditionalGeneration,
): Promise<GenerateOptions> {
  const cut = (rows: unknown) => (rows as number[][]).map((row) => row.slice(0, past));
  const { past_key_values } = await model.generate({
    input_ids: cut(input_ids),
    attention_mask: cut(attention_mask),
    ...pictures,
    max_new_tokens: 1,
    do_sample: false,
    pad_token_id: 0,
    return_dict_in_generate: true,
    num_beams: 1,
  });
  past_key_values?.batch_repeat_interleave(
    Math.max(options.num_beams ?? 1, options.num_return_sequences ?? 1),
  );
  return { input_ids, attention_mask, past_key_values };
}

class Puts extends BaseStreamer {
  readonly sizes: number[] = [];

  put(value: Tensor): void {
    this.sizes.push(value.data.length);
  }

  end(): void {
    this.sizes.shift();
  }
}

/** Every token is two letters. */
const LETTERS = Array.from({ length: 131 }, (_, i) =>
  String.fromCharCode(97 + (i % 11), 97 + Math.floor(i / 11)),
);
const twoLetters: StoppingTokenizer = {
  get_vocab: () => Object.fromEntries(LETTERS.map((text, i) => [text, i])),
  encode: (text) => Array.from(text.match(/../g) ?? [], (pair) => LETTERS.indexOf(pair)),
  convert_tokens_to_string: (tokens) => tokens.join(""),
};

function optionsOf({ allowed, letters, ...recorded }: RecordedOptions): GenerateOptions {
  const options = letters ? { ...recorded, tokenizer: twoLetters } : recorded;
  if (allowed === undefined) return options;
  const prefix_allowed_tokens_fn = (row: number, ids: Tensor): number[] => {
    const first = (row + Number(ids.data[ids.data.length - 1])) % allowed;
    return Array.from({ length: Math.ceil((131 - first) / allowed) }, (_, i) => first + i * allowed);
  };
  return { ...options, prefix_allowed_tokens_fn };
}

/** Does what was recorded, and compares everything. */
export async function repeatRun(checkpoints: Checkpoints, run: Run): Promise<void> {
  const model = await checkpoints.model(run.checkpoint);
  const facts = await checkpoints.facts(run.checkpoint);
  const streamer = run.puts ? new Puts() : undefined;
  const inputs = await inputsOf(run.inputs, facts, model);
  const options: GenerateOptions = {
    ...(run.past ? await continued(inputs, run, model) : inputs),
    do_sample: false,
    pad_token_id: 0,
    ...optionsOf(run.options),
    streamer,
  };
  if (run.assistant) {
    const assistant = await checkpoints.model(run.assistant, " as draft");
    const settings = assistant.generation_config;
    settings.num_assistant_tokens = null;
    settings.num_assistant_tokens_schedule = null;
    settings.assistant_confidence_threshold = null;
    settings.update({ ...run.assistant_config });
    options.assistant_model = assistant;
  }
  if (run.error !== undefined) {
    await expect(model.generate(options)).rejects.toThrow();
    return;
  }
  const out = (await model.generate(options)) as Generated;
  const sequences = out instanceof Tensor ? out : out.sequences;
  if (run.sequences) expect(sequences.tolist()).toEqual(run.sequences);
  if (run.puts) expect(streamer?.sizes).toEqual(run.puts);
  if (run.num_assistant_tokens !== undefined) {
    const { generation_config } = await checkpoints.model(run.assistant ?? "", " as draft");
    expect(generation_config.num_assistant_tokens).toBe(run.num_assistant_tokens);
  }
  if (out instanceof Tensor) return;
  if (out instanceof GenerateBeamDecoderOnlyOutput) {
    if (run.beam_indices) expect(out.beam_indices.tolist()).toEqual(run.beam_indices);
    expect(out.sequences_scores === undefined).toBe(run.options.output_scores !== true);
    if (run.sequences_scores) expectDigest(out.sequences_scores, run.sequences_scores, growthOf(run));
  }
  for (const [i, digest] of (run.transitions ?? []).entries()) {
    const beam_indices = out instanceof GenerateBeamDecoderOnlyOutput ? out.beam_indices : undefined;
    const options = { beam_indices, normalize_logits: i === 1 };
    const transitions = model.compute_transition_scores(out.sequences, out.scores, options);
    expectDigest(transitions, digest, growthOf(run));
  }
  for (const key of ["scores", "logits"] as const) {
    expect(out[key]?.length).toBe(run[key]?.length);
    for (const [step, digest] of (run[key] ?? []).entries())
      expectDigest(out[key]?.[step], digest, key === "scores" ? growthOf(run) : 1);
  }
  for (const key of ["hidden_states", "attentions"] as const) {
    expect(out[key]?.length).toBe(run[key]?.length);
    for (const [step, layers] of (run[key] ?? []).entries()) {
      expect(out[key]?.[step].length).toBe(layers.length);
      for (const [layer, digest] of layers.entries()) {
        expectDigest(out[key]?.[step][layer], digest);
      }
    }
  }
  if (run.cached !== undefined) expect(out.past_key_values?.get_seq_length()).toBe(run.cached);
  out.past_key_values?.dispose();
}

/** Guidance by g gives g times one pass less g - 1 times another: their errors grow with it. */
function growthOf({ options }: Run): number {
  const g = options.guidance_scale ?? 1;
  return Math.abs(g) + Math.abs(g - 1);
}

function expectDigest(tensor: Tensor | undefined, [shape, sum, norm, infinite]: Digest, growth = 1): void {
  expect(tensor?.shape).toEqual(shape);
  let [own, squares, count] = [0, 0, 0];
  for (const [i, value] of (tensor as Tensor).data.entries()) {
    if (!Number.isFinite(Number(value))) count++;
    else {
      own += Number(value) * Math.cos(0.7 * i + 0.3);
      squares += Number(value) ** 2;
    }
  }
  expect(count).toBe(infinite);
  const scale = Math.max(norm, 1e-3);
  expect(Math.abs(Math.sqrt(squares) - norm) / scale).toBeLessThan(growth * TOLERANCE);
  expect(Math.abs(own - sum) / scale).toBeLessThan(growth * TOLERANCE);
}
