import { type Command, InvalidArgumentError, Option } from "commander";
import type { CacheDTypeName, DeviceName, DTypeName } from "../src/index.ts";

/** Flags that all commands with a model have. */
export interface ModelFlags {
  model: string;
  dtype: DTypeName;
  /** What keys and values are kept in. */
  cacheDtype: CacheDTypeName;
  device: DeviceName;
  threads?: number;
  /** Whether a copy of packed weights may be kept on disk. */
  packedCopy?: boolean;
  quiet: boolean;
  verbose: boolean;
  json: boolean;
}

/** How an answer is made. */
export interface Sampling {
  maxNewTokens: number;
  temperature: number;
  topP: number;
  seed?: number;
}

/** Flags of commands that generate text. */
export interface GenerationFlags extends ModelFlags, Sampling {}

/** Questions of a batch computed together: more gains little, and each takes memory for what it has read. */
export const CONCURRENCY = 16;

/** The model that is used until one is named. */
export const DEFAULT_MODEL = "llava-demo";

/** Adds the flags of ModelFlags. */
export function addModelFlags(command: Command): Command {
  command.addOption(
    new Option("-m, --model <name>", "a folder, a Hugging Face Hub id, or llava-demo")
      .env("LLAVA_MODEL")
      .default(DEFAULT_MODEL),
  );
  return addDeviceFlags(command).option("--json", "print one JSON object", false);
}

/** Adds the flags of ModelFlags that do not say which model, nor how to print. */
export function addDeviceFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--dtype <type>", "what weights are kept in")
        .choices(["auto", "float32", "float16", "bfloat16", "q8", "q4"] satisfies DTypeName[])
        .default("auto"),
    )
    .addOption(
      new Option(
        "--cache-dtype <type>",
        "what keys and values are kept in (auto: float16 with q8, q4 and bfloat16)",
      )
        .choices(["auto", "float32", "float16", "q8"] satisfies CacheDTypeName[])
        .default("auto"),
    )
    .addOption(
      new Option("--device <device>", "what computes")
        .choices(["auto", "cpu", "wasm", "reference"] satisfies DeviceName[])
        .default("auto"),
    )
    .option("--threads <n>", "compute threads (default: one for each core)", wholeNumber(1))
    .option("--no-packed-copy", "with q8, q4: keep no copy of the packed weights on disk (see llava cache)")
    .option("-q, --quiet", "no progress, the answer alone", false)
    .option("--verbose", "show where an error comes from", false);
}

/** Adds the flags of GenerationFlags. */
export function addGenerationFlags(command: Command): Command {
  return addModelFlags(command)
    .option("--max-new-tokens <n>", "longest answer, in tokens", wholeNumber(1), 256)
    .option("--temperature <t>", "0: always the likeliest word; higher: more varied", atLeastZero, 0)
    .option(
      "--top-p <p>",
      "with a temperature: choose among the likeliest words that make up this share",
      share,
      1,
    )
    .option("--seed <n>", "with a temperature: the same seed gives the same answer", wholeNumber(0));
}

/** What the flags mean to `generate`. */
export function generationSettings(flags: Sampling): Record<string, unknown> {
  const sampling = {
    do_sample: true,
    temperature: flags.temperature,
    top_p: flags.topP,
    top_k: 0,
    seed: flags.seed,
  };
  return { max_new_tokens: flags.maxNewTokens, ...(flags.temperature > 0 ? sampling : { do_sample: false }) };
}

/** Reads a whole number, at least `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${least}.`);
  };
}

function atLeastZero(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("Expected a number from 0.");
}

/** Reads a number above 0. */
export function aboveZero(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("Expected a number above 0.");
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("Expected a number above 0, at most 1.");
}
