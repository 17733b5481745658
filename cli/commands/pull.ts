import type { Command } from "commander";
import { pull } from "../../src/index.ts";
import { interruptible } from "../interrupt.ts";
import { ProgressBars } from "../progress.ts";

const EXAMPLES = `
Examples:
  llava pull llava-hf/llava-1.5-7b-hf
  llava pull llava-hf/llava-interleave-qwen-0.5b-hf --revision main

Files go to the shared Hugging Face cache (HF_HOME, HF_HUB_CACHE); Python finds them there, and what it has
downloaded is found here. A download that was broken off goes on where it stopped. HF_TOKEN is sent for gated models.`;

interface PullFlags {
  revision: string;
  quiet: boolean;
  json: boolean;
}

export function addPull(program: Command): void {
  program
    .command("pull")
    .summary("download a model")
    .description(
      "Downloads what a model needs, and nothing else: safetensors, configs, tokenizer, chat template.",
    )
    .argument("<model>", "a Hugging Face Hub id")
    .option("--revision <name>", "a branch, tag or commit", "main")
    .option("--json", "print one JSON object", false)
    .option("-q, --quiet", "no progress", false)
    .option("--verbose", "show where an error comes from", false)
    .addHelpText("after", EXAMPLES)
    .action(pullModel);
}

async function pullModel(model: string, flags: PullFlags): Promise<void> {
  const { signal, done } = interruptible();
  const bars = new ProgressBars(flags.quiet || flags.json);
  try {
    const folder = await pull(model, { revision: flags.revision, signal, progress_callback: bars.report });
    bars.stop();
    process.stdout.write(flags.json ? `${JSON.stringify({ model, folder })}\n` : `${folder}\n`);
  } finally {
    bars.stop();
    done();
  }
}
