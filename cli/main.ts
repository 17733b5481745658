#!/usr/bin/env node
import { Command } from "commander";
import { version } from "../src/index.ts";
import { addBatch } from "./commands/batch.ts";
import { addBench } from "./commands/bench.ts";
import { addCache } from "./commands/cache.ts";
import { addChat } from "./commands/chat.ts";
import { addDescribe } from "./commands/describe.ts";
import { addEval } from "./commands/eval.ts";
import { addInfo } from "./commands/info.ts";
import { addPull } from "./commands/pull.ts";
import { addServe } from "./commands/serve.ts";
import { addWorker } from "./commands/worker.ts";
import { errorText, exitCode, oneLine } from "./errors.ts";

const EXAMPLES = `
Examples:
  llava describe cat.jpg
  llava chat cat.jpg --model llava-hf/llava-1.5-7b-hf
  llava batch pictures/ answers.jsonl
  llava pull llava-hf/llava-1.5-7b-hf
  llava info

Each command has its own: llava describe --help`;

function createProgram(): Command {
  const program = new Command("llava")
    .description("Looks at pictures and talks about them. Runs published LLaVA checkpoints as they are.")
    .version(version, "-V, --version")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text)} (--help shows the options)\n`) })
    .addHelpText("after", EXAMPLES);
  for (const add of [
    addDescribe,
    addChat,
    addServe,
    addBatch,
    addWorker,
    addBench,
    addEval,
    addPull,
    addInfo,
    addCache,
  ])
    add(program);
  return program;
}

try {
  await createProgram().parseAsync();
} catch (error) {
  const text = errorText(error, process.argv.includes("--verbose"));
  if (text !== undefined) process.stderr.write(`${text}\n`);
  process.exitCode = exitCode(error);
}
