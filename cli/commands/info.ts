import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Command } from "commander";
import { deviceInfo, type ModelInfo, modelInfo, version } from "../../src/index.ts";
import { outColours } from "../colours.ts";

const EXAMPLES = `
Examples:
  llava info
  llava info llava-hf/llava-1.5-7b-hf
  llava info ./my-checkpoint --json`;

interface InfoFlags {
  json: boolean;
}

export function addInfo(program: Command): void {
  program
    .command("info")
    .summary("what this machine has, and what a model needs")
    .description("Shows what this machine has and what computes on it; with a model, what that is and needs.")
    .argument("[model]", "a folder, a Hugging Face Hub id, or llava-demo")
    .option("--json", "print one JSON object", false)
    .option("--verbose", "show where an error comes from", false)
    .addHelpText("after", EXAMPLES)
    .action(info);
}

async function info(name: string | undefined, flags: InfoFlags): Promise<void> {
  const machine = {
    llava: version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    threads: availableParallelism(),
    memory_bytes: totalmem(),
    free_bytes: freemem(),
    device: await deviceInfo(),
  };
  const model = name === undefined ? undefined : await modelInfo(name);
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ machine, model }, null, 2)}\n`);
    return;
  }
  const lines: [string, string][] = [
    ["llava", `${machine.llava} on Node ${machine.node}, ${machine.platform}`],
    ["processor", `${machine.processor}, ${machine.threads} threads`],
    ["memory", `${gigabytes(machine.memory_bytes)}, ${gigabytes(machine.free_bytes)} free`],
    ["device", `${machine.device.kind}: ${machine.device.description}`],
  ];
  if (model) lines.push(["", ""], ...modelLines(model, machine.free_bytes));
  for (const [label, text] of lines) process.stdout.write(`${outColours.bold(label.padEnd(12))}${text}\n`);
}

function modelLines(model: ModelInfo, free: number): [string, string][] {
  const { float32, float16, q8 } = model.cache_bytes_per_token;
  const full = (bytes: number): string => gigabytes(bytes * model.context);
  const needs = Object.entries(model.weights_bytes).map(([dtype, bytes]): [string, string] => {
    const cache = ["bfloat16", "q8", "q4"].includes(dtype) ? float16 : float32;
    const fits = bytes + cache * model.context <= free ? "" : outColours.yellow("  (more than is free)");
    return [`  ${dtype}`, `${gigabytes(bytes)} for the weights${fits}`];
  });
  const side = [model.image_size].flat();
  const { pictures, prompts } = model.kept_bytes;
  return [
    ["model", model.name],
    ["parts", `${model.vision} and ${model.text}, ${(model.parameters / 1e6).toFixed(1)} million parameters`],
    ["pictures", `${side[0]} x ${side.at(-1)} pixels, ${model.image_tokens} tokens each`],
    [
      "context",
      `${model.context} tokens; full, ${full(float32)} in float32, ${full(float16)} in float16, ${full(q8)} in q8`,
    ],
    [
      "kept",
      `at most ${gigabytes(pictures)} of pictures and ${gigabytes(prompts)} of prompts, for later questions`,
    ],
    ["stored as", model.dtype ?? "not said"],
    ...needs,
  ];
}

function gigabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
