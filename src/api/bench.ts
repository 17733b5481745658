import type { StepTimes } from "../devices/step_times.ts";
import { GenerationConfig } from "../generation/configuration_utils.ts";
import { BaseStreamer } from "../generation/streamers.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { LlavaForConditionalGeneration } from "./modeling_llava.ts";
import { middleHalf, type Profile, profileOf, spaced, tokensOf } from "./profile.ts";
import { median, timed } from "./timing.ts";

/** What is measured, and how often. */
export interface BenchOptions {
  /** Tokens of the prompt. */
  prompt_tokens: number;
  /** Tokens that are generated after it. */
  new_tokens: number;
  /** Runs of each figure; the median counts. */
  runs: number;
  /** Sequences of the batch figure. */
  sequences: number;
  /** Also tells where the time goes. */
  profile?: boolean;
  /** Told what is measured next. */
  progress?: (what: string) => void;
}

/** Figures of one model on one machine. Rates are a second's; times are milliseconds. */
export interface BenchFigures {
  vision: { ms: number; images_per_second: number };
  prefill: { tokens: number; tokens_per_second: number };
  decode: { tokens: number; tokens_per_second: number; context: number };
  batch: { sequences: number; tokens_per_second: number };
  /** Of one picture, one prompt, one token, and one token of each sequence together, where it was asked for. */
  profile?: { vision: Profile; prefill: Profile; decode: Profile; batch: Profile };
}

/** How fast a model is. Texts do not end before their length. */
export async function benchModel(
  model: LlavaForConditionalGeneration,
  options: BenchOptions,
): Promise<BenchFigures> {
  const own = model.generation_config;
  model.generation_config = new GenerationConfig({});
  try {
    return await measure(model, options);
  } finally {
    model.generation_config = own;
  }
}

async function measure(model: LlavaForConditionalGeneration, options: BenchOptions): Promise<BenchFigures> {
  const { prompt_tokens, new_tokens, runs, sequences, progress } = options;
  progress?.("one picture");
  const pixel_values = noisePicture(model);
  const vision = await median(runs, () => timed(() => model.get_image_features({ pixel_values })));
  progress?.(`a prompt of ${prompt_tokens} tokens`);
  const prompt = promptOf(model, prompt_tokens);
  const prefill = await median(runs, () => {
    model.clearCaches();
    return timed(() => generate(model, [prompt], 1));
  });
  progress?.(`${new_tokens} tokens, one by one`);
  const decode = await median(runs, async () => decodeTime(await stamps(model, prompt, new_tokens)));
  progress?.(`${new_tokens} tokens for ${sequences} sequences together`);
  const short = Array.from({ length: sequences }, (_, i) => promptOf(model, 32, i));
  const first = await median(runs, () => timed(() => generate(model, short, 1)));
  const batch = await median(
    runs,
    async () => (await timed(() => generate(model, short, new_tokens + 1))) - first,
  );
  const profile = options.profile
    ? await measureProfile(model, options, { pixel_values, prompt, short })
    : undefined;
  return {
    vision: { ms: vision, images_per_second: 1000 / vision },
    prefill: { tokens: prompt_tokens, tokens_per_second: (1000 * prompt_tokens) / prefill },
    decode: { tokens: new_tokens, tokens_per_second: 1000 / decode, context: prompt_tokens + new_tokens },
    batch: { sequences, tokens_per_second: (1000 * sequences * new_tokens) / batch },
    ...(profile && { profile }),
  };
}

/** What figures are measured with: a picture, the ids of a prompt, and those of several short ones. */
interface Inputs {
  pixel_values: Tensor;
  prompt: number[];
  short: number[][];
}

async function measureProfile(
  model: LlavaForConditionalGeneration,
  { new_tokens, progress }: BenchOptions,
  { pixel_values, prompt, short }: Inputs,
): Promise<BenchFigures["profile"]> {
  progress?.("where the time goes");
  const vision = await watched(model, () => model.get_image_features({ pixel_values }));
  model.clearCaches();
  const prefill = await watched(model, () => generate(model, [prompt], 1));
  const oneStep = async (prompts: number[][]): Promise<Profile> => {
    const steps = spaced(await watched(model, () => generate(model, prompts, new_tokens + 1)));
    // The first that chooses a token computes the prompt.
    const [, ...later] = steps.filter((step) => tokensOf(step) > 0);
    const middle = middleHalf(later);
    return profileOf(
      middle,
      middle.reduce((sum, step) => sum + tokensOf(step), 0),
    );
  };
  return {
    vision: profileOf(spaced(vision), 1),
    prefill: profileOf(spaced(prefill), 1),
    decode: await oneStep([prompt]),
    batch: await oneStep(short),
  };
}

/** The steps of something. */
async function watched(
  model: LlavaForConditionalGeneration,
  run: () => Promise<unknown>,
): Promise<StepTimes[]> {
  const steps: StepTimes[] = [];
  model.watchSteps((times) => steps.push(times));
  try {
    await run();
  } finally {
    model.watchSteps(undefined);
  }
  return steps;
}

function promptOf(model: LlavaForConditionalGeneration, length: number, seed = 0): number[] {
  const words = Math.min(model.config.text_config.vocab_size, model.config.image_token_id) - 10;
  return Array.from({ length }, (_, i) => 5 + ((i * 7919 + seed * 104729) % words));
}

function noisePicture({ config }: LlavaForConditionalGeneration): Tensor {
  const { num_channels, image_size } = config.vision_config;
  const [height, width] = [image_size, image_size].flat();
  const data = new Float32Array(num_channels * height * width).map((_, i) => Math.sin(i * 0.7));
  return new Tensor("float32", [1, num_channels, height, width], data);
}

function generate(
  model: LlavaForConditionalGeneration,
  input_ids: number[][],
  max_new_tokens: number,
): Promise<Tensor> {
  return model.generate({ input_ids, max_new_tokens, do_sample: false, pad_token_id: 0 });
}

/** When each token came. */
async function stamps(
  model: LlavaForConditionalGeneration,
  prompt: number[],
  count: number,
): Promise<number[]> {
  const streamer = new Clock();
  await model.generate({ input_ids: [prompt], max_new_tokens: count + 1, streamer, do_sample: false });
  return streamer.times.slice(1);
}

/** Notes when tokens come; the first time is the prompt's. */
class Clock extends BaseStreamer {
  readonly times: number[] = [];

  put(): void {
    this.times.push(performance.now());
  }

  end(): void {}
}

/** Milliseconds a token, of those after the first. */
function decodeTime(times: readonly number[]): number {
  return (times[times.length - 1] - times[0]) / (times.length - 1);
}
