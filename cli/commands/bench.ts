import type { Command } from "commander";
import {
  type BenchFigures,
  benchModel,
  type DeviceLimits,
  LlavaForConditionalGeneration,
} from "../../src/index.ts";
import { errColours, outColours } from "../colours.ts";
import { UsageError } from "../errors.ts";
import { loadModel } from "../model.ts";
import { addModelFlags, type ModelFlags, wholeNumber } from "../options.ts";
import { profileLines } from "../profile_table.ts";
import { ProgressBars } from "../progress.ts";

const EXAMPLES = `
Examples:
  llava bench
  llava bench --random llava-1.1b --dtype bfloat16
  llava bench --model ./my-checkpoint --threads 4 --json
  llava bench --random llava-1.1b --dtype q4 --profile

--random makes weights of a published size in memory (llava-1.5-7b, llava-1.1b, llava-0.5b): nothing is downloaded.
Every figure is the median of the runs. LLAVA_CPU=avx2 (or avx512) shows what other processors would do.`;

interface BenchFlags extends ModelFlags {
  random?: string;
  promptTokens: number;
  newTokens: number;
  runs: number;
  profile: boolean;
}

/** Sequences of the batch figure. */
const SEQUENCES = 8;

export function addBench(program: Command): void {
  const command = program
    .command("bench")
    .summary("how fast this machine is")
    .description("Measures one picture, a prompt, tokens one by one, and several sequences together.")
    .option("--random <shape>", "random weights of this size, made in memory")
    .option("--prompt-tokens <n>", "length of the prompt", wholeNumber(1), 600)
    .option("--new-tokens <n>", "tokens after it", wholeNumber(2), 32)
    .option("--runs <n>", "runs of each figure", wholeNumber(3), 3)
    .option("--profile", "also show where the time goes, kernel by kernel", false);
  addModelFlags(command).addHelpText("after", EXAMPLES).action(bench);
}

async function bench(flags: BenchFlags): Promise<void> {
  const { promptTokens: prompt_tokens, newTokens: new_tokens, runs, profile } = flags;
  const { model, load_ms } = await load(flags);
  // Said now, where a device cannot measure it.
  if (profile) model.watchSteps(undefined);
  const context = model.config.text_config.max_position_embeddings;
  if (prompt_tokens + new_tokens > context) {
    throw new UsageError(
      `--prompt-tokens and --new-tokens: together at most ${context}, which is the model's context`,
    );
  }
  const silent = flags.quiet || flags.json;
  const progress = (what: string): void => {
    if (!silent) process.stderr.write(errColours.dim(`measuring ${what} ...\n`));
  };
  const weights_bytes = model.deviceBytes;
  const figures = await benchModel(model, {
    prompt_tokens,
    new_tokens,
    runs,
    sequences: SEQUENCES,
    profile,
    progress,
  });
  progress("what the device reaches at most");
  const limits = await model.deviceLimits();
  const result = {
    model: flags.random ?? flags.model,
    device: model.device,
    dtype: model.dtype,
    threads: model.threads,
    ...figures,
    limits,
    load_ms,
    memory: { weights_bytes, peak_rss_bytes: process.resourceUsage().maxRSS * 1024 },
  };
  if (flags.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else for (const line of table(result, model.deviceDescription)) process.stdout.write(`${line}\n`);
  await model.dispose();
}

async function load(flags: BenchFlags): Promise<{ model: LlavaForConditionalGeneration; load_ms: number }> {
  if (flags.random === undefined) return loadModel(flags);
  const begin = performance.now();
  const bars = new ProgressBars(flags.quiet || flags.json);
  const { cacheDtype, device, threads } = flags;
  const dtype = flags.dtype === "auto" ? "bfloat16" : flags.dtype;
  const model = await LlavaForConditionalGeneration.random(flags.random, {
    ...{ dtype, cacheDtype, device, threads },
    progress_callback: bars.report,
  });
  bars.stop();
  return { model, load_ms: performance.now() - begin };
}

interface Result extends BenchFigures {
  model: string;
  dtype: string;
  limits: DeviceLimits;
  load_ms: number;
  memory: { weights_bytes: number; peak_rss_bytes: number };
}

function table(result: Result, device: string): string[] {
  const { vision, prefill, decode, batch, limits, memory } = result;
  const share = (decode.tokens_per_second * memory.weights_bytes) / limits.read_bytes_per_second;
  const rows: [string, string][] = [
    ["model", `${result.model}, ${result.dtype}, ${(memory.weights_bytes / 1e9).toFixed(2)} GB`],
    ["device", device],
    ["loading", `${(result.load_ms / 1000).toFixed(1)} s`],
    ["one picture", `${vision.ms.toFixed(0)} ms`],
    ["prompt", `${prefill.tokens_per_second.toFixed(0)} tokens a second (${prefill.tokens} tokens)`],
    [
      "answer",
      `${decode.tokens_per_second.toFixed(1)} tokens a second, ${(100 * share).toFixed(0)} % of the read limit`,
    ],
    [`${batch.sequences} together`, `${batch.tokens_per_second.toFixed(0)} tokens a second`],
    [
      "limits",
      `${(limits.read_bytes_per_second / 1e9).toFixed(1)} GB/s read, ${(limits.peak_ops_per_second / 1e9).toFixed(0)} GFLOP/s float32`,
    ],
    ["memory", `${(memory.peak_rss_bytes / 1e9).toFixed(2)} GB at most`],
  ];
  const lines = rows.map(([label, text]) => `${outColours.bold(label.padEnd(12))}${text}`);
  if (!result.profile) return lines;
  return [
    ...lines,
    ...profileLines("Where the time of one picture goes", result.profile.vision, limits),
    ...profileLines(
      `Where the time of ${prefill.tokens} tokens of a prompt goes`,
      result.profile.prefill,
      limits,
    ),
    ...profileLines("Where the time of one token after them goes", result.profile.decode, limits),
    ...profileLines(
      `Where the time of one token of ${batch.sequences} sequences together goes`,
      result.profile.batch,
      limits,
    ),
    "",
    "Times are means over the threads. Limits are what loops reach that only read, or only compute.",
  ];
}
