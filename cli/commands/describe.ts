import { basename } from "node:path";
import type { Command } from "commander";
import { load_image } from "../../src/index.ts";
import { Asker, type Part } from "../answer.ts";
import { errColours } from "../colours.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { loadModel } from "../model.ts";
import { addGenerationFlags, DEFAULT_MODEL, type GenerationFlags } from "../options.ts";

const EXAMPLES = `
Examples:
  llava describe cat.jpg
  llava describe cat.jpg --prompt "What colour is the cat?"
  llava describe before.png after.png --prompt "Compare the two pictures."
  llava describe cat.jpg --model llava-hf/llava-1.5-7b-hf
  llava describe cat.jpg --json > answer.json

A picture is a file, an http(s) address, or a data URI: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.`;

interface DescribeFlags extends GenerationFlags {
  prompt: string;
}

export function addDescribe(program: Command): void {
  const command = program
    .command("describe")
    .summary("say what a picture shows")
    .description(
      "Says what a picture shows, word by word as it is found. Several pictures make one conversation.",
    )
    .argument("<image...>", "files or addresses of pictures")
    .option("-p, --prompt <text>", "what to ask", "Describe this picture.");
  addGenerationFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((images: string[], flags: DescribeFlags) => describe(images, flags));
}

async function describe(sources: string[], flags: DescribeFlags): Promise<void> {
  if (flags.prompt.trim() === "") throw new UsageError("--prompt: expected a question, got nothing");
  const { signal, done } = interruptible();
  try {
    // Before the model is loaded: a wrong path is said at once.
    const begin = performance.now();
    const pictures = await Promise.all(sources.map((source) => load_image(source, { signal })));
    const decode_ms = performance.now() - begin;
    const loaded = await loadModel(flags, signal);
    const { model, load_ms } = loaded;
    const content: Part[] = [
      ...pictures.map((image): Part => ({ type: "image", image })),
      { type: "text", text: flags.prompt },
    ];
    if (!flags.json && !flags.quiet) {
      process.stderr.write(
        errColours.dim(`${sources.map((source) => shortName(source)).join(", ")}: ${flags.prompt}\n`),
      );
    }
    const show = (text: string): void => void process.stdout.write(text);
    const answer = await new Asker(loaded, flags).ask(
      [{ role: "user", content }],
      flags.json ? () => {} : show,
      signal,
    );
    const { text, timings, ...facts } = answer;
    if (flags.json) {
      const { image_ms, ...rest } = timings;
      const result = {
        ...{ text, model: flags.model, device: model.device, dtype: model.dtype },
        ...facts,
        timings: { load_ms, image_ms: image_ms + decode_ms, ...rest },
        memory: { peak_rss_bytes: process.resourceUsage().maxRSS * 1024 },
      };
      process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    } else {
      process.stdout.write("\n");
      if (!flags.quiet)
        process.stderr.write(errColours.dim(footer(flags, answer.generated_tokens, load_ms, timings)));
    }
    await model.dispose();
  } finally {
    done();
  }
}

/** What it took, and how to go on from the bundled example. */
function footer(
  flags: DescribeFlags,
  tokens: number,
  load_ms: number,
  timings: { first_token_ms: number; decode_tokens_per_second: number },
): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const facts =
    `${flags.model}: loaded in ${seconds(load_ms)}, first word after ${seconds(timings.first_token_ms)}, ` +
    `${tokens} tokens at ${timings.decode_tokens_per_second.toFixed(0)} a second`;
  const hint =
    flags.model === DEFAULT_MODEL
      ? `\nThis small model knows simple drawings only. Your own pictures, with the real one (14 GB, downloaded once):\n` +
        `  npx llava describe PICTURE --prompt "What is shown in this image?" --model llava-hf/llava-1.5-7b-hf`
      : "";
  return `\n${facts}${hint}\n`;
}

function shortName(source: string): string {
  return source.startsWith("data:") ? "a data URI" : basename(source);
}
